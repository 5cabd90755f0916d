import type { QueryRequest, RecordRequest } from "../protocol/goproxy/index.ts";
import { blobKey, formatInfo, formatList, maxInfoBytes, parseInfo, parseList } from "../protocol/goproxy/index.ts";
import { LRUCache } from "lru-cache";
import { type Answer, answerRecord } from "./answer.ts";
import { parseFrom, readBody } from "./body.ts";
import { isSluiceError } from "./errors.ts";
import type { Messages } from "./fleet.ts";
import { sha256Of } from "./small-files.ts";
import type { Load, WorkClass } from "./load.ts";
import { maxListBytes } from "./latest.ts";
import type { Events } from "./events.ts";
import type { BlobKey, Clock, FetchContext, ModuleStore, Source, SourceResponse, StoredRecord } from "./ports.ts";
import { createTtlJitter, type TtlJitter } from "./ttl-jitter.ts";
import { Singleflight } from "./singleflight.ts";

/** A request whose answer changes with time. */
export type ChangingRequest = RecordRequest | QueryRequest;
type LatestRequest = Extract<RecordRequest, { readonly kind: "latest" }>;
type Asker = Pick<FetchContext, "client" | "failFast">;

export interface RecordOptions {
  /** Told of what is new. */
  readonly messages?: Messages | undefined;
  readonly store: ModuleStore;
  readonly source: Source;
  readonly clock: Clock;
  readonly events: Events;
  /** Answers of this age are fresh. */
  readonly ttlMs: number;
  /** Share of the TTLs by which they are longer or shorter. Default 0. */
  readonly ttlJitter?: number | undefined;
  /** Up to this long after the TTL the old answer is served while a new one is fetched behind it. */
  readonly staleWhileRevalidateMs: number;
  readonly totalTimeoutMs: number;
  /** Without it there is room for everything. */
  readonly load?: Load | undefined;
  /** Answers that were asked for at this time or before do not count any more, though they are better than none. */
  readonly purgedAt: (request: ChangingRequest) => number;
  /** Makes an `@latest` for modules whose source has none. Fails with `not_found` when there is nothing to make it of. */
  readonly deriveLatest: (
    request: LatestRequest,
    client: string,
  ) => Promise<{ readonly bytes: Uint8Array; readonly source: string }>;
}

/** After a source failed, how long the old answer is served without asking again: a dead source must not slow down every build. */
const restAfterFailureMs = 15_000;
/** How long a client waits for news when there is an old answer to give. */
const patienceMs = 5_000;

/** `list`, `@latest` and queries: fresh for a TTL, then revalidated, and served stale without limit when sources fail. */
export class Records {
  readonly #options: RecordOptions;
  readonly #flights = new Singleflight<StoredRecord>();
  readonly #jitter: TtlJitter;
  readonly #failedAt = new LRUCache<BlobKey, number>({ max: 20_000 });

  constructor(options: RecordOptions) {
    this.#options = options;
    this.#jitter = createTtlJitter(options.ttlJitter ?? 0);
  }

  get size(): number {
    return this.#flights.size;
  }

  settled(): Promise<void> {
    return this.#flights.settled();
  }

  /** What is stored, however old. */
  async stored(request: ChangingRequest): Promise<Answer | undefined> {
    const record = await this.#options.store.readRecord(request);
    if (record === undefined) return undefined;
    const freshForMs = this.#freshFor(record, request);
    return answerRecord(record, freshForMs > 0 ? "hit" : "stale", freshForMs);
  }

  async fetch(request: ChangingRequest, client: string): Promise<Answer> {
    const { store, clock, staleWhileRevalidateMs } = this.#options;
    const record = await store.readRecord(request);
    if (record === undefined)
      return this.#answerNew(await this.#refresh(request, { client }, "revalidation"), "miss", request);

    const freshForMs = this.#freshFor(record, request);
    if (freshForMs > 0) return answerRecord(record, "hit", freshForMs);

    const stale = answerRecord(record, "stale", 0);
    const failedAt = this.#failedAt.get(record.key);
    const isResting = failedAt !== undefined && clock.now() - failedAt < restAfterFailureMs;
    if (isResting && failedAt > this.#options.purgedAt(request)) return stale;

    const isBehind = -freshForMs < staleWhileRevalidateMs;
    const work = isBehind ? "background" : "revalidation";
    const refreshed = this.#refresh(request, { client, failFast: true }, work);
    if (isBehind) return stale;
    try {
      return this.#answerNew(await this.#withPatience(refreshed), "revalidated", request);
    } catch (error) {
      if (isGone(error, request)) throw error;
      this.#failedAt.set(record.key, clock.now());
      return stale;
    }
  }

  #freshFor({ key, checkedAt }: StoredRecord, request: ChangingRequest): number {
    const { clock, purgedAt } = this.#options;
    const ttlMs = this.#jitter(this.#options.ttlMs, { key, checkedAt });
    const now = clock.now();
    if (checkedAt <= purgedAt(request)) return ttlMs - now;
    // A clock that ran ahead once must not keep a record fresh until it is there again.
    return Math.min(checkedAt, now) + ttlMs - now;
  }

