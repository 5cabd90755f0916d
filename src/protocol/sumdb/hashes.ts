import { hash } from "node:crypto";
import { hashBytes } from "./limits.ts";

/** SHA-256 of nothing: the hash of a tree without records. */
export const emptyTreeHash: Uint8Array = hash("sha256", "", "buffer");

/** The hash of a record's text, as the tree has it: a leaf (SPEC §6.3). 32 bytes. */
export function recordHash(text: string): Uint8Array {
  return hash("sha256", `\0${text}`, "buffer");
}

/** Filled anew for each node: there are two hundred and fifty in a tile. */
const node = new Uint8Array(1 + 2 * hashBytes);
node[0] = 1;

/** The hash of the node above two hashes. 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  node.set(left, 1);
  node.set(right, 1 + hashBytes);
  return hash("sha256", node, "buffer");
}

export function equalHashes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/**
 * The hash above a row of hashes, one behind the other: `bytes` are 32 times a power of two. A row of one is its hash, and no
 * copy of it.
 */
export function hashRow(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= hashBytes) return bytes;
  // Each round halves the row, in place: what is written stands before what is still to be read.
  const row = Uint8Array.from(bytes);
  for (let length = row.length; length > hashBytes; length /= 2) {
    for (let at = 0; at < length; at += 2 * hashBytes) {
      node.set(row.subarray(at, at + 2 * hashBytes), 1);
      row.set(hash("sha256", node, "buffer"), at / 2);
    }
  }
  return row.subarray(0, hashBytes);
}
