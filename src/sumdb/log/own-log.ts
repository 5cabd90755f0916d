import type { H1, ModulePath, Version } from "../../protocol/brand.ts";
import {
  findHash,
  formatDataTile,
  formatLookup,
  formatRecord,
  type NoteSigner,
  type Tile,
  tileHashIndexes,
  tileOfTree,
  tilePath,
} from "../../protocol/sumdb/index.ts";
import { type Answer, answerBytes, type CacheState } from "../../core/answer.ts";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { FetchContext, LogRecord, NewLogRecord, SumStore } from "../../core/ports.ts";
import type { ServedLog } from "../../core/served-log.ts";
import { Singleflight, waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import { Appender } from "./appender.ts";
import { LogHead } from "./head.ts";
import { ServedQueue, type ServedVersion } from "./served-queue.ts";

export interface OwnLogOptions {
  /** Of the log and of all its keys. */
  readonly name: string;
  /** Every tree is signed by all of them. */
  readonly signers: readonly NoteSigner[];
  readonly store: SumStore;
  /**
   * The hashes of both files of a version, which are stored and verified by then. `not_found` when no source has it. Bounded
   * in time by itself.
   */
  readonly readFiles: (
    modulePath: ModulePath,
    version: Version,
    context: FetchContext,
  ) => Promise<{ readonly mod: H1; readonly zip: H1 }>;
  /** A record proven against the public log, which ours then has, too. Without it, ours has private modules only. */
  readonly lookupPublic?:
    | ((modulePath: ModulePath, version: Version, context: FetchContext) => Promise<LogRecord>)
    | undefined;
  readonly isPrivate: (modulePath: ModulePath) => boolean;
  readonly events: Events;
}

/**
 * Our own checksum database. A version enters it once, with the hashes it had then, and is never changed; nothing is answered or
 * signed before it is committed.
 */
export interface OwnLog extends ServedLog {
  /**
   * Tells that a private version was served, so that it enters the log without being looked up: in the background, in the
   * order of the calls. To be called for each zip that is served; one that is known costs a look into memory. What waits
   * when Sluice ends enters when it is served or looked up again.
   */
  noteServed(modulePath: ModulePath, version: Version): void;
  /** What the log says of a version; undefined when it has not entered yet. */
  findHash(modulePath: ModulePath, version: Version, kind: "mod" | "zip"): Promise<H1 | undefined>;
  /** Resolves when everything noted so far has entered, or failed to. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** An answer with an older tree stays right; a key that is new should be seen soon. */
const lookupFreshForMs = 60_000;
/** Go asks for 8. A tile twice as high could be the whole log. */
const maxTileHeight = 10;
/** Whose turn background work takes in fair queues. */
const backgroundClient = "checksum log";

/** Fails with `config_invalid` for keys that are not the log's. */
export function createOwnLog(options: OwnLogOptions): OwnLog {
  const { name, signers } = options;
  if (signers.length === 0 || signers.some((signer) => signer.name !== name)) {
    throw new SluiceError("config_invalid", `the log ${JSON.stringify(name)} needs keys of this name, and only such`);
  }
  return new StoredOwnLog(options);
}

class StoredOwnLog implements OwnLog {
  readonly name: string;
  readonly #options: OwnLogOptions;
  readonly #head: LogHead;
  readonly #appender: Appender;
  readonly #flights = new Singleflight<LogRecord>();
  readonly #served: ServedQueue;
  readonly #closing = new AbortController();

  constructor(options: OwnLogOptions) {
    const { name, store, signers, events } = options;
    this.name = name;
    this.#options = options;
    this.#head = new LogHead({ log: name, store, signers });
    this.#appender = new Appender({ log: name, store, events });
    this.#served = new ServedQueue((versions) => this.#enterServed(versions));
  }

  async latest(): Promise<Answer> {
    const { note } = await this.#head.read();
    return this.#answer(note, { cache: "hit", freshForMs: 0 });
  }

  async lookup(modulePath: ModulePath, version: Version, context: FetchContext): Promise<Answer> {
    const known = await this.#options.store.findRecord(this.name, modulePath, version);
    const record = known ?? (await this.#enter(modulePath, version, context));
    const { note } = await this.#head.read();
    return this.#answer(formatLookup(record.id, record.text, note), {
      cache: known === undefined ? "miss" : "hit",
      freshForMs: lookupFreshForMs,
    });
  }

  async tile(tile: Tile): Promise<Answer> {
    const { store } = this.#options;
    const { size, isBehind } = await store.logTree(this.name);
    if (!isInTree(tile, size)) {
      // Another node may have answered with a tree that has it.
      if (isBehind === true) throw notHereYet(tile, this.name);
      throw new SluiceError("not_found", `not found: ${tilePath(tile)}: the log ${this.name} has ${size} records`);
    }
    const start = tile.index * 2 ** tile.height;
    const bytes =
      tile.level === -1
        ? formatDataTile(await store.records(this.name, start, start + tile.width))
        : Buffer.concat(await store.treeHashes(this.name, tileHashIndexes(tile)));
    return this.#answer(bytes, { cache: "hit", freshForMs: Number.POSITIVE_INFINITY });
  }

  noteServed(modulePath: ModulePath, version: Version): void {
    this.#served.note({ modulePath, version });
  }

  async findHash(modulePath: ModulePath, version: Version, kind: "mod" | "zip"): Promise<H1 | undefined> {
    const record = await this.#options.store.findRecord(this.name, modulePath, version);
    return record && findHash(record.text, modulePath, version, kind);
  }

  settled(): Promise<void> {
    return this.#served.settled();
  }

  async close(): Promise<void> {
    this.#closing.abort(new SluiceError("draining", "this node is shutting down"));
    await this.#served.close();
    await this.#flights.settled();
  }

  /** The record of a version that has none yet. Whoever asks for the same one meanwhile waits for the same flight. */
  async #enter(modulePath: ModulePath, version: Version, { client, signal }: FetchContext): Promise<LogRecord> {
    const flight = this.#flights.run(`${modulePath}@${version}`, async () => {
      const context = { signal: this.#closing.signal, client };
      return this.#appender.append(await this.#makeRecord(modulePath, version, context));
    });
    try {
      return await waitUnlessAborted(flight, signal);
    } catch (error) {
      if (isSluiceError(error) || !signal.aborted) throw error;
      throw givenUp(signal, `${modulePath}@${version}`);
    }
  }

  async #makeRecord(modulePath: ModulePath, version: Version, context: FetchContext): Promise<NewLogRecord> {
    const { isPrivate, readFiles, lookupPublic } = this.#options;
    if (isPrivate(modulePath)) {
      const hashes = await readFiles(modulePath, version, context);
      return { modulePath, version, text: formatRecord(modulePath, version, hashes) };
    }
    if (lookupPublic === undefined) throw notOurs(modulePath, version, this.name);
    const { text } = await lookupPublic(modulePath, version, context);
    const mod = findHash(text, modulePath, version, "mod");
    const zip = findHash(text, modulePath, version, "zip");
    if (mod === undefined || zip === undefined) {
      throw new SluiceError("integrity", `the public record of ${modulePath}@${version} lacks one of its two hashes`);
    }
    return { modulePath, version, text: formatRecord(modulePath, version, { mod, zip }) };
  }

  /** The files are read at the same time, and their records appended in the order in which they were served. */
  async #enterServed(versions: readonly ServedVersion[]): Promise<boolean[]> {
    const records = await Promise.all(versions.map((served) => this.#tryMakeServed(served)));
    return Promise.all(records.map((record) => this.#tryAppend(record)));
  }

  /** Undefined when it cannot be made now; whoever could not send its files has told so. */
  async #tryMakeServed({ modulePath, version }: ServedVersion): Promise<NewLogRecord | "known" | undefined> {
    const { isPrivate, store } = this.#options;
    // With `lookupPublic`, public ones enter when they are looked up; they have no hashes of their own to be kept.
    if (!isPrivate(modulePath)) return "known";
    try {
      if ((await store.findRecord(this.name, modulePath, version)) !== undefined) return "known";
      const context = { signal: this.#closing.signal, client: backgroundClient };
      return await this.#makeRecord(modulePath, version, context);
    } catch (error) {
      this.#tellStoreFailure("read", error);
      return undefined;
    }
  }

  async #tryAppend(record: NewLogRecord | "known" | undefined): Promise<boolean> {
    if (record === undefined || record === "known") return record === "known";
    try {
      await this.#appender.append(record);
      return true;
    } catch (error) {
      this.#tellStoreFailure("append", error);
      return false;
    }
  }

  #tellStoreFailure(operation: string, error: unknown): void {
    if (!isSluiceError(error, "storage_failed")) return;
    this.#options.events.emit({ type: "store_failed", store: this.#options.store.name, operation, error });
  }

  #answer(bytes: Uint8Array, { cache, freshForMs }: { cache: CacheState; freshForMs: number }): Answer {
    return answerBytes(bytes, { source: this.name, cache, freshForMs });
  }
}

function isInTree(tile: Tile, size: number): boolean {
  if (tile.height > maxTileHeight) return false;
  const widest = tileOfTree(size, tile.level, tile.index, tile.height);
  return widest !== undefined && tile.width <= widest.width;
}

function notHereYet(tile: Tile, name: string): SluiceError {
  return new SluiceError(
    "storage_failed",
    `${tilePath(tile)} of the log ${name} is not on this node, and the database that has it cannot be asked now: see the log of Sluice`,
    { retryAfterSeconds: 5 },
  );
}

function notOurs(modulePath: ModulePath, version: Version, name: string): SluiceError {
  return new SluiceError(
    "not_found",
    `not found: ${modulePath}@${version}: it is public, and the log ${name} has private modules only. ` +
      "Set `vouch_public` in [sumdb] of Sluice, or list public modules in GONOSUMDB.",
  );
}