  #answerNew(record: StoredRecord, cache: "miss" | "revalidated", request: ChangingRequest): Answer {
    return answerRecord(record, cache, Math.max(0, this.#freshFor(record, request)));
  }

  #refresh(request: ChangingRequest, asker: Asker, work: WorkClass): Promise<StoredRecord> {
    const key = blobKey(request);
    const notBefore = this.#options.purgedAt(request);
    // Whoever asks after a purge has nothing of a flight that began before it.
    return this.#flights.run(`${key} ${notBefore}`, async () => {
      const { clock, events, load } = this.#options;
      load?.admit(work);
      const startedAt = clock.now();
      events.emit({ type: "fetch_started", key });
      let outcome = "ok";
      try {
        const record = await this.#fetchRecord(request, { ...asker, notBefore, startedAt });
        this.#failedAt.delete(key);
        return record;
      } catch (error) {
        outcome = isSluiceError(error) ? error.code : "internal";
        if (isGone(error, request)) await this.#options.store.dropRecord(request);
        else this.#failedAt.set(key, clock.now());
        throw error;
      } finally {
        events.emit({ type: "fetch_ended", key, outcome, durationMs: clock.now() - startedAt });
      }
    });
  }

  async #fetchRecord(
    request: ChangingRequest,
    { startedAt, ...asked }: Asker & { readonly notBefore: number; readonly startedAt: number },
  ): Promise<StoredRecord> {
    const { source, totalTimeoutMs } = this.#options;
    const context = { signal: AbortSignal.timeout(totalTimeoutMs), ...asked };
    try {
      const received = await source.fetch(request, (response) => receiveRecord(response, request), context);
      await this.#pinResolved(request, received);
      return await this.#keep(request, received, startedAt);
    } catch (error) {
      if (request.kind !== "latest" || !isSluiceError(error, "not_found")) throw error;
      return this.#keep(request, await this.#options.deriveLatest(request, asked.client), startedAt);
    }
  }

  /** What a query resolved to is also the `.info` of that version, which go asks for next. */
  async #pinResolved(
    request: ChangingRequest,
    { bytes, source }: { bytes: Uint8Array; source: string },
  ): Promise<void> {
    if (request.kind === "list") return;
    const { version } = parseInfo(bytes, request);
    const pinned = { kind: "info", modulePath: request.modulePath, version } as const;
    const facts = { size: bytes.length, sha256: sha256Of(bytes), source };
    try {
      await this.#options.store.keep(pinned, { bytes }, facts);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
    }
  }

  /** A store that cannot write (it tells the operator itself) must not cost the client its answer. */
  async #keep(
    request: ChangingRequest,
    { bytes, source }: { bytes: Uint8Array; source: string },
    startedAt: number,
  ): Promise<StoredRecord> {
    const key = blobKey(request);
    // It may be from before the purge, and must not stand in the way of what is fetched since.
    if (this.#options.purgedAt(request) >= startedAt)
      return { key, bytes, sha256: sha256Of(bytes), source, checkedAt: startedAt };
    const { store, messages } = this.#options;
    try {
      const before = messages === undefined ? undefined : await store.readRecord(request);
      const kept = await store.keepRecord(request, bytes, source);
      // A mere confirmation is no news: each node asks for its own.
      if (kept.sha256 !== before?.sha256) messages?.publish({ type: "kept", key });
      return kept;
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      return { key, bytes, sha256: sha256Of(bytes), source, checkedAt: this.#options.clock.now() };
    }
  }

  async #withPatience<T>(promise: Promise<T>): Promise<T> {
    const over = new AbortController();
    const outOfPatience = this.#options.clock.sleep(patienceMs, over.signal).then(() => {
      throw new Error("the source takes too long");
    });
    outOfPatience.catch(() => undefined);
    try {
      return await Promise.race([promise, outOfPatience]);
    } finally {
      over.abort();
    }
  }
}

/**
 * A deleted branch is gone. A module that is gone upstream is still here, as its versions are, and so is everything when no
 * source was asked at all (`off`).
 */
function isGone(error: unknown, request: ChangingRequest): boolean {
  return request.kind === "query" && isSluiceError(error, "not_found") && error.details["asked"] !== 0;
}

async function receiveRecord(
  response: SourceResponse,
  request: ChangingRequest,
): Promise<{ bytes: Uint8Array; source: string }> {
  const { source } = response;
  const sent = await readBody(response, request.kind === "list" ? maxListBytes : maxInfoBytes);
  const text = parseFrom(source, blobKey(request), () =>
    request.kind === "list" ? formatList(parseList(sent).versions) : formatInfo(parseInfo(sent, request)),
  );
  return { bytes: Buffer.from(text), source };
}
