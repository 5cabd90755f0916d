import cluster from "node:cluster";
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, createChild } from "../cluster/child.ts";
import type { ConfigSnapshot, ProcessMetrics, ProcessNews } from "../cluster/control.ts";
import { giveBackHandoffs } from "../cluster/handoffs.ts";
import { Keeper, type StopLimits } from "../cluster/keeper.ts";
import { Losses } from "../cluster/losses.ts";
import { publicUrl } from "../compose-server.ts";
import type { Config } from "../config/index.ts";
import { systemClock } from "../core/clock.ts";
import type { Events } from "../core/events.ts";
import { reloadEngine } from "../cluster/reload-engine.ts";
import { createMessageHub } from "../fleet/message-hub.ts";
import { createProcessMessages } from "../fleet/process-messages.ts";
import { createEvents } from "../ops/events.ts";
import { createLog, type Log } from "../ops/log.ts";
import { createMetrics, type Metrics } from "../ops/metrics.ts";
import manifest from "../../package.json" with { type: "json" };

export interface Workers {
  readonly url: string;
  /** Reads the configuration again. Fronts are replaced one by one; the engine changes in itself, and tells what came of it. Never fails. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const childScript = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url),
);
/** A client that has a connection uses it within that time, or not soon. */
const lingerMs = 3000;
/** What takes longer, the next engine begins anew; the fronts wait for it. */
const engineLimitMs = 5000;
const metricsMs = 1500;
/** On a busy machine. */
const engineStartMs = 20_000;

export interface ConfigTexts {
  readonly started: ConfigSnapshot;
  /** As it is by now. */
  readonly readAgain: () => Promise<ConfigSnapshot>;
}

/** Starts the engine and then the fronts. Fails with `StartFailure` when one of them does not start. */
export async function startWorkers(config: Config, texts: ConfigTexts): Promise<Workers> {
  const primary = new Primary(config, texts);
  try {
    await primary.start();
  } catch (error) {
    await primary.stop();
    throw error;
  }
  return primary;
}

/** The process that listens, starts the others and does nothing else, so that nothing can bring it down. */
class Primary implements Workers {
  readonly #config: Config;
  readonly #started: ConfigSnapshot;
  readonly #readAgain: () => Promise<ConfigSnapshot>;
  readonly #folder = mkdtempSync(join(tmpdir(), "sluice-engine-"));
  readonly #hub = createMessageHub();
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #events: Events;
  readonly #losses = new Losses();
  readonly #engine: Keeper;
  readonly #fronts: readonly Keeper[];
  #current: ConfigSnapshot;
  /** What was said to an engine, for the next one. */
  #isOffline: boolean | undefined;
  #port = 0;
  #reloads: Promise<void> = Promise.resolve();

