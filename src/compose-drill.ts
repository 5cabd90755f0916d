import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { DrillStatus, RequestCounts } from "./core/drill.ts";
import { SluiceError } from "./core/errors.ts";
import type { FaultBoard } from "./core/faults.ts";
import type { PartHealth } from "./core/health.ts";
import type { Events } from "./core/events.ts";
import type { ModuleStore, ZipVerifier } from "./core/ports.ts";
import { DrillRunner } from "./ops/drill-runner.ts";
import { drills } from "./ops/drills.ts";
import type { Metrics } from "./ops/metrics.ts";
import type { DrillActions } from "./server/drill-api.ts";
import { corruptStored } from "./storage/corrupt-stored.ts";
import { type EnginePlace, exposeMetrics } from "./compose-engine.ts";
import type { Healing } from "./compose-healing.ts";
import type { EnsureStored } from "./compose-upkeep.ts";

interface DrillParts {
  /** Undefined: there are no drills here. */
  readonly faults: FaultBoard | undefined;
  readonly healing: Healing;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly metrics: Metrics;
  readonly engine: EnginePlace | undefined;
  readonly store: Pick<ModuleStore, "peek">;
  readonly verifier: ZipVerifier;
  readonly events: Events;
}

/** The drills of a node. */
export interface Drills extends DrillActions {
  /** Whom a broken file is asked from, from now on. */
  use(ensureStored: EnsureStored): void;
  close(): Promise<void>;
}

export function composeDrills(config: Config, { faults, ...parts }: DrillParts): Drills {
  if (faults === undefined) return noDrills();
  const { healing, health, events, store, verifier } = parts;
  let ensureStored: EnsureStored | undefined;
  const runner = new DrillRunner({
    faults,
    events,
    clock: systemClock,
    incidents: () => healing.incidents(),
    health,
    requests: () => countRequests(parts),
    corruptFile: (signal) =>
      corruptStored(
        {
          dataDir: config.store.dataDir,
          verifier,
          events,
          peek: (key) => store.peek(key),
          fetch: (request, fetchSignal) => {
            if (ensureStored === undefined) throw new SluiceError("drill_refused", "this Sluice is only starting");
            return ensureStored(request, { signal: fetchSignal, client: "drill" });
          },
        },
        signal,
      ),
  });
  return {
    start: (wanted) => runner.start(wanted),
    stop: () => runner.stop(),
    status: () => runner.status(),
    close: () => runner.close(),
    use: (ensure) => {
      ensureStored = ensure;
    },
  };
}

function noDrills(): Drills {
  const refuse = (): never => {
    throw new SluiceError(
      "drill_refused",
      "drills are off here; they are for staging: set enabled = true in [drill], and start this Sluice again",
    );
  };
  const status: DrillStatus = { isEnabled: false, drills, running: undefined, report: undefined };
  return { start: refuse, stop: refuse, status: () => status, use: () => undefined, close: async () => undefined };
}

const requestLine = /^sluice_requests_total\{(?=[^}]*\bstatus="(\d+)")(?=[^}]*\bcache="([^"]*)")[^}]*\} (\d+)/gm;

/** Of all processes, by status and what the store had to do with it. */
async function countRequests({ metrics, engine }: Pick<DrillParts, "metrics" | "engine">): Promise<RequestCounts> {
  const counts: Record<string, number> = {};
  for (const [, status, cache, count] of (await exposeMetrics(metrics, engine).metrics()).matchAll(requestLine)) {
    const outcome = `${status} ${cache}`.trim();
    counts[outcome] = (counts[outcome] ?? 0) + Number(count);
  }
  return counts;
}
