export type { Config, UpstreamOverride } from "./schema.ts";
export type { ListenAddress } from "./values.ts";
export { Secret } from "./secret.ts";
