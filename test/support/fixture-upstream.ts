import { createHash } from "node:crypto";
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { fixtureFiles, type FixtureFiles } from "./fixture-modules.ts";

/** One request as it arrived. */
export interface RecordedRequest {
  readonly method: string;
  /** Without leading slash, base path and query, percent-decoded: `example.com/!upper/!case/@v/list`. */
  readonly path: string;
  /** As on the wire. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** A path as in `RecordedRequest.path` (a leading slash is ignored), or what tells the requests that are meant. */
export type RequestMatcher = string | RegExp | ((request: RecordedRequest) => boolean);

/** What goes wrong. Where nothing else is said, the rest of the answer is the good one. */
export type Fault = { readonly times?: number | undefined } & (
  | {
      /** An answer with this status: 429 with `{"retry-after": "1"}`, 503, 403, 204… Default body: `fault <status>` as text/plain. */
      readonly kind: "status";
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** 200 with another body and, if given, other headers. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array | string; readonly headers?: Readonly<Record<string, string>> }
  /** 200 with a login page. */
  | { readonly kind: "html" }
  /** The good answer, compressed. */
  | { readonly kind: "gzip" }
  | { readonly kind: "redirect"; readonly to: string; readonly status?: number }
  /** The good answer once `until` has resolved. */
  | { readonly kind: "delay"; readonly until: Promise<unknown> }
  /** Sends the right headers and `afterBytes` bytes, then destroys the connection. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** Sends the right headers and `afterBytes` bytes, then nothing, for ever. */
  | { readonly kind: "stall"; readonly afterBytes: number }
  /** Sends `chunkBytes` (default 1) every `everyMs` (default 1000). */
  | { readonly kind: "drip"; readonly chunkBytes?: number; readonly everyMs?: number }
  /** Says another Content-Length than it sends. Smaller: the rest is left over on the connection. Larger: ends early. */
  | { readonly kind: "length"; readonly contentLength: number }
  /** Reads the request and never answers. */
  | { readonly kind: "hang" }
  /** Closes the connection without an answer. */
  | { readonly kind: "close" }
  /** Anything else. */
  | { readonly kind: "handler"; readonly handle: (request: IncomingMessage, response: ServerResponse) => void }
);

export interface FixtureUpstreamOptions {
  /** Default `fixtureFiles()`. Used as it is: changing the map changes the upstream. */
  readonly modules?: FixtureFiles;
  /** Matcher and fault, as `setFault` takes them. */
  readonly faults?: readonly (readonly [RequestMatcher, Fault])[];
  /** What it says of files it does not have. Default 404 with `not found: …` as text/plain. */
  readonly missingStatus?: 403 | 404 | 410;
  /** Answers every `@latest` with 404, as upstreams without that endpoint do. */
  readonly withoutLatest?: boolean;
  /** Path below which the protocol is served, such as `/go`. */
  readonly basePath?: string;
  /** Everything else is 401. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** PEM. Serves https instead. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** A fixed port, for an upstream that comes back. Default: a free one. */
  readonly port?: number;
}

/** A GOPROXY on loopback that records what it is asked and misbehaves as told. */
export interface FixtureUpstream {
  /** With base path, without trailing slash: what goes into GOPROXY. */
  readonly url: string;
  readonly port: number;
  /** All requests in order of arrival. Empty it with `requests.length = 0`. */
  readonly requests: RecordedRequest[];
  /** The requests that match, for counting. */
  requestsFor(matcher: RequestMatcher): RecordedRequest[];
  /** Resolves when `count` (default 1) matching requests have arrived in total: for waiting without sleeping. */
  arrived(matcher: RequestMatcher, count?: number): Promise<void>;
  /** From now on matching requests fail so, `times` times or until cleared. The latest fault that matches wins. */
  setFault(matcher: RequestMatcher, fault: Fault): void;
  clearFaults(): void;
  /** Connections open now. */
  connections(): Promise<number>;
  /** Stops listening and cuts every connection; hanging and dripping answers end. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts a GOPROXY that serves `modules` as a good one does: Content-Length, a strong ETag, Range with If-Range, HEAD.
 *
 * @example
 * const upstream = await startFixtureUpstream();
 * upstream.setFault("example.com/leaf/@v/v1.0.0.zip", { kind: "cut", afterBytes: 100, times: 1 });
 * upstream.setFault(/\.zip$/, { kind: "status", status: 429, headers: { "retry-after": "1" } });
 * const gate = Promise.withResolvers<void>();
 * upstream.setFault("example.com/leaf/@v/list", { kind: "delay", until: gate.promise });
 * await upstream.arrived("example.com/leaf/@v/list"); gate.resolve();
 */
export async function startFixtureUpstream(options: FixtureUpstreamOptions = {}): Promise<FixtureUpstream> {
  const modules = options.modules ?? fixtureFiles();
  const requests: RecordedRequest[] = [];
  const faults: { matcher: RequestMatcher; fault: Fault; left: number }[] = [];
  const waiters = new Set<() => void>();
  const closing = new AbortController();
  const basePath = (options.basePath ?? "").replace(/\/$/, "");

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // The client hanging up is what many tests are about.
    request.on("error", () => {});
    response.on("error", () => {});
    const recorded = record(request, basePath);
    if (recorded === undefined) return sendText(response, 400, "outside the base path");
    requests.push(recorded);
    for (const wake of waiters) wake();
    if (!isAuthorized(request, options)) {
      response.setHeader("www-authenticate", 'Basic realm="fixture"');
      return sendText(response, 401, "unauthorized");
    }
    const fault = takeFault(recorded);
    const bytes =
      options.withoutLatest === true && recorded.path.endsWith("/@latest") ? undefined : modules.get(recorded.path);
    if (fault !== undefined) return misbehave({ fault, request, response, path: recorded.path, bytes });
    return answer(request, response, recorded.path, bytes);
  };
  const server = options.tls === undefined ? createHttpServer(listener) : createHttpsServer(options.tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const port = listeningPort(server.address());

  function takeFault(request: RecordedRequest): Fault | undefined {
    const found = faults.findLast(({ matcher, left }) => left > 0 && matches(matcher, request));
    if (found !== undefined) found.left -= 1;
    return found?.fault;
  }

  function answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    bytes: Uint8Array | undefined,
  ): void {
    if (bytes === undefined)
      return sendText(response, options.missingStatus ?? 404, `not found: ${path}: unknown to the fixture`);
    sendFile(request, response, path, bytes);
  }

