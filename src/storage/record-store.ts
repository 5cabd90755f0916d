import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type ModuleRequest, parseInfo } from "../protocol/goproxy/index.ts";
import { Singleflight } from "../core/singleflight.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore, Clock, Freshness, Ledger, StoredRecord } from "../core/ports.ts";
import { ownBytes } from "./blob/bytes-blob.ts";
import { attempt } from "./failures.ts";
import { sha256Of } from "./hashing.ts";
import type { HotTier } from "./hot-tier.ts";
import { isFileRequest } from "./layout.ts";
import { Turns } from "./turns.ts";

export interface RecordStoreOptions {
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly hot: HotTier;
  readonly clock: Clock;
  readonly events: Events;
  /** Others write records as well, so that one with another hash than the recorded one is theirs, not broken. */
  readonly isShared?: boolean | undefined;
}

/** `list`, `@latest` and query answers: blobs that change, with the time of their last confirmation in the ledger. */
export class RecordStore {
  readonly #options: RecordStoreOptions;
  readonly #turns = new Turns();
  readonly #reads = new Singleflight<StoredRecord | undefined>();

  constructor(options: RecordStoreOptions) {
    this.#options = options;
  }

  async read(request: ModuleRequest): Promise<StoredRecord | undefined> {
    const key = blobKey(request);
    const { hot } = this.#options;
    const readInTurn = async (): Promise<StoredRecord | undefined> =>
      hot.record(key) ?? (await this.#readStored(request, key));
    return hot.record(key) ?? this.#reads.run(key, () => this.#turns.take(key, readInTurn));
  }

  /**
   * Freshness goes first and remembers what stood before, so that whatever a crash leaves between the two can be told from a
   * blob that rotted: it has one of the two hashes. For the same reason reads and writes of
   * one record take turns.
   */
  keep(request: ModuleRequest, bytes: Uint8Array, source: string): Promise<StoredRecord> {
    const key = blobKey(request);
    return this.#turns.take(key, () => this.#keepInTurn(key, bytes, source));
  }

  async drop(request: ModuleRequest): Promise<void> {
    const { blobs, ledger, hot } = this.#options;
    const key = blobKey(request);
    await this.#turns.take(key, async () => {
      hot.delete(key);
      await this.#attempt(blobs.name, () => blobs.delete(key));
      await this.#attempt(ledger.name, () => ledger.removeFreshness(key));
    });
  }

  /** Without freshness it is what nobody has confirmed. Answers whether it was fresher than that. */
  outdate(request: ModuleRequest, confirmedBy: number): Promise<boolean> {
    const { ledger, hot } = this.#options;
    const key = blobKey(request);
    return this.#turns.take(key, async () => {
      const record = hot.record(key) ?? (await this.#readStored(request, key));
      if (record === undefined || record.checkedAt === 0 || record.checkedAt > confirmedBy) return false;
      await this.#attempt(ledger.name, () => ledger.removeFreshness(key));
      hot.put({ record: { ...record, checkedAt: 0 } });
      return true;
    });
  }

  async #keepInTurn(key: BlobKey, bytes: Uint8Array, source: string): Promise<StoredRecord> {
    const { ledger, blobs, hot, clock } = this.#options;
    const record = { key, bytes: ownBytes(bytes), sha256: await sha256Of(bytes), source, checkedAt: clock.now() };
    await this.#attempt(ledger.name, () => ledger.setFreshness(record));
    await this.#attempt(blobs.name, () => this.#write(key, record.bytes));
    hot.put({ record });
    return record;
  }

  async #readStored(request: ModuleRequest, key: BlobKey): Promise<StoredRecord | undefined> {
    const { blobs, ledger, hot, isShared = false } = this.#options;
    const blob = await this.#attempt(blobs.name, () => blobs.get(key));
    const bytes = await this.#attempt(blobs.name, async () => blob?.read());
    if (blob === undefined || bytes === undefined) return undefined;
    const sha256 = await sha256Of(bytes);
    const freshness = await this.#attempt(ledger.name, () => ledger.freshness(key));
    const problem = contentProblem(request, bytes) ?? (isShared ? undefined : hashProblem(sha256, freshness));
    if (problem !== undefined) {
      await this.#setAside(key, blob.revision, problem);
      return undefined;
    }
    const isConfirmed = freshness?.sha256 === sha256;
    const record = {
      key,
      bytes,
      sha256,
      source: freshness?.source ?? "adopted",
      checkedAt: isConfirmed ? freshness.checkedAt : 0,
    };
    hot.put({ record });
    return record;
  }

  async #write(key: BlobKey, bytes: Uint8Array): Promise<void> {
    const { blobs } = this.#options;
    // Most confirmations bring the same content again: reading it costs less than flushing it.
    const standing = await blobs.get(key);
    if (standing?.size === bytes.length && Buffer.compare(await standing.read(), bytes) === 0) return;
    standing?.discard();
    await blobs.replace(key, bytes);
  }

  async #setAside(key: BlobKey, revision: string, reason: string): Promise<void> {
    const { blobs, ledger, events } = this.#options;
    events.emit({ type: "file_corrupt", key, reason });
    await this.#attempt(blobs.name, () => blobs.setAside(key, revision));
    await this.#attempt(ledger.name, () => ledger.removeFreshness(key));
  }

  /** A failing medium costs freshness, never an answer. */
  #attempt<T>(store: string, work: () => Promise<T>): Promise<T | undefined> {
    return attempt(this.#options.events, store, work);
  }
}

function contentProblem(request: ModuleRequest, bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return "it has zero bytes, as a write that was cut leaves them";
  if (request.kind === "list" || isFileRequest(request)) return undefined;
  try {
    parseInfo(bytes, request);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error.message;
    throw error;
  }
}

function hashProblem(sha256: string, freshness: Freshness | undefined): string | undefined {
  if (freshness === undefined || freshness.isElsewhere === true) return undefined;
  if (sha256 === freshness.sha256 || sha256 === freshness.previousSha256) return undefined;
  return `its sha256 is ${sha256}, recorded was ${freshness.sha256}`;
}
