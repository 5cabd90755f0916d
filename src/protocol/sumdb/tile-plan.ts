import { ProtocolError } from "../error.ts";
import { equalHashes, hashRow } from "./hashes.ts";
import { hashBytes, tileHeight } from "./limits.ts";
import { storedHashCount } from "./stored-index.ts";
import { treeHashIndexes, treeHashOf } from "./stored-hashes.ts";
import { hashFromTile, tileForIndex, tileHashIndexes, tileOfTree, type Tile } from "./tile.ts";
import { tilePath } from "./tile-path.ts";
import type { Tree } from "./tree.ts";

/** Which tiles prove some hashes of a tree. */
export interface TilePlan {
  /** As wide as they are in the tree. Those that the hash of the tree is made of come first, and parents before children. */
  readonly tiles: readonly Tile[];
  /**
   * Checks the bytes of every tile of `tiles`, in their order, against the hash of the tree, and answers the hashes that were
   * asked for, as views of those bytes where it can. All of the tiles are proven then.
   *
   * @throws ProtocolError `malformed_tile` for a wrong number of bytes; `invalid_proof` for wrong ones.
   */
  verify(bytesByTile: readonly Uint8Array[]): Uint8Array[];
}

/**
 * Plans to read hashes of a tree by their stored hash indexes: the tiles that have them, those above, and those at the right
 * edge that the hash of the tree is made of.
 *
 * @throws ProtocolError `malformed_index` for a hash that is not in the tree.
 */
export function planTileReads(tree: Tree, storedIndexes: readonly number[], height = tileHeight): TilePlan {
  const list = new TileList(tree.size, height);
  const edge = treeHashIndexes(tree.size).map((index) => ({ index, position: list.add(tileForIndex(height, index)) }));
  const edgeTiles = list.tiles.length;
  const wanted = storedIndexes.map((index) => {
    if (index >= storedHashCount(tree.size)) {
      throw new ProtocolError("malformed_index", `the tree of ${tree.size} records has no hash at ${index}`);
    }
    return { index, position: list.add(tileForIndex(height, index)) };
  });

  function verify(bytesByTile: readonly Uint8Array[]): Uint8Array[] {
    checkLengths(list.tiles, bytesByTile);
    const read = ({ index, position }: { index: number; position: number }): Uint8Array =>
      hashFromTile(at(list.tiles, position), at(bytesByTile, position), index);
    if (!equalHashes(treeHashOf(tree.size, edge.map(read)), tree.hash)) {
      throw new ProtocolError("invalid_proof", `the tiles do not lead to the hash of the tree of ${tree.size} records`);
    }
    for (let position = edgeTiles; position < list.tiles.length; position++) {
      const tile = at(list.tiles, position);
      const above = at(bytesByTile, list.parentOf(position));
      const start = (tile.index % 2 ** height) * hashBytes;
      if (!equalHashes(hashRow(at(bytesByTile, position)), above.subarray(start, start + hashBytes))) {
        throw new ProtocolError(
          "invalid_proof",
          `${tilePath(tile)} does not belong to the tree of ${tree.size} records`,
        );
      }
    }
    return wanted.map(read);
  }
  return { tiles: list.tiles, verify };
}

/**
 * Plans to prove one whole tile, of at most the width that it has in the tree; `verify` answers the hashes in it. A tile of
 * records is proven by the hashes of the tile of level 0 at its place: `checkDataTile` compares them.
 *
 * @throws ProtocolError `malformed_index` when the tile is not in the tree.
 */
export function planTileCheck(tree: Tree, tile: Tile): TilePlan {
  const hashes = { ...tile, level: Math.max(tile.level, 0) };
  const inTree = tileOfTree(tree.size, hashes.level, hashes.index, hashes.height);
  if (inTree === undefined || inTree.width < tile.width) {
    throw new ProtocolError("malformed_index", `${tilePath(tile)} is not in the tree of ${tree.size} records`);
  }
  return planTileReads(tree, tileHashIndexes(hashes), tile.height);
}

/** The tiles of a plan, each once. */
class TileList {
  readonly tiles: Tile[] = [];
  readonly #size: number;
  readonly #height: number;
  readonly #positions = new Map<string, number>();
  readonly #parents: number[] = [];

  constructor(size: number, height: number) {
    this.#size = size;
    this.#height = height;
  }

  /** Adds a tile in the width of the tree, behind those that prove it. Answers its position. */
  add({ level, index }: Tile): number {
    const key = `${level}/${index}`;
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    const tile = tileOfTree(this.#size, level, index, this.#height);
    if (tile === undefined) throw new ProtocolError("malformed_index", `the tree has no tile ${key}`);
    const fullWidth = 2 ** this.#height;
    // A partial tile is at the right edge: the hash of the tree is made of it.
    const parent =
      tile.width === fullWidth ? this.add({ ...tile, level: level + 1, index: Math.floor(index / fullWidth) }) : -1;
    this.#positions.set(key, this.tiles.length);
    this.#parents.push(parent);
    return this.tiles.push(tile) - 1;
  }

  parentOf(position: number): number {
    return at(this.#parents, position);
  }
}

function checkLengths(tiles: readonly Tile[], bytesByTile: readonly Uint8Array[]): void {
  if (tiles.length !== bytesByTile.length) {
    throw new ProtocolError(
      "malformed_tile",
      `${bytesByTile.length} tiles were given where ${tiles.length} are needed`,
    );
  }
  for (const [position, tile] of tiles.entries()) {
    const { length } = at(bytesByTile, position);
    if (length !== tile.width * hashBytes) {
      throw new ProtocolError(
        "malformed_tile",
        `${tilePath(tile)} has ${length} bytes instead of ${tile.width * hashBytes}`,
      );
    }
  }
}

function at<T>(list: readonly T[], position: number): T {
  const value = list[position];
  if (value === undefined) throw new ProtocolError("malformed_index", `there is nothing at position ${position}`);
  return value;
}
