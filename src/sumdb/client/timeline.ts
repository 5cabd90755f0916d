import { LRUCache } from "lru-cache";
import type { Events } from "../../core/events.ts";
import type { FetchContext, LogRecord, SignedTree } from "../../core/ports.ts";
import { Singleflight } from "../../core/singleflight.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  equalHashes,
  hashBytes,
  hashRow,
  planTileReads,
  storedHashIndex,
  type Tile,
  tileOfTree,
  tilePath,
  treeHashIndexes,
  treeHashOf,
} from "../../protocol/sumdb/index.ts";
import { fullWidth, type LogFiles } from "./log-files.ts";
import { invalid } from "./problems.ts";

export interface TimelineOptions {
  /** The tree it begins with: proven before, or the empty one. */
  readonly tree: SignedTree;
  readonly files: LogFiles;
  readonly events: Events;
  /** For full tiles. Default 16 MiB: those of half a million records. */
  readonly memoryBytes?: number | undefined;
}

/** Hashes of a tile that belong to the tree. */
export interface ProvenTile {
  readonly tile: Tile;
  readonly bytes: Uint8Array;
  /** Nothing had to be asked of the log for it. */
  readonly isStored: boolean;
}

/** What came of comparing another tree with the one of this timeline. */
export interface Comparison {
  /** One is the beginning of the other. */
  readonly isConsistent: boolean;
  /** What proves that, for `advance`. Empty unless the other tree is larger. */
  readonly proof: readonly ReadTile[];
}

interface ReadTile {
  readonly tile: Tile;
  readonly bytes: Uint8Array;
  readonly from: "memory" | "cache" | "log";
  /** Where it came from, for people. */
  readonly via: string;
  /** The cache had other bytes. */
  readonly replaces: boolean;
}

/** The tree, and its partial tiles by level. They are at its right edge, one in a level, and make up its hash. */
interface View {
  readonly tree: SignedTree;
  edge: ReadonlyMap<number, ProvenTile> | undefined;
}

const maxRecords = 20_000;

/**
 * One history of a log: its newest proven tree, and what is proven to belong to it. Full tiles never change, so those that were
 * proven under one tree are good for all later ones.
 */
export class Timeline {
  /** Proven ones, by the path of their lookup. */
  readonly records = new LRUCache<string, LogRecord>({ max: maxRecords });
  readonly #files: LogFiles;
  readonly #events: Events;
  /** Proven full tiles. */
  readonly #tiles: LRUCache<string, Uint8Array>;
  readonly #flights = new Singleflight<ProvenTile>();
  readonly #edges = new Singleflight<ReadonlyMap<number, ProvenTile>>();
  #view: View;

  constructor({ tree, files, events, memoryBytes = 16 * 1024 * 1024 }: TimelineOptions) {
    this.#files = files;
    this.#events = events;
    this.#tiles = new LRUCache({ maxSize: memoryBytes, sizeCalculation: (bytes) => bytes.length });
    this.#view = { tree, edge: undefined };
  }

  get tree(): SignedTree {
    return this.#view.tree;
  }

  /** A tree was signed. Before that, the tree is the empty one. */
  get isFollowed(): boolean {
    return this.#view.tree.note.length > 0;
  }

  /**
   * The tile at a place of the tree, as wide as it is there, proven; undefined when nothing of it is in the tree. It is read
   * together with all above it, so that it costs one round trip at most. `integrity` when it is wrong, `upstream_*` when it cannot be had.
   */
  async tile(level: number, index: number, context: FetchContext): Promise<ProvenTile | undefined> {
    const view = this.#view;
    const tile = tileOfTree(view.tree.size, level, index);
    return tile && this.#prove(tile, view, context);
  }

