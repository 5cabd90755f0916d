import type { Config } from "./config/index.ts";
import { EngineLink } from "./cluster/engine-link.ts";
import { createFrontHandlers } from "./cluster/front-handlers.ts";
import { systemClock } from "./core/clock.ts";
import { isSluiceError } from "./core/errors.ts";
import type { Events } from "./core/events.ts";
import { createProcessMessages } from "./fleet/process-messages.ts";
import { createEvents } from "./ops/events.ts";
import { createLog } from "./ops/log.ts";
import { createMetrics, type Metrics } from "./ops/metrics.ts";
import { createRequestRecorder } from "./ops/request-recorder.ts";
import { createClientAddress } from "./server/client-address.ts";
import type { ExchangeOptions } from "./server/exchange.ts";
import { HotAnswers } from "./server/hot-answers.ts";
import { createRequestIds } from "./server/request-id.ts";
import { openStoreReader } from "./storage/store-reader.ts";
import { composeAccess } from "./compose-access.ts";
import { hotShare } from "./compose-node.ts";
import { isRedirected } from "./compose-redirect.ts";
import { listen } from "./compose-server.ts";
import manifest from "../package.json" with { type: "json" };

export interface FrontPlace {
  readonly socketPath: string;
  /** Of the configured memory. */
  readonly memoryShare: number;
}

/** One of the processes that answer clients. */
export interface Front {
  readonly port: number;
  readonly metrics: Metrics;
  /** As the server's. */
  stop(limitMs: number, lingerMs: number): Promise<void>;
}

/** Builds a front and listens. Fails with `storage_failed` or Node's own listen error. */
export async function startFront(config: Config, place: FrontPlace): Promise<Front> {
  const log = createLog({ ...config.log, isShared: true });
  const metrics = createMetrics({
    version: manifest.version,
    fetching: () => 0,
    unverified: () => Promise.resolve(undefined),
    health: () => Promise.resolve([]),
  });
  const events = createEvents(log.logger, metrics);
  const { dataDir, memoryBytes, wholeFileLimitBytes } = config.store;
  const bytes = memoryBytes * place.memoryShare;
  const store = await openStoreReader({
    dataDir,
    memoryBytes: Math.floor(bytes * (1 - hotShare)),
    wholeFileLimitBytes,
    confirmedOnly: config.sumdb.verify === "required",
    clock: systemClock,
    events: withoutCorrupt(events),
  });
  const { keepAliveTimeoutMs, trustedProxies, basePath, maxUrlBytes } = config.server;
  const nextRequestId = createRequestIds();
  const engine = new EngineLink({ socketPath: place.socketPath, clock: systemClock });
  const messages = createProcessMessages(process, { name: "engine", events });
  const exchange: ExchangeOptions = {
    hot: new HotAnswers({
      maxBytes: Math.floor(bytes * hotShare),
      clock: systemClock,
      nextRequestId,
      keepAliveTimeoutMs,
      touch: (key) => store.touch(key),
    }),
    recorder: createRequestRecorder(log, metrics, { logRequests: config.log.requests }),
    clock: systemClock,
    nextRequestId,
    clientAddress: createClientAddress(trustedProxies),
    basePath,
    maxUrlBytes,
    notFoundTtlMs: config.freshness.notFoundMs,
    // Loops are found by the engine, whose name stands in what it sends.
    viaName: "sluice-front",
  };
  const access = composeAccess(config, { exchange, messages });
  const handlers = createFrontHandlers({
    ...exchange,
    ...access,
    store: {
      ...store,
      read: async (request) => {
        try {
          const file = await store.read(request);
          if (file === undefined || !isRedirected(config, { request, size: file.size })) return file;
          // The engine knows whether the bucket has it.
          file.discard();
          return undefined;
        } catch (error) {
          // A ledger that cannot be read now: the engine answers, and tells what is wrong with it.
          if (isSluiceError(error, "storage_failed")) return undefined;
          throw error;
        }
      },
    },
    engine,
  });
  messages.subscribe((message) => handlers.heard(message));
  const server = await listen(config, handlers);
  return {
    port: server.port,
    metrics,
    async stop(limitMs, lingerMs) {
      await server.stop(limitMs, lingerMs);
      access.close();
      await messages.close();
      engine.close();
      await store.close();
      log.close();
    },
  };
}

/** The engine finds the same, sets it aside and tells. */
function withoutCorrupt(events: Events): Events {
  return {
    emit: (event) => {
      if (event.type !== "file_corrupt") events.emit(event);
    },
  };
}
