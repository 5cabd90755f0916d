import { ProtocolError } from "../error.ts";
import { equalHashes, recordHash } from "./hashes.ts";
import { tryDecodeLogText } from "./log-text.ts";
import { checkRecordText, malformedRecord } from "./record.ts";

/** The bytes of a tile of records: each text and an empty line (SPEC §6.3). */
export function formatDataTile(texts: readonly string[]): Uint8Array {
  for (const text of texts) checkRecordText(text);
  return Buffer.from(texts.map((text) => `${text}\n`).join(""));
}

/**
 * Reads a tile of records.
 *
 * @throws ProtocolError `malformed_record`
 */
export function parseDataTile(bytes: Uint8Array): string[] {
  const all = tryDecodeLogText(bytes);
  if (all === undefined) throw malformedRecord("the tile has bytes that are no text");
  const texts: string[] = [];
  for (let start = 0; start < all.length;) {
    const end = all.indexOf("\n\n", start);
    if (end < 0) throw malformedRecord("the tile does not end with an empty line");
    const text = all.slice(start, end + 1);
    checkRecordText(text);
    texts.push(text);
    start = end + 2;
  }
  return texts;
}

/**
 * Reads a tile of records and compares each with its proven hash: those that `verify` of `planTileCheck` answers.
 *
 * @throws ProtocolError `malformed_record`; `invalid_proof` for a record that is not the one, or another number of them.
 */
export function checkDataTile(bytes: Uint8Array, levelZeroHashes: readonly Uint8Array[]): string[] {
  const texts = parseDataTile(bytes);
  if (texts.length !== levelZeroHashes.length) {
    throw new ProtocolError(
      "invalid_proof",
      `the tile has ${texts.length} records where the tree has ${levelZeroHashes.length}`,
    );
  }
  for (const [position, hash] of levelZeroHashes.entries()) {
    if (equalHashes(recordHash(texts[position] ?? ""), hash)) continue;
    throw new ProtocolError("invalid_proof", `record ${position} of the tile is not the one in the tree`);
  }
  return texts;
}