  constructor(config: Config, { started, readAgain }: ConfigTexts) {
    this.#config = config;
    this.#readAgain = readAgain;
    this.#started = started;
    this.#current = started;
    this.#log = createLog({ ...config.log, isShared: true });
    this.#metrics = createMetrics({
      version: manifest.version,
      fetching: () => 0,
      unverified: () => Promise.resolve(undefined),
      health: () => Promise.resolve([]),
    });
    this.#events = createEvents(this.#log.logger, this.#metrics);
    this.#engine = this.#keeper("engine", "engine");
    this.#fronts = Array.from({ length: config.server.workers }, (_, index) =>
      this.#keeper("front", `front ${index + 1}`),
    );
  }

  get url(): string {
    return publicUrl(this.#config, this.#port);
  }

  async start(): Promise<void> {
    cluster.setupPrimary({ exec: childScript, args: [], serialization: "json" });
    // Connections are handed out in turn, so that no front has many and another one few.
    cluster.schedulingPolicy = cluster.SCHED_RR;
    await this.#engine.begin();
    // They listen on the same socket, which is this process's, also where the port is any free one.
    const [port = 0] = await Promise.all(this.#fronts.map((front) => front.begin()));
    this.#port = port;
    this.#engine.current?.send({ sluice: "url", url: this.url });
    this.#log.logger.info(
      { url: this.url, workers: this.#fronts.length, version: manifest.version },
      "sluice is ready",
    );
  }

  reload(wantedBy?: number): Promise<void> {
    const turn = this.#reloads.then(() => this.#reload(wantedBy));
    this.#reloads = turn.catch(() => undefined);
    return turn;
  }

  async stop(): Promise<void> {
    const limits = { limitMs: this.#config.server.shutdownTimeoutMs, lingerMs: 0 };
    await Promise.all(this.#fronts.map((front) => front.stop(limits)));
    await this.#engine.stop(limits);
    rmSync(this.#folder, { recursive: true, force: true });
    this.#log.logger.info("all processes have ended");
    this.#log.close();
  }

  async #reload(wantedBy: number | undefined): Promise<void> {
    let snapshot: ConfigSnapshot;
    try {
      snapshot = await this.#readAgain();
    } catch (error) {
      return this.#refuse(error instanceof Error ? error.message : String(error), wantedBy);
    }
    const outcome = await reloadEngine(this.#engine, { current: snapshot, wantedBy, clock: systemClock });
    if (outcome === "refused") return;
    // Who wanted it is gone with the first of them.
    if (outcome === "lost") return this.#refuse("each process that was told of it ended");
    this.#current = snapshot;
    if (outcome === "away") {
      // One that does not start may do so with this one.
      this.#isOffline = undefined;
      this.#engine.outdate();
    }
    for (const front of this.#fronts) await this.#replaceFront(front);
  }

  /** For the log, and for who wanted it. */
  async #refuse(reason: string, wantedBy?: number): Promise<void> {
    const engine = await this.#engine.up(engineStartMs);
    engine?.send({ sluice: "refused", reason, wantedBy });
  }

  async #replaceFront(front: Keeper, which?: Child): Promise<void> {
    try {
      await front.replace(this.#frontLimits(), which);
    } catch (error) {
      // It goes on as it is.
      this.#log.logger.error({ error: String(error) }, "a front cannot be started with the new configuration");
    }
  }

  #frontLimits(): StopLimits {
    return { limitMs: this.#config.server.shutdownTimeoutMs + lingerMs, lingerMs };
  }

  #keeper(role: "engine" | "front", name: string): Keeper {
    const tell = (news: ProcessNews): void => {
      this.#events.emit(news);
      this.#losses.note(news, this.#engine.current);
    };
    const keeper: Keeper = new Keeper({
      clock: systemClock,
      start: () => this.#fork(role),
      onLost: (lost) => tell({ type: "process_lost", role, process: name, ...lost, at: systemClock.now() }),
      onBack: (pid) => tell({ type: "process_back", process: name, pid }),
      onUp: (child) => {
        if (role === "engine") this.#losses.tellAll(child);
        child.on((message) => {
          if (message.sluice === "stop_wanted") void this.#replace(role, keeper, child);
          if (message.sluice === "offline") this.#isOffline = message.isOffline;
          if (message.sluice === "want_reload") void this.reload(message.id);
          if (message.sluice === "want_metrics") void this.#collectMetrics(child, message.id);
        });
        if (role === "engine" && this.#port !== 0) child.send({ sluice: "url", url: this.url });
      },
    });
    return keeper;
  }

  /** Somebody ended one process, and means that one. */
  #replace(role: "engine" | "front", keeper: Keeper, child: Child): Promise<void> {
    if (role === "front") return this.#replaceFront(keeper, child);
    return keeper.restart({ limitMs: engineLimitMs, lingerMs: 0 }, child);
  }

  #fork(role: "engine" | "front"): Child {
    const process = role === "engine" ? fork(childScript, [], { serialization: "json" }) : this.#forkFront();
    const child = createChild(process);
    const messages = this.#hub.join(`${role} ${child.pid}`);
    const channel = createProcessMessages(process, { name: `${role} ${child.pid}`, events: this.#events });
    channel.subscribe((message) => messages.publish(message));
    messages.subscribe((message) => channel.publish(message));
    void child.ended.then(() => Promise.all([messages.close(), channel.close()]));
    child.send({
      sluice: "start",
      role,
      started: this.#started,
      current: this.#current,
      socketPath: join(this.#folder, "engine.sock"),
      isOffline: this.#isOffline,
      fronts: this.#config.server.workers,
    });
    return child;
  }

  #forkFront(): ChildProcess {
    const worker = cluster.fork();
    const { pid } = worker.process;
    giveBackHandoffs(worker, () => this.#fronts.some(({ current }) => current !== undefined && current.pid !== pid));
    return worker.process;
  }

  async #collectMetrics(engine: Child, id: number): Promise<void> {
    const fronts = this.#fronts.flatMap(({ current }) => (current === undefined ? [] : [current]));
    const all = await Promise.all(fronts.map((front) => metricsOf(front, id)));
    const own = (await this.#metrics.registry.getMetricsAsJSON()).map((one) => ({ ...one }));
    engine.send({ sluice: "other_metrics", id, all: [own, ...all] });
  }
}

function metricsOf(child: Child, id: number): Promise<ProcessMetrics> {
  return new Promise((resolve) => {
    const answer = (metrics: ProcessMetrics): void => {
      clearTimeout(late);
      end();
      resolve(metrics);
    };
    const late = setTimeout(() => answer([]), metricsMs);
    const end = child.on((message) => {
      if (message.sluice === "metrics" && message.id === id) answer(message.metrics);
    });
    child.send({ sluice: "tell_metrics", id });
  });
}
