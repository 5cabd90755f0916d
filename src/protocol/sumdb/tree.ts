import { ProtocolError } from "../error.ts";
import { encodeBase64, tryDecodeBase64 } from "./base64.ts";
import { checkHash } from "./hashes.ts";
import { hashBytes, maxTreeSize } from "./limits.ts";
import { tryParseDecimal } from "./log-text.ts";
import { checkTreeSize } from "./numbers.ts";

/** The log as it was when it had so many records. */
export interface Tree {
  readonly size: number;
  /** 32 bytes, over all records. */
  readonly hash: Uint8Array;
}

const heading = "go.sum database tree";

/** The text of the note that a log signs (SPEC §6.3). */
export function formatTree(tree: Tree): string {
  checkTreeSize(tree.size);
  checkHash(tree.hash);
  return `${heading}\n${tree.size}\n${encodeBase64(tree.hash)}\n`;
}

/**
 * Reads the text of such a note. Lines behind the third are for later versions of the format and are passed over.
 *
 * @throws ProtocolError `malformed_tree`
 */
export function parseTree(text: string): Tree {
  const [first, size, hash64, ...rest] = text.split("\n", 4);
  if (first !== heading || size === undefined || hash64 === undefined || rest.length === 0) {
    throw new ProtocolError("malformed_tree", "malformed tree note: it does not have the three lines of a tree");
  }
  const hash = tryDecodeBase64(hash64);
  const count = tryParseDecimal(size, maxTreeSize);
  if (count === undefined || hash?.length !== hashBytes) {
    throw new ProtocolError("malformed_tree", "malformed tree note: its size or its hash is none");
  }
  return { size: count, hash };
}