  function misbehave(scene: {
    fault: Fault;
    request: IncomingMessage;
    response: ServerResponse;
    path: string;
    bytes: Uint8Array | undefined;
  }): void {
    const { fault, request, response, path } = scene;
    const bytes = scene.bytes ?? new Uint8Array();
    switch (fault.kind) {
      case "status":
        response.writeHead(fault.status, { "content-type": "text/plain; charset=utf-8", ...fault.headers });
        response.end(
          fault.status === 204 || fault.status === 304 ? undefined : (fault.body ?? `fault ${fault.status}`),
        );
        return;
      case "bytes":
        response.writeHead(200, { "content-type": contentType(path), ...fault.headers });
        response.end(fault.bytes);
        return;
      case "html":
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
        response.end("<!DOCTYPE html>\n<html><title>Sign in</title><body>Please sign in.</body></html>\n");
        return;
      case "gzip":
        response.writeHead(200, { "content-type": contentType(path), "content-encoding": "gzip" });
        response.end(gzipSync(bytes));
        return;
      case "redirect":
        response.writeHead(fault.status ?? 302, { location: fault.to }).end();
        return;
      case "delay":
        void fault.until.then(() => answer(request, response, path, scene.bytes));
        return;
      case "cut":
        response.writeHead(200, { "content-type": contentType(path), "content-length": bytes.length });
        // Written and flushed before the connection goes, so that the client surely has those bytes.
        response.write(bytes.subarray(0, fault.afterBytes), () => response.socket?.destroySoon());
        response.flushHeaders();
        return;
      case "stall":
        response.writeHead(200, { "content-type": contentType(path), "content-length": bytes.length });
        response.flushHeaders();
        if (fault.afterBytes > 0) response.write(bytes.subarray(0, fault.afterBytes));
        return;
      case "drip":
        response.writeHead(200, { "content-type": contentType(path), "content-length": bytes.length });
        response.flushHeaders();
        void drip(response, bytes, {
          chunkBytes: fault.chunkBytes ?? 1,
          everyMs: fault.everyMs ?? 1000,
          signal: closing.signal,
        });
        return;
      case "length":
        sendRaw(response, path, bytes, fault.contentLength);
        return;
      case "hang":
        return;
      case "close":
        request.socket.destroy();
        return;
      case "handler":
        fault.handle(request, response);
        return;
    }
  }

  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}${basePath}`,
    port,
    requests,
    requestsFor: (matcher) => requests.filter((request) => matches(matcher, request)),
    async arrived(matcher, count = 1) {
      while (requests.filter((request) => matches(matcher, request)).length < count) {
        const next = Promise.withResolvers<void>();
        waiters.add(next.resolve);
        await next.promise;
        waiters.delete(next.resolve);
      }
    },
    setFault(matcher, fault) {
      faults.push({ matcher, fault, left: fault.times ?? Number.POSITIVE_INFINITY });
    },
    clearFaults() {
      faults.length = 0;
    },
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      }),
    close() {
      closing.abort();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function listeningPort(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("the fixture upstream does not listen on TCP");
  return address.port;
}

function record(request: IncomingMessage, basePath: string): RecordedRequest | undefined {
  const url = request.url ?? "/";
  if (!url.startsWith(`${basePath}/`)) return undefined;
  const path = decodeURIComponent(url.slice(basePath.length + 1).replace(/\?.*$/, ""));
  return { method: request.method ?? "GET", path, url, headers: request.headers };
}

function matches(matcher: RequestMatcher, request: RecordedRequest): boolean {
  if (typeof matcher === "string") return matcher.replace(/^\//, "") === request.path;
  return typeof matcher === "function" ? matcher(request) : matcher.test(request.path);
}

function isAuthorized(request: IncomingMessage, { credentials }: FixtureUpstreamOptions): boolean {
  if (credentials === undefined) return true;
  const expected = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
  return request.headers.authorization === `Basic ${expected}`;
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(text);
}

function sendFile(request: IncomingMessage, response: ServerResponse, path: string, bytes: Uint8Array): void {
  const etag = etagOf(bytes);
  const headers = { "content-type": contentType(path), etag, "accept-ranges": "bytes" };
  const start = rangeStart(request, etag);
  if (start !== undefined && start >= bytes.length) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    return;
  }
  const body = bytes.subarray(start ?? 0);
  const range = start === undefined ? {} : { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(start === undefined ? 200 : 206, { ...headers, ...range, "content-length": body.length });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** `bytes=N-` only: what go sends to resume. */
function rangeStart({ headers }: IncomingMessage, etag: string): number | undefined {
  const match = /^bytes=(\d+)-$/.exec(headers.range ?? "");
  if (match === null) return undefined;
  if (headers["if-range"] !== undefined && headers["if-range"] !== etag) return undefined;
  return Number(match[1]);
}

/** Past node:http, which insists on the truth. */
function sendRaw(response: ServerResponse, path: string, bytes: Uint8Array, contentLength: number): void {
  const { socket } = response;
  if (socket === null) return;
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${contentType(path)}\r\ncontent-length: ${contentLength}\r\n\r\n`);
  socket.end(bytes);
}

async function drip(
  response: ServerResponse,
  bytes: Uint8Array,
  { chunkBytes, everyMs, signal }: { chunkBytes: number; everyMs: number; signal: AbortSignal },
): Promise<void> {
  for (let sent = 0; sent < bytes.length && !response.destroyed; sent += chunkBytes) {
    response.write(bytes.subarray(sent, sent + chunkBytes));
    try {
      await delay(everyMs, undefined, { signal, ref: false });
    } catch {
      return; // the upstream was closed
    }
  }
  response.end();
}

const etags = new WeakMap<Uint8Array, string>();

function etagOf(bytes: Uint8Array): string {
  const known = etags.get(bytes);
  if (known !== undefined) return known;
  const etag = `"${createHash("sha256").update(bytes).digest("hex")}"`;
  etags.set(bytes, etag);
  return etag;
}

function contentType(path: string): string {
  if (path.endsWith(".zip")) return "application/zip";
  if (path.endsWith(".info") || path.endsWith("/@latest")) return "application/json";
  return "text/plain; charset=utf-8";
}
