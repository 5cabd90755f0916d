import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Answer } from "../core/answer.ts";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { BlobKey, Clock } from "../core/ports.ts";
import type { RequestRecord, RequestRecorder } from "../ops/request-recorder.ts";
import type { ClientAddress } from "./client-address.ts";
import { answerError } from "./error-answer.ts";
import type { HotAnswers } from "./hot-answers.ts";
import { acceptRequestId, isRangeWanted, matchesEtag, parseRange } from "./http-rules.ts";
import { readRequestPath, type RequestPath, type RequestRules } from "./request-path.ts";

export interface ExchangeOptions extends RequestRules {
  readonly hot: HotAnswers;
  readonly recorder: RequestRecorder;
  readonly clock: Clock;
  readonly nextRequestId: () => string;
  readonly clientAddress: ClientAddress;
  readonly notFoundTtlMs: number;
  /** Headers for whoever stands in front and passes the answer on. */
  readonly tellAnswer?: ((answer: Answer) => Record<string, string>) | undefined;
}

/** Answers one request. Never rejects. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A request that is fit to be looked at. */
export interface Asked extends RequestPath {
  /** Who asks, for fair queues: an address or an identity. */
  readonly client: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Tells what is asked for as soon as it is known: it stands in logs and metrics, whatever comes of it. */
  readonly describe: (subject: Subject) => void;
}

export type Subject = Pick<RequestRecord, "kind" | "module" | "version">;

/** What a request is answered with, 200 and its kin. */
export interface Reply {
  readonly answer: Answer;
  readonly contentType: string;
  /** Where the store has it. */
  readonly key?: BlobKey;
  /** Where a client may get all of it instead, for a short time, once it is stored. */
  readonly elsewhere?: (() => Promise<string | undefined>) | undefined;
}

/** Larger ones are not worth a place in front of the memory tier. */
const hotLimitBytes = 16 * 1024 * 1024;

/** Makes a handler of a function that says what to answer. What it fails with is answered by the table of errors. */
export function createHandler(options: ExchangeOptions, respond: (asked: Asked) => Promise<Reply>): RequestHandler {
  return (request, response) => new Exchange(options, request, response).run(respond);
}

/** One request and its answer. */
class Exchange {
  readonly #options: ExchangeOptions;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #startedAt = performance.now();
  readonly #id: string;
  readonly #client: string;
  readonly #url: string;
  #subject: Subject = { kind: "other" };
  #answer: Answer | undefined;

  constructor(options: ExchangeOptions, request: IncomingMessage, response: ServerResponse) {
    this.#options = options;
    this.#request = request;
    this.#response = response;
    this.#url = request.url ?? "/";
    this.#id = acceptRequestId(request.headers["x-request-id"]) ?? options.nextRequestId();
    this.#client = options.clientAddress(request);
  }