  /** The hash of record `id` of the tree. */
  async leaf(id: number, context: FetchContext): Promise<{ readonly hash: Uint8Array; readonly isStored: boolean }> {
    const proven = await this.tile(0, Math.floor(id / fullWidth), context);
    const start = (id % fullWidth) * hashBytes;
    if (proven === undefined || proven.bytes.length <= start) throw new Error(`record ${id} is not in the tree`);
    return { hash: proven.bytes.subarray(start, start + hashBytes), isStored: proven.isStored };
  }

  /**
   * Compares a signed tree with this one. An empty one is the beginning of all, whatever its hash. For a larger one, the tiles
   * that are read are those that prove it, those of record `id`, and all that `advance` promises.
   */
  async compare(other: SignedTree, context: FetchContext, id?: number): Promise<Comparison> {
    const { tree } = this.#view;
    if (other.size === tree.size) {
      return { isConsistent: tree.size === 0 || equalHashes(other.hash, tree.hash), proof: [] };
    }
    const [older, newer] = other.size < tree.size ? [other, tree] : [tree, other];
    const common = treeHashIndexes(older.size);
    const leaf = newer === tree || id === undefined ? [] : [storedHashIndex(0, id)];
    const { hashes, tiles } = await this.#read(newer, [...common, ...leaf], context);
    const hash = treeHashOf(older.size, hashes.slice(0, common.length));
    const isConsistent = older.size === 0 || equalHashes(hash, older.hash);
    if (newer === other) return { isConsistent, proof: tiles };
    await this.#keep(tiles);
    return { isConsistent, proof: [] };
  }

  /** Keeps what proves a larger tree. `advance` may follow. */
  async keepProof({ proof }: Comparison): Promise<void> {
    await this.#keep(proof);
  }

  /**
   * Makes a larger tree, proven by `compare`, the one of this timeline.
   *
   * From then on everything is kept that is needed to prove, under the new tree, what could be proven under the old one. The tiles
   * above a record were full, then they are the same now. Or they were partial, or not there yet, then they are the lowest partial
   * tile of the old tree or above it. That one was read in its new width, with all above it, to make the old hash.
   */
  advance(tree: SignedTree, { proof }: Comparison): void {
    const old = this.#view.edge ?? new Map<number, ProvenTile>();
    this.#view = { tree, edge: edgeOf(proof) };
    for (const { tile } of old.values()) {
      const now = tileOfTree(tree.size, tile.level, tile.index);
      if (now?.width !== tile.width) this.#files.forget(tilePath(tile));
    }
  }

  async #prove(tile: Tile, view: View, context: FetchContext): Promise<ProvenTile> {
    const key = keyOf(tile);
    if (tile.width < fullWidth) {
      const proven = (await this.#edgeOf(view, context)).get(tile.level);
      if (proven === undefined) throw new Error(`the edge of the tree has no ${key}`);
      return proven;
    }
    const bytes = this.#tiles.get(key);
    if (bytes !== undefined) return { tile, bytes, isStored: true };
    return this.#flights.run(key, () => this.#proveFull(tile, view, context));
  }

