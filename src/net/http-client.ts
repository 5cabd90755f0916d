import type { Dispatcher } from "undici";
import { SluiceError } from "../core/errors.ts";
import { createDispatchers, type Dispatchers } from "./dispatchers.ts";
import { createDnsCache, type DnsCache } from "./dns-cache.ts";
import { startExchange, type Exchange } from "./exchange.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "./http.ts";
import { nextHop, type Hop } from "./redirect.ts";
import { codingOf, readBody } from "./response-body.ts";
import { isPrivateAddress, isPrivateHost, isPublicAddress, privateAddress, unnamedPrivateHost } from "./ssrf.ts";
import { transportError } from "./transport-error.ts";

export interface HttpTimeouts {
  /** DNS, TCP, a proxy's answer and TLS together. Default 10 s. */
  readonly connectMs: number;
  /** From the request sent to the head of the answer. Default 30 s. */
  readonly firstByteMs: number;
  /** Waiting for the server, within a body, in which fewer than `idleBytes` came. Default 30 s. */
  readonly idleBodyMs: number;
  /** All of it: redirects, queues and the body as fast as it is read. Default 10 min. */
  readonly totalMs: number;
}

export interface HttpClientOptions {
  /** PEM certificates of the authorities to trust, of `loadTrust`. Pass the same array to several clients: it is parsed once. */
  readonly ca: readonly string[];
  /** The forward proxy for a URL, of `createEgress`. Default: none. */
  readonly egress?: ((url: URL) => URL | undefined) | undefined;
  /** Shared between clients. Default: an own one. */
  readonly dns?: DnsCache;
  readonly userAgent: string;
  /** Named in the `Via` header of every request, by which a chain that leads back here is noticed. */
  readonly instanceId: string;
  /** Per origin and way out. Default 64. */
  readonly connections?: number;
  readonly timeouts?: Partial<HttpTimeouts>;
  /** A body slower than this many bytes per `idleBodyMs` counts as idle. Default 8 KiB. */
  readonly idleBytes?: number;
  /** Of a response. Default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** Default 10, as go has it. */
  readonly maxRedirects?: number;
  /**
   * Default false. Against Go's own mirror, 366 small files at once took about as long over 64 HTTP/1.1 connections as over one of
   * HTTP/2, and a 25 MB zip too; but all files share the fate of the one connection when it is cut or stalls.
   */
  readonly allowHttp2?: boolean;
}

interface Client {
  /** Aborted when the client is closed. */
  readonly lifetime: AbortSignal;
  readonly dispatchers: Dispatchers;
  readonly dns: DnsCache;
  readonly egress: (url: URL) => URL | undefined;
  readonly timeouts: HttpTimeouts;
  readonly idleBytes: number;
  readonly maxRedirects: number;
  readonly baseHeaders: Readonly<Record<string, string>>;
}

const defaultTimeouts: HttpTimeouts = { connectMs: 10_000, firstByteMs: 30_000, idleBodyMs: 30_000, totalMs: 600_000 };

/** What is left of an unread body below this is read, to keep its connection; behind it the connection is closed. */
const discardBytes = 65_536;
const discardMs = 1000;

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const dns = options.dns ?? createDnsCache();
  const lifetime = new AbortController();
  const client: Client = {
    lifetime: lifetime.signal,
    dispatchers: createDispatchers({
      lifetime: lifetime.signal,
      ca: options.ca,
      dns,
      connections: options.connections ?? 64,
      connectMs: timeouts.connectMs,
      firstByteMs: timeouts.firstByteMs,
      maxHeaderBytes: options.maxHeaderBytes ?? 65_536,
      allowHttp2: options.allowHttp2 ?? false,
    }),
    dns,
    egress: options.egress ?? (() => undefined),
    timeouts,
    idleBytes: options.idleBytes ?? 8192,
    maxRedirects: options.maxRedirects ?? 10,
    baseHeaders: { "user-agent": options.userAgent, via: `1.1 sluice-${options.instanceId}` },
  };
  return {
    get: (request) => get(client, request),
    async close() {
      lifetime.abort();
      await client.dispatchers.destroy();
    },
  };
}

