import { Readable } from "node:stream";
import { createDispatchers } from "./dispatchers.ts";
import { createDnsCache, type DnsCache } from "./dns-cache.ts";
import type { Egress } from "./egress.ts";
import type { HttpTimeouts } from "./http-client.ts";
import { transportError } from "./transport-error.ts";

/** A request as the AWS SDK has signed it. */
export interface SdkRequest {
  readonly method: string;
  /** With its colon. */
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  /** Escaped. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface SdkResponse {
  readonly statusCode: number;
  /** Lowercase names. */
  readonly headers: Record<string, string>;
  readonly body: Readable;
}

/** What the AWS SDK calls its `requestHandler`. */
export interface SdkHandler {
  handle(request: SdkRequest, options?: { readonly abortSignal?: unknown }): Promise<{ response: SdkResponse }>;
  /** Requests under way fail. */
  destroy(): void;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
}

export interface SdkHandlerOptions {
  /** PEM certificates of the authorities to trust, of `loadTrust`. */
  readonly ca: readonly string[];
  /** The forward proxy for a URL, of `createEgress`. Default: none. */
  readonly egress?: Egress | undefined;
  /** Shared between clients. Default: an own one. */
  readonly dns?: DnsCache;
  /** Default 64. */
  readonly connections?: number;
  /** Default 10 s, 30 s and 30 s. A large body is sent within `firstByteMs`, too. */
  readonly timeouts?: Partial<Omit<HttpTimeouts, "totalMs">>;
}

const defaultTimeouts = { connectMs: 10_000, firstByteMs: 30_000, idleBodyMs: 30_000 };

/**
 * Puts the requests of the AWS SDK through this gate: our trust, forward proxies, DNS and pools instead of those the SDK brings.
 * Sends each once: whoever calls the SDK decides what is sent again. Fails as `HttpClient` does.
 */
export function createSdkHandler(options: SdkHandlerOptions): SdkHandler {
  const { connectMs, firstByteMs, idleBodyMs } = { ...defaultTimeouts, ...options.timeouts };
  const lifetime = new AbortController();
  const dispatchers = createDispatchers({
    ca: options.ca,
    dns: options.dns ?? createDnsCache(),
    connections: options.connections ?? 64,
    connectMs,
    firstByteMs,
    maxHeaderBytes: 65_536,
    allowHttp2: false,
    lifetime: lifetime.signal,
  });

  return {
    async handle(request, { abortSignal } = {}) {
      const url = urlOf(request);
      const via = { proxy: options.egress?.(url), publicOnly: false, insecure: false };
      const { dispatcher, origin, path, headers } = dispatchers.route(url, via);
      try {
        const answer = await dispatcher.request({
          origin,
          path,
          method: request.method,
          headers: { ...request.headers, ...headers },
          body: bodyOf(request),
          bodyTimeout: idleBodyMs,
          signal: abortSignal instanceof AbortSignal ? abortSignal : null,
        });
        // Whoever reads it gets its error from the reading.
        answer.body.on("error", () => undefined);
        return {
          response: { statusCode: answer.statusCode, headers: joined(answer.headers), body: answer.body },
        };
      } catch (error) {
        throw transportError(error, { host: url.host, connectMs, firstByteMs });
      }
    },
    destroy() {
      lifetime.abort();
      dispatchers.destroy().catch(() => undefined);
    },
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
  };
}

function urlOf({ protocol, hostname, port, path, query = {} }: SdkRequest): URL {
  const url = new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`);
  url.search = Object.entries(query).flatMap(pairs).join("&");
  return url;
}

/** Escaped as the signature has it. `null` is a name alone. */
function pairs([name, value]: [string, string | readonly string[] | null]): string[] {
  if (value === null) return [escape(name)];
  return [value].flat().map((one) => `${escape(name)}=${escape(one)}`);
}

function escape(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function bodyOf({ body }: SdkRequest): string | Uint8Array | Readable | null {
  if (body === undefined || body === null) return null;
  if (typeof body === "string" || body instanceof Uint8Array || body instanceof Readable) return body;
  throw new TypeError("a request's body is neither text nor bytes nor a stream");
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const pairs = Object.entries(headers).map(([name, value = ""]) => [name.toLowerCase(), [value].flat().join(", ")]);
  return Object.fromEntries(pairs);
}
