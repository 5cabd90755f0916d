import { createSecureContext, type SecureContext } from "node:tls";
import { Agent, type Dispatcher } from "undici";
import { createConnector } from "./connector.ts";
import type { DnsCache } from "./dns-cache.ts";
import { proxyAuthorization } from "./proxy.ts";

export interface DispatcherOptions {
  /** PEM certificates of the authorities to trust. */
  readonly ca: readonly string[];
  readonly dns: DnsCache;
  readonly connections: number;
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly maxHeaderBytes: number;
  readonly allowHttp2: boolean;
  /** Aborted before `destroy`, so that no connection under way outlives it. */
  readonly lifetime: AbortSignal;
}

/** How to put one request on the wire. */
export interface Route {
  readonly dispatcher: Dispatcher;
  readonly origin: string;
  /** The request target: a path, or the whole URL when an HTTP proxy forwards it. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The kind of way out that a request takes. */
export interface Via {
  readonly proxy: URL | undefined;
  /** Refuses addresses within this network. */
  readonly publicOnly: boolean;
  /** Takes any TLS certificate. */
  readonly insecure: boolean;
}

export interface Dispatchers {
  route(url: URL, via: Via): Route;
  /** Requests under way fail. */
  destroy(): Promise<void>;
}

/** Connection pools: one agent for each way out (direct, direct but public addresses only, each proxy, any of them insecure), each with a pool per origin. */
export function createDispatchers(options: DispatcherOptions): Dispatchers {
  const secureContext = secureContextOf(options.ca);
  const agents = new Map<string, Agent>();

  return {
    route(url, via) {
      const { proxy } = via;
      const dispatcher = agentFor(via);
      const path = url.pathname + url.search;
      if (proxy === undefined || url.protocol === "https:" || proxy.protocol.startsWith("socks5")) {
        return { dispatcher, origin: url.origin, path, headers: {} };
      }
      const authorization = proxyAuthorization(proxy);
      return {
        dispatcher,
        origin: `${proxy.protocol}//${proxy.host}`,
        path: url.origin + path,
        headers: { host: url.host, ...(authorization !== undefined && { "proxy-authorization": authorization }) },
      };
    },
    async destroy() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };

  function agentFor({ proxy, publicOnly, insecure }: Via): Agent {
    const key = `${proxy?.href ?? (publicOnly ? "public" : "direct")}${insecure ? " insecure" : ""}`;
    const known = agents.get(key);
    if (known !== undefined) return known;
    const { dns, connectMs, allowHttp2, lifetime } = options;
    const agent = new Agent({
      connect: createConnector({
        secureContext,
        dns,
        connectMs,
        proxy,
        publicOnly,
        insecure,
        allowHttp2,
        lifetime,
      }),
      connections: options.connections,
      allowH2: allowHttp2,
      headersTimeout: options.firstByteMs,
      // The body's pace is measured where it is read, so that a slow reader is not taken for a slow server.
      bodyTimeout: 0,
      maxHeaderSize: options.maxHeaderBytes,
      // Below the 60 s and more that servers and balancers keep idle connections; a shorter hint of the server's own wins.
      keepAliveTimeout: 20_000,
      keepAliveMaxTimeout: 60_000,
    });
    agents.set(key, agent);
    return agent;
  }
}

// Parsing a whole store takes milliseconds and megabytes, and clients usually share one.
const secureContexts = new WeakMap<readonly string[], SecureContext>();

function secureContextOf(ca: readonly string[]): SecureContext {
  const known = secureContexts.get(ca);
  if (known !== undefined) return known;
  const context = createSecureContext({ ca: [...ca] });
  secureContexts.set(ca, context);
  return context;
}
