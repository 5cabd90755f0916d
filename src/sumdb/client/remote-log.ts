import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { BlobStore, Clock, FetchContext, LogRecord, SignedTree, SumStore } from "../../core/ports.ts";
import { Singleflight, waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  equalHashes,
  findHash,
  hashBytes,
  type Lookup,
  lookupPath,
  type NoteVerifier,
  parseLookup,
  recordHash,
  type Tile,
  tileHeight,
  tilePath,
} from "../../protocol/sumdb/index.ts";
import { findDataTile } from "./data-tiles.ts";
import { Follower } from "./follower.ts";
import { LogFiles } from "./log-files.ts";
import { NewestTree } from "./newest-tree.ts";
import { invalid, isFork, openOrRefuse } from "./problems.ts";
import type { ProvenTile, Timeline } from "./timeline.ts";
import type { LogResponse, LogTransport } from "./transport.ts";
import { WriteBehind } from "./write-behind.ts";

export interface RemoteLogOptions {
  /** Of the database, such as `sum.golang.org`. */
  readonly name: string;
  /** Its keys. */
  readonly verifiers: readonly NoteVerifier[];
  readonly transport: LogTransport;
  /** For lookups and tiles, as in `GOMODCACHE/cache/download/sumdb` (SPEC §7). They prove themselves, so it need not be durable. Stays the caller's. */
  readonly cache: BlobStore;
  readonly store: SumStore;
  readonly clock: Clock;
  readonly events: Events;
  /** For proven tiles. Default 16 MiB. */
  readonly memoryBytes?: number | undefined;
}

/** A record that is proven to be in the log. */
export interface ProvenRecord extends LogRecord {
  /** Nothing had to be asked of the log for it. */
  readonly isStored: boolean;
}

export interface KnownTree extends SignedTree {
  /** When the log itself last said that this is its newest, in milliseconds since the epoch; 0: not since the start. */
  readonly confirmedAt: number;
}

/**
 * A checksum database of others. Whatever it answers is proven to belong to one history, and stays provable when the log is gone.
 *
 * Fails with `not_found` when the log does not have it, `upstream_*`, `overloaded` or `loop` when it cannot be asked and nothing
 * stored can answer, `integrity` when what came is wrong or the log has shown two histories, `cancelled` when the signal ends the waiting.
 */
export interface RemoteLog {
  readonly name: string;
  lookup(modulePath: ModulePath, version: Version, context: FetchContext): Promise<ProvenRecord>;
  /** `not_found` for one that is not in the log's newest tree, or of another height than go's. */
  tile(tile: Tile, context: FetchContext): Promise<{ readonly bytes: Uint8Array; readonly isStored: boolean }>;
  /** The newest tree that is known; an older one than `maxAgeMs` is confirmed or replaced first, if the log can be asked. */
  tree(context: FetchContext, age: { readonly maxAgeMs: number }): Promise<KnownTree>;
  /** Ends what is under way and writes what waits to be written, within some seconds. */
  close(): Promise<void>;
}

/** For all that one answer takes of the log. */
const flightMs = 60_000;
/** How long closing waits for the disk. */
const closeMs = 5000;
/** Whoever asks for what is not in the tree makes us ask for a newer one, but not more often than this. */
const beyondTreeMs = 1000;

export function createRemoteLog(options: RemoteLogOptions): RemoteLog {
  return new VerifiedLog(options);
}

class VerifiedLog implements RemoteLog {
  readonly name: string;
  readonly #options: RemoteLogOptions;
  readonly #writes: WriteBehind;
  readonly #files: LogFiles;
  readonly #follower: Follower;
  readonly #newest: NewestTree;
  readonly #lookups = new Singleflight<ProvenRecord>();
  readonly #tiles = new Singleflight<ProvenTile>();
  readonly #closing = new AbortController();

