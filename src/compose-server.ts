import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { BlobKey, ModuleStore } from "./core/ports.ts";
import type { Resolver } from "./core/resolve.ts";
import type { ServedLog } from "./core/served-log.ts";
import type { Log } from "./ops/log.ts";
import type { Metrics } from "./ops/metrics.ts";
import { createRequestRecorder } from "./ops/request-recorder.ts";
import { createClientAddress } from "./server/client-address.ts";
import type { ExchangeOptions } from "./server/exchange.ts";
import { HotAnswers } from "./server/hot-answers.ts";
import { type RunningServer, startHttpServer } from "./server/http-server.ts";
import type { PartHealth } from "./core/health.ts";
import type { OperatorApiOptions } from "./server/operator-api.ts";
import { createOperatorApp } from "./server/operator-app.ts";
import { createProtocolHandler } from "./server/protocol-handler.ts";
import { readinessOf } from "./server/readiness.ts";
import { createRequestIds } from "./server/request-id.ts";
import { createSumdbHandler } from "./server/sumdb-handler.ts";

interface ServerParts {
  readonly resolver: Resolver;
  readonly store: ModuleStore;
  /** What is served below `/sumdb/`. */
  readonly sumLogs: readonly ServedLog[];
  /** For answers that are given again from memory. */
  readonly hotBytes: number;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly version: string;
  readonly viaName: string;
  /** What is served below `/-/`. */
  readonly api: OperatorApiOptions;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly isDraining: () => boolean;
  readonly url: () => string;
}

export interface ComposedServer extends RunningServer {
  /** A stored file turned out to be wrong: its answer in memory is, too. */
  forget(key: BlobKey): void;
  /** Forgets ready answers that can change, and tells how many. */
  purge(isMeant: (key: BlobKey) => boolean): number;
}

/** Builds everything between the resolver and the socket, and listens. Fails with Node's own listen error. */
export async function startServer(config: Config, parts: ServerParts): Promise<ComposedServer> {
  const { listen, basePath, maxUrlBytes, maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs } = config.server;
  const nextRequestId = createRequestIds();
  const hot = new HotAnswers({
    maxBytes: parts.hotBytes,
    clock: systemClock,
    nextRequestId,
    keepAliveTimeoutMs,
    touch: (key) => parts.store.touch(key),
  });
  const exchange: ExchangeOptions = {
    hot,
    recorder: createRequestRecorder(parts.log, parts.metrics, { logRequests: config.log.requests }),
    clock: systemClock,
    nextRequestId,
    clientAddress: createClientAddress(config.server.trustedProxies),
    basePath,
    maxUrlBytes,
    notFoundTtlMs: config.freshness.notFoundMs,
    viaName: parts.viaName,
  };
  const protocol = createProtocolHandler({ ...exchange, resolver: parts.resolver });
  const sumdb = createSumdbHandler({ ...exchange, logs: parts.sumLogs });
  const app = createOperatorApp({
    registry: parts.metrics.registry,
    api: parts.api,
    version: parts.version,
    publicUrl: parts.url,
    readiness: async () => readinessOf(await parts.health(), { isDraining: parts.isDraining() }),
  });
  const server = await startHttpServer(
    { app, protocol, sumdb, hot, basePath, maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs },
    listen,
  );
  return { ...server, forget: (key) => hot.forget(key), purge: (isMeant) => hot.purge(isMeant) };
}

/** A wildcard address is no address to connect to: people on this machine paste loopback, others the machine's name. */
export function publicUrl({ server }: Config, port: number): string {
  const { host } = server.listen;
  const name = host === "" || host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}${server.basePath}`;
}
