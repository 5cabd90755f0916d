import { hash } from "node:crypto";
import { ProtocolError } from "../error.ts";
import { hashBytes } from "./limits.ts";

/** SHA-256 of nothing: the hash of a tree without records. */
export const emptyTreeHash: Uint8Array = sha256("");

/** The hash of a record's text, as the tree has it: a leaf (SPEC §6.3). 32 bytes. */
export function recordHash(text: string): Uint8Array {
  return sha256(`\0${text}`);
}

/** Filled anew for each node: there are 255 in a tile. */
const node = Buffer.alloc(1 + 2 * hashBytes, 1);

/**
 * The hash of the node above two hashes. 32 bytes.
 *
 * @throws ProtocolError `malformed_index` for hashes of another length.
 */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  checkHash(left);
  checkHash(right);
  node.set(left, 1);
  node.set(right, 1 + hashBytes);
  return sha256(node);
}

/**
 * The hash above a row of hashes, one behind the other: `bytes` are 32 times a power of two. A row of one is its hash, and no
 * copy of it.
 *
 * @throws ProtocolError `malformed_index` for another number of bytes.
 */
export function hashRow(bytes: Uint8Array): Uint8Array {
  if (bytes.length === hashBytes) return bytes;
  if (bytes.length < hashBytes || !Number.isInteger(Math.log2(bytes.length))) {
    throw new ProtocolError("malformed_index", `${bytes.length} bytes are no full row of hashes`);
  }
  // Each round halves the row, in place: what is written stands before what is still to be read.
  const row = Buffer.from(bytes);
  for (let length = row.length; length > hashBytes; length /= 2) {
    for (let at = 0; at < length; at += 2 * hashBytes) {
      row.copy(node, 1, at, at + 2 * hashBytes);
      row.write(hash("sha256", node, "binary"), at / 2, hashBytes, "binary");
    }
  }
  return row.subarray(0, hashBytes);
}

export function checkHash(hash: Uint8Array): void {
  if (hash.length === hashBytes) return;
  throw new ProtocolError("malformed_index", `a hash has ${hashBytes} bytes, not ${hash.length}`);
}

export function equalHashes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** By way of a string: twice as fast as the digest in a buffer of its own. */
function sha256(data: string | Uint8Array): Buffer {
  const digest = Buffer.allocUnsafe(hashBytes);
  digest.write(hash("sha256", data, "binary"), "binary");
  return digest;
}
