import { ProtocolError } from "../error.ts";
import { equalHashes, nodeHash } from "./hashes.ts";
import { checkTreeSize, floorLog2 } from "./numbers.ts";
import { checkCount, joinHashes, subtreeIndexes } from "./stored-hashes.ts";
import type { Tree } from "./tree.ts";

// A proof is a list of hashes, from the leaf or the small tree up to the root (RFC 6962). It is made of stored hashes, which
// are put together per subtree. `Part` says what one hash of the proof covers, `parts` lists them in the order of the proof.

/** Records `start` to `end` (exclusive). */
interface Part {
  readonly start: number;
  readonly end: number;
}

/** The stored hashes that the proof of record `n` in a tree of `size` records is made of. */
export function recordProofIndexes(size: number, n: number): number[] {
  return indexesOf(recordParts(size, n));
}

/** The proof, of the hashes at `recordProofIndexes(size, n)`. */
export function proveRecord(size: number, n: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  return join(recordParts(size, n), hashes);
}

/**
 * Checks that record `n` of the tree has this hash.
 *
 * @throws ProtocolError `invalid_proof`
 */
export function checkRecord(proof: readonly Uint8Array[], tree: Tree, n: number, recordHash: Uint8Array): void {
  const parts = recordParts(tree.size, n);
  if (proof.length !== parts.length) throw invalidProof();
  let hash = recordHash;
  for (const [index, { start }] of parts.entries()) {
    const beside = at(proof, index);
    hash = start > n ? nodeHash(hash, beside) : nodeHash(beside, hash);
  }
  if (!equalHashes(hash, tree.hash)) throw invalidProof();
}

/** The stored hashes that the proof of the tree of `oldSize` records being the beginning of that of `size` is made of. */
export function treeProofIndexes(size: number, oldSize: number): number[] {
  return indexesOf(treeParts(size, oldSize));
}

/** The proof, of the hashes at `treeProofIndexes(size, oldSize)`. */
export function proveTree(size: number, oldSize: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  return join(treeParts(size, oldSize), hashes);
}

/**
 * Checks that `older` is the beginning of `tree`.
 *
 * @throws ProtocolError `invalid_proof`
 */
export function checkTree(proof: readonly Uint8Array[], tree: Tree, older: Tree): void {
  const parts = treeParts(tree.size, older.size);
  if (proof.length !== parts.length) throw invalidProof();
  // Where the old tree is no subtree of the new one, the proof begins with the last subtree that both have.
  const startsAtRoot = parts[0] === undefined || parts[0].start >= older.size;
  let index = startsAtRoot ? 0 : 1;
  let hash = startsAtRoot ? older.hash : at(proof, 0);
  let oldHash = hash;
  for (; index < parts.length; index++) {
    const beside = at(proof, index);
    if (at(parts, index).start >= older.size) {
      hash = nodeHash(hash, beside);
    } else {
      hash = nodeHash(beside, hash);
      oldHash = nodeHash(beside, oldHash);
    }
  }
  if (!equalHashes(hash, tree.hash) || !equalHashes(oldHash, older.hash)) throw invalidProof();
}

/** From the leaf up: at each level the half that has not the record. */
function recordParts(size: number, n: number): Part[] {
  checkTreeSize(size);
  if (!Number.isSafeInteger(n) || n < 0 || n >= size) {
    throw new ProtocolError("malformed_index", `a tree of ${size} records has no record ${n}`);
  }
  const parts: Part[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + leftSize(end - start);
    if (n < middle) {
      parts.push({ start: middle, end });
      end = middle;
    } else {
      parts.push({ start, end: middle });
      start = middle;
    }
  }
  return parts.reverse();
}

function treeParts(size: number, oldSize: number): Part[] {
  checkTreeSize(size);
  if (!Number.isSafeInteger(oldSize) || oldSize < 1 || oldSize > size) {
    throw new ProtocolError("malformed_index", `no tree of ${oldSize} records can be proven in one of ${size}`);
  }
  const parts: Part[] = [];
  let start = 0;
  let end = size;
  while (oldSize !== end) {
    const middle = start + leftSize(end - start);
    if (oldSize <= middle) {
      parts.push({ start: middle, end });
      end = middle;
    } else {
      parts.push({ start, end: middle });
      start = middle;
    }
  }
  // Who checks knows the hash of the old tree, but not that of a part of it.
  if (start > 0) parts.push({ start, end });
  return parts.reverse();
}

/** Records in the left half of a subtree: the largest power of two below `count`. */
function leftSize(count: number): number {
  return 2 ** floorLog2(count - 1);
}

function indexesOf(parts: readonly Part[]): number[] {
  return parts.flatMap(({ start, end }) => subtreeIndexes(start, end));
}

function join(parts: readonly Part[], hashes: readonly Uint8Array[]): Uint8Array[] {
  const counts = parts.map(({ start, end }) => subtreeIndexes(start, end).length);
  checkCount(
    hashes,
    counts.reduce((sum, count) => sum + count, 0),
  );
  let taken = 0;
  return counts.map((count) => joinHashes(hashes.slice(taken, (taken += count))));
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw invalidProof();
  return value;
}

function invalidProof(): ProtocolError {
  return new ProtocolError("invalid_proof", "invalid transparency proof");
}
