import type { EndRecord } from "./end-record.ts";
import { maxNameBytes } from "./limits.ts";
import { malformedEntry, malformedZip } from "./problem.ts";
import type { RandomAccess } from "./random-access.ts";
import { asBuffer, flag, length, method, signature } from "./records.ts";
import { findZip64Block, resolveZip64 } from "./zip64-extra.ts";

/** An entry as the central directory describes it. */
export interface CentralEntry {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly headerOffset: number;
}

// A byte order mark is part of the name, and nothing that is not UTF-8 can be the name of a module's file.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const knownFlags = flag.deflateEffort | flag.descriptor | flag.utf8;

/** Reads the central directory, in its own order. It must have exactly the announced entries and bytes. */
export function readCentralDirectory(source: RandomAccess, end: EndRecord): CentralEntry[] {
  const directory = asBuffer(source.read(end.directoryOffset, end.directoryBytes));
  const entries: CentralEntry[] = [];
  let at = 0;
  for (let index = 0; index < end.entries; index++) {
    const entryEnd = centralEntryEnd(directory, at);
    if (entryEnd === undefined) {
      throw malformedZip(`the central directory breaks off at entry ${index + 1} of ${end.entries}`);
    }
    entries.push(parseEntry(directory.subarray(at, entryEnd)));
    at = entryEnd;
  }
  if (at !== directory.length) {
    throw malformedZip(
      `${directory.length - at} bytes behind the last of ${end.entries} entries of the central directory`,
    );
  }
  return entries;
}

function centralEntryEnd(directory: Buffer, at: number): number | undefined {
  if (at + length.central > directory.length || directory.readUInt32LE(at) !== signature.central) return undefined;
  const variableBytes =
    directory.readUInt16LE(at + 28) + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  const end = at + length.central + variableBytes;
  return end > directory.length ? undefined : end;
}

/** Times, comments, versions and attributes are not looked at: neither content nor h1 depends on them, and go ignores them. */
function parseEntry(record: Buffer): CentralEntry {
  const extraAt = length.central + record.readUInt16LE(28);
  const nameBytes = record.subarray(length.central, extraAt);
  const name = decodeName(nameBytes);
  const flags = record.readUInt16LE(8);
  const methodUsed = record.readUInt16LE(10);
  if ((flags & flag.encrypted) !== 0) throw malformedEntry(name, "encrypted");
  if ((flags & ~knownFlags) !== 0) {
    throw malformedEntry(name, `unknown flags 0x${(flags & ~knownFlags).toString(16).padStart(4, "0")}`);
  }
  if (methodUsed !== method.store && methodUsed !== method.deflate) {
    throw malformedEntry(name, `compression method ${methodUsed}, expected 0 (store) or 8 (deflate)`);
  }
  if (record.readUInt16LE(34) !== 0) throw malformedEntry(name, `on disk ${record.readUInt16LE(34)}, expected 0`);

  const extra = record.subarray(extraAt, extraAt + record.readUInt16LE(30));
  const [size = 0, compressedSize = 0, headerOffset = 0] = resolveZip64(
    [record.readUInt32LE(24), record.readUInt32LE(20), record.readUInt32LE(42)],
    findZip64Block(extra, name),
    name,
  );
  const crc32 = record.readUInt32LE(16);
  return { name, nameBytes, flags, method: methodUsed, crc32, compressedSize, size, headerOffset };
}

function decodeName(bytes: Buffer): string {
  if (bytes.length > maxNameBytes) {
    const start = bytes.toString("latin1", 0, 200);
    throw malformedEntry(start, `a name of ${bytes.length} bytes; limit is ${maxNameBytes} bytes`);
  }
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw malformedEntry(bytes.toString("latin1"), "its name is not UTF-8", cause);
  }
}
