import { randomBytes } from "node:crypto";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { Events, ModuleStore } from "./core/ports.ts";
import { type Recheck, startRecheck } from "./core/recheck.ts";
import { Resolver } from "./core/resolve.ts";
import { createEvents } from "./ops/events.ts";
import { createLog } from "./ops/log.ts";
import { createMetrics } from "./ops/metrics.ts";
import { openDataFolder } from "./storage/data-folder.ts";
import { createZipVerifier } from "./storage/zip-verifier.ts";
import { composeHealth } from "./compose-health.ts";
import { composeNetwork } from "./compose-network.ts";
import { composeAdminToken, composeOperator } from "./compose-operator.ts";
import { type ComposedServer, publicUrl, startServer } from "./compose-server.ts";
import { composeSources } from "./compose-sources.ts";
import { composeSumdb, type Sumdb } from "./compose-sumdb.ts";
import manifest from "../package.json" with { type: "json" };

/** A Sluice that serves. */
export interface RunningSluice {
  /** What to paste as GOPROXY. */
  readonly url: string;
  /** Stops accepting, lets running answers and fetches end within the configured limit, and closes everything. */
  stop(): Promise<void>;
}

/** At shutdown, for fetches whose clients are gone: what comes in by then is kept. */
const settleMs = 5000;
/** Hot answers get this share of the memory; the rest is the store's tier. */
const hotShare = 0.25;

/** Builds all parts from configuration and listens. Fails with `storage_failed`, `config_invalid` or Node's own listen error. */
export async function startSluice(config: Config): Promise<RunningSluice> {
  const { version } = manifest;
  const instanceId = randomBytes(6).toString("hex");
  const log = createLog(config.log);
  const metrics = createMetrics({
    version,
    fetching: () => resolver.fetching,
    // A ledger that cannot be read is told of when it is needed.
    unverified: () => store.countUnverified().catch(() => undefined),
    health: () => health(),
  });
  const events = createEvents(log.logger, metrics);

  const { dataDir, memoryBytes, wholeFileLimitBytes } = config.store;
  const verifier = createZipVerifier(config.fetch.verifyWorkers > 0 ? { workers: config.fetch.verifyWorkers } : {});
  const store = await openDataFolder({
    dataDir,
    memoryBytes: Math.floor(memoryBytes * (1 - hotShare)),
    wholeFileLimitBytes,
    verifier,
    events,
    clock: systemClock,
  });
  verifier.prepare();
  const network = composeNetwork({ log, version, instanceId });
  const source = composeSources(config, { events, log, network, store });
  const closing: (() => Promise<void>)[] = [
    () => source.close(),
    () => store.close(),
    () => verifier.close(),
    async () => log.close(),
  ];
  const closeParts = async (): Promise<void> => {
    for (const close of closing) await close();
  };
  let sumdb: Sumdb;
  try {
    sumdb = await composeSumdb(config, { events, log, metrics, network, resolver: () => resolver });
  } catch (error) {
    await closeParts();
    throw error;
  }
  closing.unshift(() => sumdb.close());
  const resolver = new Resolver({
    store,
    source,
    verifier,
    sums: sumdb.verifier,
    confirmStored: config.sumdb.verify === "required",
    onZip: ({ modulePath, version }) => sumdb.noteServed(modulePath, version),
    events,
    clock: systemClock,
    streamFromBytes: config.fetch.streamFromBytes,
    memoryFallbackBytes: config.fetch.memoryFallbackBytes,
    totalTimeoutMs: config.fetch.totalTimeoutMs,
    clientWaitMs: config.fetch.clientWaitMs,
    ttlMs: config.freshness.ttlMs,
    staleWhileRevalidateMs: config.freshness.staleWhileRevalidateMs,
    notFoundTtlMs: config.freshness.notFoundMs,
  });

  let isDraining = false;
  let url = "";
  const health = composeHealth({ store, dataDir }, []);
  const operator = composeOperator({
    resolver,
    events,
    purgeReady: (isMeant) => server.purge(isMeant),
    health,
    about: () => ({ version, url, chain: source.name, isDraining }),
  });
  closing.unshift(async () => operator.close());
  let server: ComposedServer;
  try {
    server = await startServer(config, {
      health,
      api: { token: await composeAdminToken(config, log), actions: operator },
      resolver,
      store,
      sumLogs: sumdb.logs,
      hotBytes: Math.floor(memoryBytes * hotShare),
      log,
      metrics,
      version,
      viaName: `sluice-${instanceId}`,
      isDraining: () => isDraining,
      url: () => url,
    });
  } catch (error) {
    await closeParts();
    throw error;
  }
  url = publicUrl(config, server.address.port);
  const recheck = composeRecheck(config, { store, sumdb, events, server });
  closing.unshift(async () => recheck?.close());
  log.logger.info({ url, store: dataDir, chain: source.name, version }, "sluice is ready");

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    isDraining = true;
    log.logger.info("stopping: running answers and fetches may end");
    const limitMs = config.server.shutdownTimeoutMs;
    const startedAt = systemClock.now();
    await server.stop(limitMs);
    const over = new AbortController();
    const rest = Math.min(settleMs, Math.max(0, limitMs - (systemClock.now() - startedAt)));
    await Promise.race([resolver.settled(), systemClock.sleep(rest, over.signal).catch(() => undefined)]);
    over.abort();
    log.logger.info("stopped");
    await closeParts();
  };
  return { url, stop: () => (stopping ??= stop()) };
}

/** Without verification nothing that is unverified becomes anything else. */
function composeRecheck(
  { sumdb: settings }: Config,
  parts: {
    readonly store: ModuleStore;
    readonly sumdb: Sumdb;
    readonly events: Events;
    readonly server: ComposedServer;
  },
): Recheck | undefined {
  if (!parts.sumdb.isVerifying) return undefined;
  return startRecheck({
    store: parts.store,
    sums: parts.sumdb.verifier,
    clock: systemClock,
    events: parts.events,
    intervalMs: settings.recheckIntervalMs,
    onRejected: (key) => parts.server.forget(key),
  });
}
