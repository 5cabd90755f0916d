import { randomBytes } from "node:crypto";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { ModuleStore } from "./core/ports.ts";
import { Resolver } from "./core/resolve.ts";
import { createEvents } from "./ops/events.ts";
import { createLog, type Log } from "./ops/log.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createRequestRecorder } from "./ops/request-recorder.ts";
import { createClientAddress } from "./server/client-address.ts";
import { HotAnswers } from "./server/hot-answers.ts";
import { type RunningServer, startHttpServer } from "./server/http-server.ts";
import { createOperatorApp } from "./server/operator-app.ts";
import { createProtocolHandler } from "./server/protocol-handler.ts";
import { createRequestIds } from "./server/request-id.ts";
import { openDataFolder } from "./storage/data-folder.ts";
import { createZipVerifier } from "./storage/zip-verifier.ts";
import { composeSources } from "./compose-sources.ts";
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
  const metrics = createMetrics({ fetching: () => resolver.fetching, version });
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
  const source = composeSources(config, { events, log, version, instanceId, store });
  const resolver = new Resolver({
    store,
    source,
    verifier,
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

  const closeParts = async (): Promise<void> => {
    await source.close();
    await store.close();
    await verifier.close();
    log.close();
  };
  let isDraining = false;
  let url = "";
  let server: RunningServer;
  try {
    server = await startServer(config, {
      resolver,
      store,
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

interface ServerParts {
  readonly resolver: Resolver;
  readonly store: ModuleStore;
  readonly log: Log;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly version: string;
  readonly viaName: string;
  readonly isDraining: () => boolean;
  readonly url: () => string;
}

function startServer(config: Config, parts: ServerParts): Promise<RunningServer> {
  const { listen, basePath, maxUrlBytes, maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs } = config.server;
  const nextRequestId = createRequestIds();
  const hot = new HotAnswers({
    maxBytes: Math.floor(config.store.memoryBytes * hotShare),
    clock: systemClock,
    nextRequestId,
    keepAliveTimeoutMs,
    touch: (key) => parts.store.touch(key),
  });
  const protocol = createProtocolHandler({
    resolver: parts.resolver,
    hot,
    recorder: createRequestRecorder(parts.log, parts.metrics, { logRequests: config.log.requests }),
    clock: systemClock,
    nextRequestId,
    clientAddress: createClientAddress(config.server.trustedProxies),
    basePath,
    maxUrlBytes,
    notFoundTtlMs: config.freshness.notFoundMs,
    viaName: parts.viaName,
  });
  const app = createOperatorApp({
    registry: parts.metrics.registry,
    version: parts.version,
    publicUrl: parts.url,
    checkReady: async () => {
      if (parts.isDraining()) throw new Error("this node is shutting down");
      await parts.store.check();
    },
  });
  return startHttpServer({ app, protocol, hot, basePath, maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs }, listen);
}

/** A wildcard address is no address to connect to: people on this machine paste loopback, others the machine's name. */
function publicUrl({ server }: Config, port: number): string {
  const { host } = server.listen;
  const name = host === "" || host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}${server.basePath}`;
}
