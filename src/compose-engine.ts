import { AggregatorRegistry } from "prom-client";
import type { ProcessMetrics } from "./cluster/control.ts";
import type { Metrics } from "./ops/metrics.ts";
import type { ReloadOutcome } from "./server/operator-api.ts";

/** For the process of a Sluice with `workers` that does everything but answer clients. */
export interface EnginePlace {
  /** Where the fronts find it. */
  readonly socketPath: string;
  /** Of the configured memory; the fronts have the rest. */
  readonly memoryShare: number;
  /** What was said to the one before it; undefined: nothing but the configuration. */
  readonly isOffline: boolean | undefined;
  /** For the one after it. */
  readonly onOffline: (isOffline: boolean) => void;
  /** Of all other processes, as far as they answer. */
  readonly otherMetrics: () => Promise<readonly ProcessMetrics[]>;
  /** Has the primary process read the configuration again. The fronts follow, one by one. */
  readonly reload: () => Promise<ReloadOutcome>;
}

/** What `/metrics` shows: of all processes together, where there are several. */
export function exposeMetrics(
  { registry }: Metrics,
  engine: EnginePlace | undefined,
): { readonly contentType: string; metrics(): Promise<string> } {
  if (engine === undefined) return registry;
  return {
    contentType: registry.contentType,
    async metrics() {
      const [own, others] = await Promise.all([registry.getMetricsAsJSON(), engine.otherMetrics()]);
      return AggregatorRegistry.aggregate([own, ...others]).metrics();
    },
  };
}