  async run(respond: (asked: Asked) => Promise<Reply>): Promise<void> {
    const gone = new AbortController();
    this.#response.once("close", () => {
      if (!this.#response.writableFinished) gone.abort();
    });
    try {
      const { path, cachedOnly } = readRequestPath(this.#request, this.#options);
      const reply = await respond({
        path,
        cachedOnly,
        client: this.#client,
        signal: gone.signal,
        describe: (subject) => void (this.#subject = subject),
      });
      this.#answer = reply.answer;
      await this.#send(reply, cachedOnly);
    } catch (error) {
      this.#answer?.discard();
      const isGone = gone.signal.aborted && error instanceof Error && error.name === "AbortError";
      this.#sendError(isGone ? new SluiceError("cancelled", "the client went away", { cause: error }) : error);
    }
  }

  async #send(reply: Reply, cachedOnly: boolean): Promise<void> {
    const { answer } = reply;
    const headers = this.#headersOf(reply);
    const etag = answer.sha256 === undefined ? undefined : `"${answer.sha256}"`;
    const { "if-none-match": ifNoneMatch, range } = this.#request.headers;
    const ifRange = this.#request.headers["if-range"];

    if (etag !== undefined && ifNoneMatch !== undefined && matchesEtag(ifNoneMatch, etag)) {
      answer.discard();
      delete headers["Content-Length"];
      return this.#finish(304, headers);
    }
    // A range is of GET only (RFC 9110 §14.2).
    const isRange =
      this.#request.method === "GET" &&
      etag !== undefined &&
      answer.size !== undefined &&
      range !== undefined &&
      isRangeWanted(ifRange?.toString(), etag);
    const part = isRange ? parseRange(range, answer.size ?? 0) : undefined;
    if (part === "unsatisfiable") {
      throw new SluiceError("range_not_satisfiable", `the file has ${answer.size} bytes`, {
        details: { size: answer.size },
      });
    }
    if (part !== undefined) {
      headers["Content-Range"] = `bytes ${part.start}-${part.end - 1}/${answer.size}`;
      headers["Content-Length"] = String(part.end - part.start);
    }
    if (this.#request.method === "GET" && range === undefined && answer.cache === "hit") {
      const location = await reply.elsewhere?.();
      if (location !== undefined) return this.#redirect(location, answer);
    }
    const status = part === undefined ? 200 : 206;
    if (this.#request.method === "HEAD") {
      answer.discard();
      return this.#finish(status, headers);
    }
    if (answer.bytes === undefined) return this.#stream(status, headers, answer.stream(part));
    if (status === 200 && !cachedOnly) this.#remember(reply, headers);
    return this.#finish(
      status,
      headers,
      part === undefined ? answer.bytes : answer.bytes.subarray(part.start, part.end),
    );
  }

  #headersOf({ answer, contentType }: Reply): Record<string, string> {
    const headers: Record<string, string> = {
      "Content-Type": contentType,
      "X-Content-Type-Options": "nosniff",
      "X-Sluice-Cache": answer.cache,
      "Accept-Ranges": "bytes",
      "Cache-Control": cacheControl(answer),
      "X-Request-Id": this.#id,
      ...this.#options.tellAnswer?.(answer),
    };
    if (answer.size !== undefined) headers["Content-Length"] = String(answer.size);
    if (answer.sha256 !== undefined) headers["ETag"] = `"${answer.sha256}"`;
    return headers;
  }

  #finish(status: number, headers: Record<string, string>, body?: Uint8Array): void {
    this.#response.writeHead(status, headers).end(body);
    this.#record(status, body?.length ?? 0);
  }

  #redirect(location: string, answer: Answer): void {
    answer.discard();
    const headers = {
      Location: location,
      "Content-Length": "0",
      // Whoever has the URL has the file.
      "Cache-Control": "private, no-store",
      "X-Sluice-Cache": answer.cache,
      "X-Request-Id": this.#id,
    };
    this.#finish(307, headers);
  }

  /** A stream that breaks ends as a broken transfer: the client must not take half a file for a whole one. */
  async #stream(status: number, headers: Record<string, string>, stream: Readable): Promise<void> {
    this.#response.writeHead(status, headers);
    let bytes = 0;
    stream.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
    });
    stream.pause();
    try {
      await pipeline(stream, this.#response);
      this.#record(status, bytes);
    } catch (error) {
      this.#response.destroy();
      const code = isSluiceError(error) ? error.code : "cancelled";
      this.#record(status, bytes, `${code}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #sendError(thrown: unknown): void {
    const { error, status, headers, body } = answerError(thrown, this.#id);
    const cache = error.details["negative"] === true ? "negative" : "miss";
    if (this.#response.headersSent || this.#response.destroyed) {
      this.#response.destroy();
      return this.#record(status, 0, `${error.code}: ${error.message}`);
    }
    const extra: Record<string, string> = {
      "content-length": String(Buffer.byteLength(body)),
      "x-sluice-cache": cache,
      "x-request-id": this.#id,
    };
    if (error.code === "not_found") {
      extra["cache-control"] = `public, max-age=${Math.floor(this.#options.notFoundTtlMs / 1000)}`;
    }
    if (error.code === "method_not_allowed") extra["allow"] = "GET, HEAD";
    if (error.code === "range_not_satisfiable") extra["content-range"] = `bytes */${String(error.details["size"])}`;
    // Whatever body came with a wrong method is not read.
    if (error.code === "method_not_allowed" || error.code === "uri_too_long") extra["connection"] = "close";
    this.#response.writeHead(status, { ...headers, ...extra }).end(this.#request.method === "HEAD" ? undefined : body);
    this.#record(status, Buffer.byteLength(body), `${error.code}: ${causeChain(error)}`, cache);
  }

  #record(status: number, bytes: number, error?: string, cache: string = this.#answer?.cache ?? "miss"): void {
    this.#options.recorder.record({
      ...this.#recordFacts(status, bytes, cache),
      id: this.#id,
      client: this.#client,
      durationMs: performance.now() - this.#startedAt,
      ...(error === undefined ? {} : { error }),
    });
  }

  #recordFacts(status: number, bytes: number, cache: string): Omit<RequestRecord, "id" | "client" | "durationMs"> {
    const { kind, module, version } = this.#subject;
    return {
      method: this.#request.method ?? "",
      path: this.#url.slice(0, 512),
      status,
      kind,
      module,
      version,
      cache,
      source: this.#answer?.source,
      bytes,
    };
  }

  /** The next plain request for this URL is answered before it comes here. */
  #remember({ answer, key, elsewhere }: Reply, headers: Record<string, string>): void {
    const { bytes } = answer;
    if (elsewhere !== undefined) return;
    if (bytes === undefined || bytes.length > hotLimitBytes || answer.sha256 === undefined || answer.freshForMs <= 0)
      return;
    const { "X-Request-Id": _, "Cache-Control": cacheControl, ...rest } = headers;
    const hotHeaders = {
      ...rest,
      "X-Sluice-Cache": "hit",
      ...(answer.immutable && cacheControl ? { "Cache-Control": cacheControl } : {}),
    };
    const { recorder, hot, clock } = this.#options;
    const facts = { ...this.#recordFacts(200, bytes.length, "hit"), method: "GET" };
    hot.add(this.#url, {
      key,
      headers: Object.entries(hotHeaders).flat(),
      bytes,
      askedAt: this.#startedAt,
      freshUntil: answer.immutable ? Number.POSITIVE_INFINITY : clock.now() + answer.freshForMs,
      recordGet: recorder.prepare(facts),
      recordHead: recorder.prepare({ ...facts, method: "HEAD", bytes: 0 }),
    });
  }
}

function cacheControl(answer: Answer): string {
  if (answer.immutable) return "public, max-age=31536000, immutable";
  return answer.freshForMs > 0 ? `public, max-age=${Math.ceil(answer.freshForMs / 1000)}` : "no-cache";
}

function causeChain(error: SluiceError): string {
  // A bug: where it is matters more than what it says.
  if (error.code === "internal" && error.cause instanceof Error) return error.cause.stack ?? error.cause.message;
  const texts = new Set<string>();
  for (let at: unknown = error; at instanceof Error && texts.size < 4; at = at.cause) texts.add(at.message);
  return [...texts].join(" < ");
}
