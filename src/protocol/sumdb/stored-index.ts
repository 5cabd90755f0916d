import { maxTreeSize } from "./limits.ts";
import { checkRange, checkTreeSize, countOnes, countTrailingOnes } from "./numbers.ts";

/** A hash of the tree: the `n`th one, from 0, of those that stand for `2 ** level` records each. */
export interface TreeNode {
  readonly level: number;
  readonly n: number;
}

/** Levels that a tree of `maxTreeSize` records has. */
const maxLevel = 52;

/**
 * Where a hash stands in the dense order that logs store them in: right behind the last record it is made of (SPEC §6.3).
 *
 * @throws ProtocolError `malformed_index` for a node that no tree of at most `maxTreeSize` records has.
 */
export function storedHashIndex(level: number, n: number): number {
  checkRange(level, maxLevel, "level");
  const width = 2 ** level;
  checkRange(n, maxTreeSize / width - 1, `number of a hash at level ${level}`);
  return firstIndexOf((n + 1) * width - 1) + level;
}

/**
 * The node at a stored hash index.
 *
 * @throws ProtocolError `malformed_index`
 */
export function splitStoredHashIndex(index: number): TreeNode {
  checkRange(index, Number.MAX_SAFE_INTEGER - 1, "stored hash index");
  // The record that the hash was stored with is at or a little behind half of its index.
  let record = Math.floor(index / 2);
  let first = firstIndexOf(record);
  for (;;) {
    const next = first + 1 + countTrailingOnes(record);
    if (next > index) break;
    record++;
    first = next;
  }
  const level = index - first;
  return { level, n: Math.floor(record / 2 ** level) };
}

/** How many hashes are stored for `size` records. */
export function storedHashCount(size: number): number {
  checkTreeSize(size);
  return firstIndexOf(size);
}

/** Where the hash of record `n` itself stands: n + n/2 + n/4 + … */
function firstIndexOf(n: number): number {
  return 2 * n - countOnes(n);
}
