import { maxLookupBytes, maxTreeSize } from "./limits.ts";
import { tryDecodeLogText, tryParseDecimal } from "./log-text.ts";
import { checkRange } from "./numbers.ts";
import { checkRecordText, malformedRecord } from "./record.ts";

/** What a log answers when it is asked for a module version. Nothing of it is proven yet. */
export interface Lookup {
  /** The record's number in the log, from 0. */
  readonly id: number;
  /** The record. */
  readonly text: string;
  /** A signed tree that has the record, as it came. A view of the answer. */
  readonly note: Uint8Array;
}

/**
 * Reads the answer to a lookup: number, record, empty line, signed tree (SPEC §6.4).
 *
 * @throws ProtocolError `malformed_record`
 */
export function parseLookup(bytes: Uint8Array): Lookup {
  if (bytes.length > maxLookupBytes) throw malformedRecord(`the answer has more than ${maxLookupBytes} bytes`);
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("\n\n");
  const record = end < 0 ? undefined : tryDecodeLogText(bytes.subarray(0, end + 1));
  if (record === undefined) throw malformedRecord("the answer does not begin with a record and an empty line");
  const cut = record.indexOf("\n");
  const id = tryParseDecimal(record.slice(0, cut), maxTreeSize - 1);
  if (id === undefined) throw malformedRecord("the answer does not begin with a record's number");
  const text = record.slice(cut + 1);
  checkRecordText(text);
  return { id, text, note: bytes.subarray(end + 2) };
}

/** Writes what `parseLookup` reads. */
export function formatLookup(id: number, text: string, note: Uint8Array): Uint8Array {
  checkRange(id, maxTreeSize - 1, "record number");
  checkRecordText(text);
  return Buffer.concat([Buffer.from(`${id}\n${text}\n`), note]);
}
