import { LRUCache } from "lru-cache";
import {
  emptyTreeHash,
  planTileReads,
  storedHashIndex,
  type Tile,
  tilePath,
  type Tree,
  treeHashIndexes,
  treeHashOf,
} from "../../protocol/sumdb/index.ts";
import type { LogReader } from "./log-reader.ts";

/** Of 8 KiB each. */
const maxTiles = 512;

/** Proves what belongs to a log's tree, by as few of its tiles as that takes. */
export class Prover {
  readonly #log: LogReader;
  readonly #tiles = new LRUCache<string, Promise<Uint8Array>>({ max: maxTiles });

  constructor(log: LogReader) {
    this.#log = log;
  }

  /**
   * The hash of a record in the tree.
   *
   * @throws ProtocolError when the tiles do not lead to the hash of the tree.
   */
  async recordHash(tree: Tree, id: number): Promise<Uint8Array> {
    const [hash = emptyTreeHash] = await this.#hashes(tree, [storedHashIndex(0, id)]);
    return hash;
  }

  /**
   * The hash of the tree of the first `size` records of a tree.
   *
   * @throws ProtocolError when the tiles do not lead to the hash of the tree.
   */
  async treeHash(tree: Tree, size: number): Promise<Uint8Array> {
    return treeHashOf(size, await this.#hashes(tree, treeHashIndexes(size)));
  }

  async #hashes(tree: Tree, indexes: readonly number[]): Promise<Uint8Array[]> {
    const plan = planTileReads(tree, indexes);
    return plan.verify(await Promise.all(plan.tiles.map((tile) => this.#tile(tile))));
  }

  #tile(tile: Tile): Promise<Uint8Array> {
    const path = tilePath(tile);
    const known = this.#tiles.get(path);
    if (known !== undefined) return known;
    const bytes = this.#log.tile(tile);
    this.#tiles.set(path, bytes);
    bytes.catch(() => this.#tiles.delete(path));
    return bytes;
  }
}