  /** A full tile is proven by its hash in the one above. Both are read at the same time. */
  async #proveFull(tile: Tile, view: View, context: FetchContext): Promise<ProvenTile> {
    const aboveIndex = Math.floor(tile.index / fullWidth);
    const above = tileOfTree(view.tree.size, tile.level + 1, aboveIndex);
    if (above === undefined) throw new Error(`nothing is above the full tile ${keyOf(tile)}`);
    const [parent, first] = await Promise.all([this.#prove(above, view, context), this.#readTile(tile, context)]);
    const start = (tile.index % fullWidth) * hashBytes;
    const hash = parent.bytes.subarray(start, start + hashBytes);
    const proves = ({ bytes }: ReadTile): boolean =>
      bytes.length === fullWidth * hashBytes && equalHashes(hashRow(bytes), hash);
    const read = proves(first) ? first : await this.#fetchAgain(first, context);
    if (!proves(read)) throw this.#invalid(read, `${tilePath(tile)} does not belong to the tree that was signed`);
    await this.#keep([read]);
    return { tile, bytes: read.bytes, isStored: read.from !== "log" && parent.isStored };
  }

  async #edgeOf(view: View, context: FetchContext): Promise<ReadonlyMap<number, ProvenTile>> {
    if (view.edge !== undefined) return view.edge;
    return this.#edges.run(String(view.tree.size), async () => {
      const { tiles } = await this.#read(view.tree, [], context);
      await this.#keep(tiles);
      view.edge = edgeOf(tiles);
      return view.edge;
    });
  }

  /** Reads hashes of any tree, proven by its own hash. What the cache has may be of another history, or broken: then all is asked for. */
  async #read(
    tree: SignedTree,
    indexes: readonly number[],
    context: FetchContext,
  ): Promise<{ readonly hashes: readonly Uint8Array[]; readonly tiles: readonly ReadTile[] }> {
    const plan = planTileReads(tree, indexes);
    let tiles = await Promise.all(plan.tiles.map((tile) => this.#readTile(tile, context)));
    let hashes = tryVerify(plan, tiles);
    if (hashes instanceof ProtocolError) {
      tiles = await Promise.all(tiles.map((tile) => this.#fetchAgain(tile, context)));
      hashes = tryVerify(plan, tiles);
    }
    if (!(hashes instanceof ProtocolError)) return { hashes, tiles };
    const via = tiles[0]?.via ?? this.#files.name;
    throw this.#invalid({ via }, `the tiles of the tree of ${tree.size} records are wrong: ${hashes.message}`, hashes);
  }

  async #readTile(tile: Tile, context: FetchContext): Promise<ReadTile> {
    const known = this.#peek(tile);
    if (known !== undefined) return { tile, bytes: known, from: "memory", via: "memory", replaces: false };
    const stored = await this.#files.storedTile(tile);
    if (stored !== undefined) return { tile, bytes: stored, from: "cache", via: "the cache", replaces: false };
    const { bytes, via } = await this.#files.fetchTile(tile, context);
    return { tile, bytes, from: "log", via, replaces: false };
  }

  #peek(tile: Tile): Uint8Array | undefined {
    if (tile.width === fullWidth) return this.#tiles.get(keyOf(tile));
    const edge = this.#view.edge?.get(tile.level);
    return edge?.tile.index === tile.index && edge.tile.width === tile.width ? edge.bytes : undefined;
  }

  async #fetchAgain({ tile, bytes: before, from }: ReadTile, context: FetchContext): Promise<ReadTile> {
    const { bytes, via } = await this.#files.fetchTile(tile, context);
    return { tile, bytes, from: "log", via, replaces: from === "cache" && !equalHashes(before, bytes) };
  }

  async #keep(tiles: readonly ReadTile[]): Promise<void> {
    for (const { tile, bytes, from, replaces } of tiles) {
      if (tile.width === fullWidth) this.#tiles.set(keyOf(tile), bytes);
      if (from !== "log") continue;
      if (replaces) await this.#files.setAside(tilePath(tile), "it does not belong to the tree that was signed");
      this.#files.keep(tilePath(tile), bytes);
    }
  }

  #invalid({ via }: { readonly via: string }, reason: string, cause?: unknown) {
    return invalid(this.#events, { database: this.#files.name, via, reason, cause });
  }
}

function keyOf({ level, index }: Tile): string {
  return `${level}/${index}`;
}

function edgeOf(tiles: readonly ReadTile[]): ReadonlyMap<number, ProvenTile> {
  const partial = tiles.filter(({ tile }) => tile.width < fullWidth);
  return new Map(
    partial.map(({ tile, bytes, from }) => [tile.level, { tile, bytes, isStored: from !== "log" }] as const),
  );
}

function tryVerify(
  plan: ReturnType<typeof planTileReads>,
  tiles: readonly ReadTile[],
): readonly Uint8Array[] | ProtocolError {
  try {
    return plan.verify(tiles.map(({ bytes }) => bytes));
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}
