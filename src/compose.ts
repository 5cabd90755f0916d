import { type Config, reloaded } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { PartHealth } from "./core/health.ts";
import type { ProcessNews } from "./cluster/control.ts";
import type { EnginePlace } from "./compose-engine.ts";
import { type Node, openNode } from "./compose-node.ts";
import { listen, publicUrl } from "./compose-server.ts";
import { composeService, type Service } from "./compose-service.ts";
import type { RunningServer } from "./server/http-server.ts";
import type { ReloadOutcome } from "./server/operator-api.ts";

/** A Sluice that serves. */
export interface RunningSluice {
  /** What to paste as GOPROXY. */
  url: string;
  /**
   * Another configuration counts from now on, as far as that takes no restart; requests under way end with the one before. When
   * it cannot be loaded or used, the one before stays. The log tells either. Never fails.
   */
  reload(load: () => Promise<Config>): Promise<ReloadOutcome>;
  /** Another process of this Sluice was lost, or is back. */
  noteProcess(news: ProcessNews): void;
  /** Stops accepting, lets running answers and fetches end within the configured limit, or this one, and closes everything. */
  stop(limitMs?: number): Promise<void>;
}

/** At shutdown, for fetches whose clients are gone: what comes in by then is kept. */
const settleMs = 5000;

/** The whole of a Sluice in one process, or a part of it. */
export type SluicePlace =
  | {
      /** Reads the configuration again, when an operator wants that. */
      readonly readAgain: () => Promise<Config>;
    }
  | EnginePlace;

/** Builds all parts from configuration and listens. Fails with `storage_failed`, `config_invalid` or Node's own listen error. */
export async function startSluice(config: Config, place: SluicePlace): Promise<RunningSluice> {
  const services = new Set<Service>();
  const node = await openNode(config, {
    engine: "readAgain" in place ? undefined : place,
    reload: () => ("readAgain" in place ? sluice.reload(place.readAgain) : place.reload()),
    fetching: () => [...services].reduce((sum, { fetching }) => sum + fetching, 0),
    health: () => sluice.health(),
  });
  const sluice = new Sluice(config, node, services);
  try {
    await sluice.start();
  } catch (error) {
    await sluice.close();
    throw error;
  }
  return sluice;
}

class Sluice implements RunningSluice {
  readonly #started: Config;
  readonly #node: Node;
  /** The one that counts is the last; those before it are finishing. */
  readonly #services: Set<Service>;
  #server: RunningServer | undefined;
  #stopping: Promise<void> | undefined;
  #reloads: Promise<unknown> = Promise.resolve();
  #refused: Error | undefined;

  constructor(config: Config, node: Node, services: Set<Service>) {
    this.#started = config;
    this.#node = node;
    this.#services = services;
  }

  get url(): string {
    return this.#node.state.url;
  }

  set url(url: string) {
    this.#node.state.url = url;
  }

  async start(): Promise<void> {
    const service = await composeService(this.#started, this.#node);
    this.#services.add(service);
    const { log, offline, version, engine } = this.#node;
    const place = engine && { path: engine.socketPath };
    this.#server = await listen(this.#started, service.handlers, place);
    if (engine === undefined) this.#node.state.url = publicUrl(this.#started, this.#server.port);
    service.start();
    if (offline.isOffline) log.logger.warn("this Sluice is offline: it answers what it has stored, and asks nobody");
    const facts = { store: this.#started.store.dataDir, chain: service.chain, version };
    if (engine === undefined) log.logger.info({ url: this.url, ...facts }, "sluice is ready");
    else log.logger.info(facts, "the engine is ready");
  }

  noteProcess(news: ProcessNews): void {
    this.#node.healing.heed(news);
  }

  reload(load: () => Promise<Config>): Promise<ReloadOutcome> {
    const turn = this.#reloads.then(() => this.#reload(load));
    this.#reloads = turn;
    return turn;
  }

  /** Of what is not the node's. */
  health(): readonly PartHealth[] {
    const detail =
      this.#refused === undefined
        ? "as it was read last"
        : `the new one is refused, the one before still counts: ${this.#refused.message.replaceAll("\n", "; ")}`;
    const state = this.#refused === undefined ? "ok" : "degraded";
    const service = [...this.#services].at(-1);
    return [{ part: "configuration", state, detail, isNeeded: false }, ...(service?.health() ?? [])];
  }

  stop(limitMs = this.#started.server.shutdownTimeoutMs): Promise<void> {
    return (this.#stopping ??= this.#stop(limitMs));
  }

  async close(): Promise<void> {
    for (const service of this.#services) await service.close();
    await this.#node.close();
  }

  async #reload(load: () => Promise<Config>): Promise<ReloadOutcome> {
    if (this.#node.state.isDraining) return { outcome: "refused", reason: "this Sluice is shutting down" };
    const { events } = this.#node;
    const before = [...this.#services].at(-1);
    let needRestart: readonly string[];
    try {
      const next = reloaded(this.#started, await load());
      const { config } = next;
      ({ needRestart } = next);
      const service = await composeService(config, this.#node);
      this.#services.add(service);
      this.#server?.use(service.handlers);
      before?.retire();
      service.start();
      // What an operator said since then counts until the configuration says something new.
      if (config.fetch.offline !== before?.config.fetch.offline) this.#node.offline.turn(config.fetch.offline);
      this.#refused = undefined;
      events.emit({ type: "config_reloaded", needRestart });
    } catch (error) {
      this.#refused = error instanceof Error ? error : new Error(String(error));
      events.emit({ type: "config_refused", error: this.#refused });
      return { outcome: "refused", reason: this.#refused.message };
    }
    if (before !== undefined) this.#retire(before);
    return { outcome: "applied", needRestart };
  }

  /** Nobody waits for it: a slow client may take minutes. */
  #retire(service: Service): void {
    service
      .settled()
      .then(() => {
        // At shutdown the others are closed with it.
        if (!this.#node.state.isDraining && this.#services.delete(service)) return service.close();
        return undefined;
      })
      .catch((error: unknown) => {
        this.#node.log.logger.warn({ error: String(error) }, "what the configuration before had open cannot be closed");
      });
  }

  async #stop(limitMs: number): Promise<void> {
    this.#node.state.isDraining = true;
    const { logger } = this.#node.log;
    logger.info("stopping: running answers and fetches may end");
    const startedAt = systemClock.now();
    await this.#reloads;
    await this.#server?.stop(limitMs);
    const over = new AbortController();
    const rest = Math.min(settleMs, Math.max(0, limitMs - (systemClock.now() - startedAt)));
    const settled = Promise.all([...this.#services].map((service) => service.settled()));
    await Promise.race([settled, systemClock.sleep(rest, over.signal).catch(() => undefined)]);
    over.abort();
    logger.info("stopped");
    await this.close();
  }
}
