import { ProtocolError } from "../error.ts";
import { checkHash, emptyTreeHash, nodeHash } from "./hashes.ts";
import { maxTreeSize } from "./limits.ts";
import { checkRange, checkTreeSize, countTrailingOnes, floorLog2 } from "./numbers.ts";
import { storedHashIndex } from "./stored-index.ts";

/** The stored hashes that must be read to append record `n`, in rising order: one for each subtree that it completes. */
export function storedHashIndexesFor(n: number): number[] {
  checkRange(n, maxTreeSize - 1, "record number");
  const indexes: number[] = [];
  for (let level = countTrailingOnes(n) - 1; level >= 0; level--) {
    indexes.push(storedHashIndex(level, Math.floor(n / 2 ** level) - 1));
  }
  return indexes;
}

/**
 * The hashes to store, from `storedHashIndex(0, n)` on, when record `n` is appended: its own and those of the subtrees that it
 * completes. `read` has the hashes at `storedHashIndexesFor(n)`.
 */
export function storedHashesFor(n: number, recordHash: Uint8Array, read: readonly Uint8Array[]): Uint8Array[] {
  checkRange(n, maxTreeSize - 1, "record number");
  checkCount(read, countTrailingOnes(n));
  checkHash(recordHash);
  const hashes = [recordHash];
  let hash = recordHash;
  for (const left of read.toReversed()) {
    hash = nodeHash(left, hash);
    hashes.push(hash);
  }
  return hashes;
}

/** The stored hashes that a tree's hash is made of: those of its largest complete subtrees, from left to right. */
export function treeHashIndexes(size: number): number[] {
  checkTreeSize(size);
  return subtreeIndexes(0, size);
}

/** The hash of the tree of `size` records, of the hashes at `treeHashIndexes(size)`. */
export function treeHashOf(size: number, hashes: readonly Uint8Array[]): Uint8Array {
  checkTreeSize(size);
  checkCount(hashes, subtreeIndexes(0, size).length);
  return size === 0 ? emptyTreeHash : joinHashes(hashes);
}

/** The largest complete subtrees of records `start` to `end` (exclusive), from left to right. */
export function subtreeIndexes(start: number, end: number): number[] {
  const indexes: number[] = [];
  for (let at = start; at < end;) {
    const level = floorLog2(end - at);
    indexes.push(storedHashIndex(level, at / 2 ** level));
    at += 2 ** level;
  }
  return indexes;
}

/** The one hash above hashes of subtrees that get smaller from left to right. At least one. */
export function joinHashes(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

export function checkCount(hashes: readonly Uint8Array[], count: number): void {
  if (hashes.length === count) return;
  throw new ProtocolError("malformed_index", `${hashes.length} hashes were given where ${count} are needed`);
}
