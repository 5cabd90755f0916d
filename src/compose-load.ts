import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import { Load } from "./core/load.ts";
import type { Events } from "./core/events.ts";
import { LoadMeter } from "./ops/load-signals.ts";

/** Decides what this node takes on, by the limits of one configuration. */
export function composeLoad(
  { limits }: Config,
  { events, fetching }: { readonly events: Events; readonly fetching: () => number },
): { readonly load: Load; readonly close: () => void } {
  const meter = new LoadMeter();
  const load = new Load({
    limits: {
      maxFetching: limits.maxFetches,
      maxEventLoopDelayMs: limits.maxLatenessMs,
      maxMemoryBytes: limits.maxMemoryBytes,
    },
    clock: systemClock,
    events,
    fetching,
    measure: () => meter.measure(),
  });
  return { load, close: () => meter.close() };
}