async function get(client: Client, request: HttpRequest): Promise<HttpResponse> {
  const exchange = startExchange([request.signal, client.lifetime], {
    host: request.url.host,
    totalMs: client.timeouts.totalMs,
  });
  try {
    const stopped = exchange.stopped();
    if (stopped !== undefined) throw stopped;
    let hop: Hop = { url: request.url, headers: ownHeaders(request), foreign: false };
    for (let hops = 0; ; hops++) {
      const answer = await send(client, hop, { request, exchange });
      const location = headerValue(answer.headers["location"]);
      const isFinal = request.method !== undefined && request.method !== "GET";
      const next = isFinal
        ? undefined
        : nextHop(hop, { status: answer.statusCode, location, insecure: request.insecure });
      if (next === undefined) return respond(client, answer, { request, exchange, url: hop.url });
      discard(answer.body);
      if (hops === client.maxRedirects) {
        throw new SluiceError(
          "upstream_invalid",
          `${request.url.host}: redirected more than ${client.maxRedirects} times.`,
          {
            details: { host: request.url.host, permanent: true },
          },
        );
      }
      hop = next;
    }
  } catch (error) {
    exchange.end();
    if (request.mayBePrivate !== undefined && isPrivateAddress(error)) throw unnamedPrivateHost(error);
    throw (
      exchange.stopped() ?? transportError(error, { host: request.url.host, firstByteMs: client.timeouts.firstByteMs })
    );
  }
}

async function send(
  client: Client,
  hop: Hop,
  { request, exchange }: { request: HttpRequest; exchange: Exchange },
): Promise<Dispatcher.ResponseData> {
  const proxy = client.egress(hop.url);
  const publicOnly =
    request.mayBePrivate === undefined
      ? hop.foreign && !(await exchange.race(isPrivateUpstream(client, request.url)))
      : !request.mayBePrivate(hop.url.hostname);
  if (publicOnly && isPrivateHost(hop.url.hostname)) throw privateAddress(hop.url.hostname);
  const { dispatcher, origin, path, headers } = client.dispatchers.route(hop.url, {
    proxy,
    publicOnly,
    insecure: request.insecure ?? false,
  });
  return exchange.race(
    dispatcher.request({
      origin,
      path,
      method: request.method ?? "GET",
      body: request.body ?? null,
      headers: {
        ...client.baseHeaders,
        "accept-encoding": takesGzip(request) ? "gzip" : "identity",
        ...hop.headers,
        ...headers,
      },
      signal: exchange.signal,
    }),
  );
}

function respond(
  client: Client,
  answer: Dispatcher.ResponseData,
  { request, exchange, url }: { request: HttpRequest; exchange: Exchange; url: URL },
): HttpResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer.headers)) headers[name.toLowerCase()] = headerValue(value) ?? "";
  const raw = answer.body;
  raw.once("close", () => exchange.end());
  // Whoever reads it gets its error from the reading.
  raw.on("error", () => undefined);
  const body = readBody(raw, {
    host: url.host,
    status: answer.statusCode,
    headers,
    maxBytes: request.maxBytes,
    idleMs: client.timeouts.idleBodyMs,
    idleBytes: client.idleBytes,
    acceptsGzip: takesGzip(request),
    stopped: () => exchange.stopped(),
  });
  const length = headers["content-length"];
  const isPlain = codingOf({ status: answer.statusCode, headers }) === "identity";
  return {
    status: answer.statusCode,
    headers,
    url,
    size: length !== undefined && isPlain ? Number(length) : undefined,
    body,
    discard: () => discard(raw),
  };
}

/** Lets go of a body without reading it, or with what little is left of it when that saves its connection. */
function discard(body: Dispatcher.ResponseData["body"]): void {
  if (body.destroyed) return;
  // Whoever discards a body does not want to hear how it ended.
  body.dump({ limit: discardBytes, signal: AbortSignal.timeout(discardMs) }).catch(() => undefined);
}

function ownHeaders({ headers, credentials }: HttpRequest): Record<string, string> {
  if (credentials === undefined) return { ...headers };
  const { username, password } = credentials;
  return { ...headers, authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

/** Byte positions are those of the file only when nothing compresses it on the way. */
function takesGzip({ headers = {} }: HttpRequest): boolean {
  return !Object.keys(headers).some((name) => /^(range|accept-encoding)$/i.test(name));
}

/** An upstream within this network may redirect within this network. Asked only when there is a redirect. */
async function isPrivateUpstream({ dns, egress }: Client, url: URL): Promise<boolean> {
  if (isPrivateHost(url.hostname)) return true;
  if (egress(url) !== undefined) return false;
  const addresses = await dns.resolve(url.hostname);
  return addresses.some(({ address }) => !isPublicAddress(address));
}

function headerValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}
