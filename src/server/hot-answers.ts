import { LRUCache } from "lru-cache";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { BlobKey, Clock } from "../core/ports.ts";
import type { PreparedRecorder } from "../ops/request-recorder.ts";
import { DateLine, endWithReadyHead, type ReadyHead, readyHead } from "./ready-head.ts";

/** Everything about an answer that will be given again just so. */
export interface HotAnswer {
  /** Where the store has it; undefined for what is no stored file. */
  readonly key?: BlobKey | undefined;
  /** Name, value, name, value …, without `X-Request-Id`, which is each request's own, and without `Cache-Control` of mutable answers. */
  readonly headers: readonly string[];
  readonly bytes: Uint8Array;
  /** When it was asked for, by `performance.now()`: what was forgotten since then is not remembered. */
  readonly askedAt: number;
  /** Milliseconds since the epoch; infinite for immutable files. */
  readonly freshUntil: number;
  readonly recordGet: PreparedRecorder;
  readonly recordHead: PreparedRecorder;
}

interface Entry extends Omit<HotAnswer, "askedAt" | "bytes"> {
  /** Of a small one a string, a character per byte: Node writes head and body as one then. */
  readonly body: Uint8Array | string;
  readonly head: ReadyHead;
  touchedAt: number;
}

export interface HotAnswersOptions {
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly nextRequestId: () => string;
  /** Of the server, which tells clients. */
  readonly keepAliveTimeoutMs: number;
  /** Marks a stored file as used. Called at most once a minute per answer. */
  readonly touch: (key: BlobKey) => void;
}

/**
 * Headers that change nothing about an answer. A request with any other one (Range, If-None-Match, Disable-Module-Fetch,
 * X-Forwarded-For, a trace …) takes the ordinary way.
 */
const plainHeaders: ReadonlySet<string> = new Set(
  ["Host", "User-Agent", "Accept-Encoding", "Accept", "Accept-Language", "Connection"].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]),
);
const touchEveryMs = 60_000;
const maxUrlLength = 512;
const maxForgottenKeys = 1000;
/** Bookkeeping of one entry, in bytes, so that many tiny answers count for what they cost. */
const overheadBytes = 1024;
/** Up to here one string for all is faster (a tile of a checksum database by a fifth); of larger ones its copy costs more. */
const stringLimitBytes = 12 * 1024;

/**
 * Answers given again from memory, before routing: one look-up by URL, the head ready made. Same headers, log line and metrics as
 * the ordinary way, which fills it.
 */
export class HotAnswers {
  readonly #options: HotAnswersOptions;
  readonly #entries: LRUCache<string, Entry>;
  /** When, by `performance.now()`. */
  readonly #forgotten = new LRUCache<BlobKey, number>({ max: maxForgottenKeys });
  readonly #date = new DateLine();

  constructor(options: HotAnswersOptions) {
    this.#options = options;
    this.#entries = new LRUCache({
      maxSize: Math.max(1, options.maxBytes),
      sizeCalculation: (entry) => entry.body.length + overheadBytes,
    });
  }

  /** Whether it was answered. */
  tryAnswer(request: IncomingMessage, response: ServerResponse): boolean {
    const entry = this.#entries.get(request.url ?? "");
    if (entry === undefined) return false;
    const isHead = request.method === "HEAD";
    if (!(isHead || request.method === "GET") || !hasPlainHeaders(request.rawHeaders)) return false;

    const startedAt = performance.now();
    const now = this.#options.clock.now();
    const freshForMs = entry.freshUntil - now;
    if (freshForMs <= 0) {
      this.#entries.delete(request.url ?? "");
      return false;
    }
    const id = this.#options.nextRequestId();
    const cacheControl =
      freshForMs === Number.POSITIVE_INFINITY ? undefined : `public, max-age=${Math.ceil(freshForMs / 1000)}`;
    const own = `X-Request-Id: ${id}\r\n${this.#date.at(now)}${cacheControl === undefined ? "" : `Cache-Control: ${cacheControl}\r\n`}`;
    const body = isHead ? undefined : entry.body;
    if (!endWithReadyHead(response, { ready: entry.head, own }, body)) {
      const headers = [...entry.headers, "X-Request-Id", id];
      if (cacheControl !== undefined) headers.push("Cache-Control", cacheControl);
      response.writeHead(200, headers);
      if (typeof body === "string") response.end(body, "latin1");
      else response.end(body);
    }
    this.#touch(entry, now);
    const record = isHead ? entry.recordHead : entry.recordGet;
    record(id, request.socket.remoteAddress ?? "", performance.now() - startedAt);
    return true;
  }

  add(url: string, { bytes, askedAt, ...answer }: HotAnswer): void {
    if (url.length > maxUrlLength || url.includes("?")) return;
    if (answer.key !== undefined && askedAt <= (this.#forgotten.get(answer.key) ?? -1)) return;
    const head = readyHead(answer.headers, this.#options.keepAliveTimeoutMs);
    this.#entries.set(url, { ...answer, head, body: compactBody(bytes), touchedAt: this.#options.clock.now() });
  }

  /** A stored file turned out to be wrong. Looks at all answers, so it is not for every day. */
  forget(key: BlobKey): void {
    this.#forgotten.set(key, performance.now());
    for (const [url, entry] of this.#entries.entries()) if (entry.key === key) this.#entries.delete(url);
  }

  /** Forgets what can change. Answers how many answers. */
  purge(isMeant: (key: BlobKey) => boolean): number {
    let forgotten = 0;
    for (const [url, { key, freshUntil }] of this.#entries.entries()) {
      if (key === undefined || freshUntil === Number.POSITIVE_INFINITY || !isMeant(key)) continue;
      this.#entries.delete(url);
      forgotten += 1;
    }
    return forgotten;
  }

  #touch(entry: Entry, now: number): void {
    if (entry.key === undefined || now - entry.touchedAt < touchEveryMs) return;
    entry.touchedAt = now;
    this.#options.touch(entry.key);
  }
}

function hasPlainHeaders(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name === undefined || !plainHeaders.has(name)) return false;
  }
  return true;
}

function compactBody(bytes: Uint8Array): Uint8Array | string {
  if (bytes.length > stringLimitBytes) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
