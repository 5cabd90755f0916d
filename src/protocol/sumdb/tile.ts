import { ProtocolError } from "../error.ts";
import { hashRow } from "./hashes.ts";
import { hashBytes, tileHeight } from "./limits.ts";
import { checkRange, checkTreeSize } from "./numbers.ts";
import { splitStoredHashIndex, storedHashIndex } from "./stored-index.ts";

/**
 * A row of hashes of a log's tree, or of records (SPEC §6.3): `width` entries of level `height * level`, from entry
 * `index * 2 ** height` on. The nodes above them, up to `height` levels, can be made of them.
 */
export interface Tile {
  /** 1 to 30. Go asks for 8. */
  readonly height: number;
  /** 0 to 63; -1 for records (a data tile). */
  readonly level: number;
  /** Which one within its level, from 0. */
  readonly index: number;
  /** 1 to `2 ** height`, which is a full tile. */
  readonly width: number;
}

/** Where a node stands in a tile: its bytes there are those of the hashes it is made of. */
interface Span {
  readonly tile: Tile;
  /** Bytes, end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** The tile of least width that has, or can make, the hash at a stored hash index. */
export function tileForIndex(height: number, storedIndex: number): Tile {
  return spanOf(height, storedIndex).tile;
}

/** The tile at this place, as wide as it is in a tree of `size` records; undefined when nothing of it is in the tree. */
export function tileOfTree(size: number, level: number, index: number, height = tileHeight): Tile | undefined {
  checkTreeSize(size);
  checkHeight(height);
  const fullWidth = 2 ** height;
  const entries = Math.floor(size / 2 ** (height * Math.max(level, 0)));
  const width = Math.min(fullWidth, entries - index * fullWidth);
  return width > 0 ? { height, level, index, width } : undefined;
}

/** The tiles of hashes that are new or wider when a log grows from `oldSize` to `newSize`, from level 0 up. */
export function newTiles(height: number, oldSize: number, newSize: number): Tile[] {
  checkHeight(height);
  checkTreeSize(oldSize);
  checkTreeSize(newSize);
  const fullWidth = 2 ** height;
  const tiles: Tile[] = [];
  for (let level = 0, step = 1; newSize >= step; level++, step *= fullWidth) {
    const oldEntries = Math.floor(oldSize / step);
    const entries = Math.floor(newSize / step);
    if (oldEntries === entries) continue;
    for (let index = Math.floor(oldEntries / fullWidth); index * fullWidth < entries; index++) {
      tiles.push({ height, level, index, width: Math.min(fullWidth, entries - index * fullWidth) });
    }
  }
  return tiles;
}

/** The stored hashes that the bytes of a tile of hashes are, in order. */
export function tileHashIndexes({ height, level, index, width }: Tile): number[] {
  checkHeight(height);
  const first = index * 2 ** height;
  return Array.from({ length: width }, (_, entry) => storedHashIndex(height * level, first + entry));
}

/**
 * The hash at a stored hash index, of the bytes of a tile that has or can make it.
 *
 * @throws ProtocolError `malformed_tile` when the tile does not have it, or its bytes are too few.
 */
export function hashFromTile(tile: Tile, bytes: Uint8Array, storedIndex: number): Uint8Array {
  const { tile: least, start, end } = spanOf(tile.height, storedIndex);
  if (tile.level !== least.level || tile.index !== least.index || tile.width < least.width || bytes.length < end) {
    throw new ProtocolError("malformed_tile", `the tile does not have the hash at stored index ${storedIndex}`);
  }
  return hashRow(bytes.subarray(start, end));
}

function spanOf(height: number, storedIndex: number): Span {
  checkHeight(height);
  const node = splitStoredHashIndex(storedIndex);
  const level = Math.floor(node.level / height);
  const span = 2 ** (node.level - level * height);
  const perTile = 2 ** height / span;
  const index = Math.floor(node.n / perTile);
  const end = (node.n - index * perTile + 1) * span;
  return {
    tile: { height, level, index, width: end },
    start: (end - span) * hashBytes,
    end: end * hashBytes,
  };
}

function checkHeight(height: number): void {
  if (height < 1) throw new ProtocolError("malformed_tile", `a tile has no height of ${height}`);
  checkRange(height, 30, "tile height");
}
