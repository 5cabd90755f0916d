import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[drill]`. */
export const drillSchema = section(
  "Faults that are put into this Sluice on purpose, to see what is noticed and how long it takes to recover: `sluice drill`. For staging only.",
  {
    enabled: setting(value.flag(), {
      kind: "boolean",
      default: false,
      restart: true,
      synonyms: ["enable", "allow", "on"],
      doc: "Whether whoever has the admin token may start drills. Without it every drill is refused, and nothing of them is built in.",
    }),
  },
);
