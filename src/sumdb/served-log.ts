export type { ServedLog } from "../core/served-log.ts";