  constructor(options: RemoteLogOptions) {
    this.name = options.name;
    this.#options = options;
    this.#writes = new WriteBehind({ blobs: options.cache, events: options.events });
    this.#files = new LogFiles({ ...options, writes: this.#writes });
    this.#follower = new Follower({ ...options, files: this.#files });
    this.#newest = new NewestTree({
      ...options,
      follower: this.#follower,
      flightContext: (asker) => this.#flightContext(asker),
    });
  }

  async lookup(modulePath: ModulePath, version: Version, context: FetchContext): Promise<ProvenRecord> {
    const timeline = await this.#follower.timeline();
    const path = lookupPath(modulePath, version);
    const known = timeline.records.get(path);
    if (known !== undefined) return { ...known, isStored: true };
    const lookup = { modulePath, version, path };
    const flight = this.#lookups.run(path, () => this.#find(lookup, this.#flightContext(context)));
    return this.#wait(flight, context);
  }

  async tile(tile: Tile, context: FetchContext): Promise<{ bytes: Uint8Array; isStored: boolean }> {
    if (tile.height !== tileHeight)
      throw this.#notFound(tilePath(tile), `only tiles of height ${tileHeight} are relayed`);
    const flight = this.#tiles.run(tilePath(tile), () => this.#findTile(tile, this.#flightContext(context)));
    return this.#wait(flight, context);
  }

  async tree(context: FetchContext, { maxAgeMs }: { readonly maxAgeMs: number }): Promise<KnownTree> {
    const tree = await this.#wait(this.#newest.find(context, maxAgeMs), context);
    return { ...tree, confirmedAt: this.#newest.confirmedAt };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#lookups, this.#tiles, this.#newest].map((flights) => flights.settled()));
    const over = new AbortController();
    const outOfPatience = this.#options.clock.sleep(closeMs, over.signal).catch(() => undefined);
    await Promise.race([this.#writes.settled(), outOfPatience]);
    over.abort();
  }

  async #find(lookup: LookupTarget, context: FetchContext): Promise<ProvenRecord> {
    const { path } = lookup;
    const stored = await this.#files.stored(path);
    const kept = stored && readAnswer(stored, lookup);
    const proven = kept && !("wrong" in kept) ? await this.#proveStored(kept, path, context) : undefined;
    if (proven !== undefined) return proven;
    const { record, bytes } = await this.#fetch(lookup, context);
    const isSame = kept && !("wrong" in kept) && kept.id === record.id && kept.text === record.text;
    if (kept !== undefined && !isSame) await this.#files.setAside(path, "it is not what the log says");
    this.#files.keep(path, bytes);
    return record;
  }

  /**
   * A kept lookup counts when it is proven under our tree. The tree that it came with does not: it may be one of a history that
   * an operator had forgotten.
   */
  async #proveStored({ id, text }: Lookup, path: string, context: FetchContext): Promise<ProvenRecord | undefined> {
    let timeline = await this.#follower.timeline();
    if (!timeline.isFollowed) return undefined;
    if (id >= timeline.tree.size) timeline = await this.#follower.catchUp();
    if (id >= timeline.tree.size) return undefined;
    const { hash, isStored } = await this.#leafOf(timeline, id, context);
    return equalHashes(recordHash(text), hash) ? remember(timeline, path, { id, text, isStored }) : undefined;
  }

  async #fetch(
    lookup: LookupTarget,
    context: FetchContext,
  ): Promise<{ readonly record: ProvenRecord; readonly bytes: Uint8Array }> {
    const { path } = lookup;
    const [{ bytes, via }, newest] = await Promise.all([this.#ask(lookup, context), this.#newest.first(context)]);
    const refuse = (reason: string, cause?: unknown): SluiceError =>
      invalid(this.#options.events, { database: this.name, via, reason: `the answer for ${path} ${reason}`, cause });
    const answer = readAnswer(bytes, lookup);
    if ("wrong" in answer) throw refuse(answer.wrong, answer.cause);
    const tree = openOrRefuse(() => this.#follower.open(answer.note), refuse);
    const { id, text } = answer;
    if (id >= tree.size) throw refuse(`has a signed tree without its record ${id}`);
    const timeline = await this.#timelineWith(id, { tree, newest, context });
    const { hash } = await this.#leafOf(timeline, id, context, tree);
    if (!equalHashes(recordHash(text), hash)) {
      throw await this.#explain(refuse(`is not record ${id} of the log`), context, tree);
    }
    return { record: remember(timeline, path, { id, text, isStored: false }), bytes };
  }

  /** Follows the log to a tree that has record `id`, if ours has not: the one that came with it, or `newest` if that is larger. */
  async #timelineWith(
    id: number,
    {
      tree,
      newest,
      context,
    }: { readonly tree: SignedTree; readonly newest: SignedTree | undefined; readonly context: FetchContext },
  ): Promise<Timeline> {
    let timeline = await this.#follower.timeline();
    if (id >= timeline.tree.size) timeline = await this.#follower.catchUp();
    if (id >= timeline.tree.size) {
      const larger = newest !== undefined && newest.size > tree.size ? newest : tree;
      return this.#follower.follow(larger, context, id);
    }
    // Two trees of one size need no tiles to be told apart.
    const isOther = tree.size === timeline.tree.size && !equalHashes(tree.hash, timeline.tree.hash);
    return isOther ? this.#follower.follow(tree, context) : timeline;
  }

  async #leafOf(
    timeline: Timeline,
    id: number,
    context: FetchContext,
    tree?: SignedTree,
  ): ReturnType<Timeline["leaf"]> {
    try {
      return await timeline.leaf(id, context);
    } catch (error) {
      throw await this.#explain(error, context, tree);
    }
  }

  /** What does not belong to our tree may be the first sign of another history: then that is the error. `tree` is the one that came with it. */
  async #explain(error: unknown, context: FetchContext, tree?: SignedTree): Promise<unknown> {
    if (!isSluiceError(error, "integrity") || isFork(error)) return error;
    try {
      if (tree !== undefined) await this.#follower.follow(tree, context);
      else if (this.#newest.isOlder(beyondTreeMs)) await this.#newest.refresh(context);
    } catch (later) {
      if (isSluiceError(later) && isFork(later)) return later;
    }
    return error;
  }

  async #findTile(tile: Tile, context: FetchContext): Promise<ProvenTile> {
    const path = tilePath(tile);
    const level = Math.max(tile.level, 0);
    const provenBy = (timeline: Timeline): Promise<ProvenTile | undefined> =>
      timeline.tile(level, tile.index, context).catch(async (error: unknown) => {
        throw await this.#explain(error, context);
      });
    let proven = await provenBy(await this.#follower.timeline());
    if (proven === undefined || proven.tile.width < tile.width) {
      if (this.#newest.isOlder(beyondTreeMs)) await this.#newest.refresh(context);
      proven = await provenBy(await this.#follower.timeline());
    }
    if (proven === undefined || proven.tile.width < tile.width) {
      throw this.#notFound(path, "it is not in the log's newest tree");
    }
    const bytes = proven.bytes.subarray(0, tile.width * hashBytes);
    if (tile.level >= 0) return { ...proven, tile, bytes };
    return findDataTile(tile, bytes, { files: this.#files, events: this.#options.events, context });
  }

  /** What is fetched belongs to nobody: an asker that goes away stops waiting, and it is kept all the same. */
  #flightContext({ client }: FetchContext): FetchContext {
    return { signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(flightMs)]), client };
  }

  async #wait<T>(flight: Promise<T>, { signal }: FetchContext): Promise<T> {
    try {
      return await waitUnlessAborted(flight, signal);
    } catch (error) {
      throw isSluiceError(error) || !signal.aborted ? error : givenUp(signal, this.name);
    }
  }

  async #ask({ modulePath, version, path }: LookupTarget, context: FetchContext): Promise<LogResponse> {
    try {
      return await this.#options.transport.get(path, "lookup", context);
    } catch (error) {
      if (!isSluiceError(error, "not_found")) throw error;
      const message = `not found: ${modulePath}@${version}: ${this.name} does not have it`;
      throw new SluiceError("not_found", message, { cause: error, details: error.details });
    }
  }

  #notFound(path: string, why: string): SluiceError {
    return new SluiceError("not_found", `not found: ${path} of ${this.name}: ${why}`);
  }
}

/** What is looked up, and where the log answers for it. */
interface LookupTarget {
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly path: string;
}

/** Reads the answer to a lookup. Nothing is proven but that it is of this version. */
function readAnswer(
  bytes: Uint8Array,
  { modulePath, version }: LookupTarget,
): Lookup | { readonly wrong: string; readonly cause?: unknown } {
  try {
    const answer = parseLookup(bytes);
    const kinds = ["zip", "mod"] as const;
    const isOurs = kinds.some((kind) => findHash(answer.text, modulePath, version, kind) !== undefined);
    return isOurs ? answer : { wrong: "is of another version" };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { wrong: `is wrong: ${error.message}`, cause: error };
  }
}

function remember(timeline: Timeline, path: string, { id, text, isStored }: ProvenRecord): ProvenRecord {
  timeline.records.set(path, { id, text });
  return { id, text, isStored };
}
