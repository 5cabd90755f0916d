import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { type FromChild, type ProcessMetrics, type ToChild, toChildSchema } from "../cluster/control.ts";
import type { Config } from "../config/index.ts";
import { SluiceError } from "../core/errors.ts";
import type { ReloadOutcome } from "../server/operator-api.ts";
import { configInForce, loadSnapshot } from "./config-snapshot.ts";
import { explainFailure } from "./failure.ts";

// A process of a Sluice with `workers`: the engine or a front. It does what the primary process says, and ends with it.

type Start = Extract<ToChild, { readonly sluice: "start" }>;
type Order = Exclude<ToChild, Start>;

/** Takes orders once it has started. */
type Part = (order: Order) => void;

const engineShare = 0.25;
const othersMs = 2000;

let part: Promise<Part> | undefined;
process.on("message", (sent) => {
  const message = toChildSchema.safeParse(sent);
  // Others use the same pipe.
  if (!message.success) return;
  const order = message.data;
  if (order.sluice === "ping") tell({ sluice: "pong" });
  else if (order.sluice === "start") part ??= start(order);
  else void part?.then((take) => take(order));
});
process.once("disconnect", () => process.exit(0));
// The terminal and the service manager send signals to all processes; the primary decides what comes of them.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
process.on("SIGTERM", () => tell({ sluice: "stop_wanted" }));

async function start(order: Start): Promise<Part> {
  // For ps and its kin.
  process.title = `sluice ${order.role}`;
  try {
    return await (order.role === "engine" ? startEngine(order) : startFront(order));
  } catch (error) {
    const { message, exitCode } = explainFailure(error);
    process.send?.({ sluice: "failed", message, exitCode } satisfies FromChild, () => process.exit(exitCode));
    return () => undefined;
  }
}

async function startEngine({ started, current, socketPath, isOffline }: Start): Promise<Part> {
  const { startSluice } = await import("../compose.ts");
  const asked = new Map<number, (all: readonly ProcessMetrics[]) => void>();
  let questions = 0;
  const otherMetrics = (): Promise<readonly ProcessMetrics[]> =>
    new Promise((resolve) => {
      const id = (questions += 1);
      const answer = (all: readonly ProcessMetrics[]): void => {
        clearTimeout(late);
        asked.delete(id);
        resolve(all);
      };
      const late = setTimeout(() => answer([]), othersMs);
      asked.set(id, answer);
      tell({ sluice: "want_metrics", id });
    });

  const wantedReloads = new Map<number, (outcome: ReloadOutcome) => void>();
  const reload = (): Promise<ReloadOutcome> =>
    new Promise((resolve) => {
      const id = (questions += 1);
      wantedReloads.set(id, resolve);
      tell({ sluice: "want_reload", id });
    });
  const reloaded = (outcome: ReloadOutcome, wantedBy = 0): void => {
    wantedReloads.get(wantedBy)?.(outcome);
    wantedReloads.delete(wantedBy);
  };

  // Of an engine that was killed.
  rmSync(socketPath, { force: true });
  // A primary that was killed leaves it.
  process.once("exit", () => {
    if (!process.connected) rmSync(dirname(socketPath), { recursive: true, force: true });
  });
  const config = ofEngine(configInForce(started, current));
  const onOffline = (isOffline: boolean): void => tell({ sluice: "offline", isOffline });
  const place = { socketPath, memoryShare: engineShare, isOffline, onOffline, otherMetrics, reload };
  const sluice = await startSluice(config, place);
  tell({ sluice: "ready", port: 0 });
  return (order) => {
    switch (order.sluice) {
      case "url":
        sluice.url = order.url;
        return;
      case "process":
        sluice.noteProcess(order.news);
        return;
      case "other_metrics":
        asked.get(order.id)?.(order.all);
        return;
      case "reload":
        void sluice
          .reload(async () => ofEngine(loadSnapshot(order.current).config))
          .then((outcome) => {
            tell({ sluice: "reloaded", outcome: outcome.outcome });
            reloaded(outcome, order.wantedBy);
          });
        return;
      case "refused":
        void sluice
          .reload(() => Promise.reject(new SluiceError("config_invalid", order.reason)))
          .then((outcome) => reloaded(outcome, order.wantedBy));
        return;
      case "stop":
        void sluice.stop(order.limitMs).then(() => process.exit(0));
        return;
      case "ping":
      case "tell_metrics":
    }
  };
}

/** The fronts need memory, too, and there work is not given up. */
function ofEngine(config: Config): Config {
  const { limits } = config;
  return { ...config, limits: { ...limits, maxMemoryBytes: Math.floor(limits.maxMemoryBytes / 2) } };
}

async function startFront({ started, current, socketPath, fronts }: Start): Promise<Part> {
  const { startFront: open } = await import("../compose-front.ts");
  const config = configInForce(started, current);
  const front = await open(config, { socketPath, memoryShare: (1 - engineShare) / fronts });
  tell({ sluice: "ready", port: front.port });
  return (order) => {
    switch (order.sluice) {
      case "tell_metrics":
        void front.metrics.registry
          .getMetricsAsJSON()
          // As it would go through the pipe, for its types.
          .then((metrics) => tell({ sluice: "metrics", id: order.id, metrics: metrics.map((one) => ({ ...one })) }));
        return;
      case "stop":
        void front.stop(order.limitMs, order.lingerMs).then(() => process.exit(0));
        return;
      case "ping":
      case "process":
      case "url":
      case "reload":
      case "refused":
      case "other_metrics":
    }
  };
}

function tell(message: FromChild): void {
  if (process.connected) process.send?.(message, () => undefined);
}
