import {
  nodeHash,
  recordHash,
  splitStoredHashIndex,
  type Tile,
  tileHashIndexes,
  type Tree,
  treeHashIndexes,
  treeHashOf,
} from "../../src/protocol/sumdb/index.ts";

/** A log of any size that takes no room: all of its records are the same but for the marked ones. */
export interface SparseLog {
  /** Text of record `n`. */
  record(n: number): string;
  tree(size: number): Tree;
  /** By stored hash index. */
  hashes(indexes: readonly number[]): Uint8Array[];
  /** Of a tile of hashes. */
  tileBytes(tile: Tile): Uint8Array;
}

/** `test/oracle/sumdb` has the same one. */
export function createSparseLog(marks: readonly number[]): SparseLog {
  const unmarked = [recordHash("record\n")];
  const known = new Map<string, Uint8Array>();

  function record(n: number): string {
    return marks.includes(n) ? `record ${n}\n` : "record\n";
  }

  function node(level: number, n: number): Uint8Array {
    if (!marks.some((mark) => Math.floor(mark / 2 ** level) === n)) return unmarkedNode(level);
    if (level === 0) return recordHash(record(n));
    const key = `${level} ${n}`;
    const hash = known.get(key) ?? nodeHash(node(level - 1, 2 * n), node(level - 1, 2 * n + 1));
    known.set(key, hash);
    return hash;
  }

  function unmarkedNode(level: number): Uint8Array {
    const found = unmarked[level];
    if (found !== undefined) return found;
    const below = unmarkedNode(level - 1);
    return (unmarked[level] = nodeHash(below, below));
  }

  function hashes(indexes: readonly number[]): Uint8Array[] {
    return indexes.map((index) => {
      const { level, n } = splitStoredHashIndex(index);
      return node(level, n);
    });
  }

  return {
    record,
    hashes,
    tree: (size) => ({ size, hash: treeHashOf(size, hashes(treeHashIndexes(size))) }),
    tileBytes: (tile) => Buffer.concat(hashes(tileHashIndexes(tile))),
  };
}
