import type { Config, ListenAddress } from "./config/index.ts";
import { passedOnClient, tellAnswer } from "./cluster/inner-headers.ts";
import { systemClock } from "./core/clock.ts";
import type { Messages } from "./core/fleet.ts";
import type { Resolver } from "./core/resolve.ts";
import type { ServedLog } from "./core/served-log.ts";
import { createRequestRecorder } from "./ops/request-recorder.ts";
import { createClientAddress } from "./server/client-address.ts";
import type { ExchangeOptions } from "./server/exchange.ts";
import { HotAnswers } from "./server/hot-answers.ts";
import { type Handlers, type RunningServer, startHttpServer } from "./server/http-server.ts";
import { createOperatorHandler } from "./server/operator-app.ts";
import type { OperatorApiOptions } from "./server/operator-api.ts";
import { createProtocolHandler } from "./server/protocol-handler.ts";
import { readinessOf } from "./server/readiness.ts";
import { createRefusedOperators } from "./server/refused-operators.ts";
import { createRequestIds } from "./server/request-id.ts";
import { createSumdbHandler } from "./server/sumdb-handler.ts";
import { composeAccess } from "./compose-access.ts";
import { exposeMetrics } from "./compose-engine.ts";
import type { Node } from "./compose-node.ts";
import { composeRedirect } from "./compose-redirect.ts";

interface HandlerParts {
  readonly node: Node;
  readonly resolver: Resolver;
  /** What is served below `/sumdb/`. */
  readonly sumLogs: readonly ServedLog[];
  /** What is served below `/-/`. */
  readonly api: Pick<OperatorApiOptions, "token" | "actions">;
  /** Other nodes and processes. */
  readonly messages: Messages | undefined;
}

/** Builds everything between the resolver and the socket. */
export function composeHandlers(config: Config, parts: HandlerParts): Handlers & { readonly close: () => void } {
  const { basePath, maxUrlBytes, keepAliveTimeoutMs } = config.server;
  const { store, log, metrics, events, instanceId, version, engine } = parts.node;
  const nextRequestId = createRequestIds();
  const hot = new HotAnswers({
    maxBytes: parts.node.hotBytes,
    clock: systemClock,
    nextRequestId,
    keepAliveTimeoutMs,
    touch: (key) => store.touch(key),
  });
  const exchange: ExchangeOptions = {
    hot,
    recorder: createRequestRecorder(log, metrics, { logRequests: config.log.requests }),
    clock: systemClock,
    nextRequestId,
    clientAddress: engine === undefined ? createClientAddress(config.server.trustedProxies) : passedOnClient,
    basePath,
    maxUrlBytes,
    notFoundTtlMs: config.freshness.notFoundMs,
    viaName: `sluice-${instanceId}`,
    ...(engine === undefined ? {} : { tellAnswer }),
  };
  const { access, gate, close } = composeAccess(config, { exchange, messages: parts.messages });
  const protocol = createProtocolHandler({
    ...exchange,
    access,
    resolver: parts.resolver,
    redirect: composeRedirect(config, store),
  });
  const sumdb = createSumdbHandler({ ...exchange, access, logs: parts.sumLogs });
  const operator = createOperatorHandler({
    registry: exposeMetrics(metrics, engine),
    version,
    publicUrl: () => parts.node.state.url,
    api: {
      ...parts.api,
      clientAddress: exchange.clientAddress,
      onRefused: createRefusedOperators({ events, clock: systemClock }),
    },
    readiness: async () => readinessOf(await parts.node.health(), parts.node.state),
  });
  // Who asks an engine has passed the gate of a front.
  return { operator, protocol, sumdb, hot, gate: engine === undefined ? gate : undefined, basePath, close };
}

/** Fails with Node's own listen error. */
export function listen(
  { server }: Config,
  handlers: Handlers,
  address: ListenAddress | { readonly path: string } = server.listen,
): Promise<RunningServer> {
  const { maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs } = server;
  return startHttpServer({ handlers, maxHeaderBytes, headerTimeoutMs, keepAliveTimeoutMs }, address);
}

/** A wildcard address is no address to connect to: people on this machine paste loopback, others the machine's name. */
export function publicUrl({ server }: Config, port: number): string {
  const { host } = server.listen;
  const name = host === "" || host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}${server.basePath}`;
}
