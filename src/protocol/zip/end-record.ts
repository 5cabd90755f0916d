import { maxDirectoryBytes, maxEntries } from "./limits.ts";
import { malformedZip, zipTooLarge } from "./problem.ts";
import type { RandomAccess } from "./random-access.ts";
import { asBuffer, length, max16, max32, readUInt64, signature } from "./records.ts";

/** Where the central directory stands. */
export interface EndRecord {
  readonly entries: number;
  /** Of the central directory, in bytes from the start of the file. */
  readonly directoryOffset: number;
  readonly directoryBytes: number;
  readonly comment: Uint8Array;
}

/**
 * Reads the records at the end of the file. An archive comment is fine (`git archive` writes the commit id there), bytes
 * that nothing accounts for are not: the file ends with the comment, and the central directory ends where the end records
 * begin, so that there is only one way to read the file.
 */
export function readEndRecord(source: RandomAccess): EndRecord {
  const tailBytes = Math.min(source.size, length.end + max16);
  const tail = asBuffer(source.read(source.size - tailBytes, tailBytes));
  const at = findEnd(tail);
  const endOffset = source.size - tailBytes + at;
  const commentBytes = tail.readUInt16LE(at + 20);
  const foundBytes = tailBytes - at - length.end;
  if (foundBytes !== commentBytes) {
    throw malformedZip(`${foundBytes} bytes behind the end record, which announces a comment of ${commentBytes} bytes`);
  }

  const end: Counts = {
    disk: tail.readUInt16LE(at + 4),
    directoryDisk: tail.readUInt16LE(at + 6),
    entriesOnDisk: tail.readUInt16LE(at + 8),
    entries: tail.readUInt16LE(at + 10),
    directoryBytes: tail.readUInt32LE(at + 12),
    directoryOffset: tail.readUInt32LE(at + 16),
  };
  const end64 = readEnd64(source, endOffset);
  const counts = end64 === undefined ? end : reconcile(end, end64.counts);
  checkCounts(counts);
  const directoryEnd = counts.directoryOffset + counts.directoryBytes;
  const expectedEnd = end64?.offset ?? endOffset;
  if (directoryEnd !== expectedEnd) {
    throw malformedZip(`the central directory ends at ${directoryEnd} by the end record, expected ${expectedEnd}`);
  }
  const { entries, directoryOffset, directoryBytes } = counts;
  return { entries, directoryOffset, directoryBytes, comment: tail.subarray(at + length.end) };
}

interface Counts {
  readonly disk: number;
  readonly directoryDisk: number;
  readonly entriesOnDisk: number;
  readonly entries: number;
  readonly directoryBytes: number;
  readonly directoryOffset: number;
}

/** The last end record in the file, as go finds it, even when a comment holds what looks like another one. */
function findEnd(tail: Buffer): number {
  const wanted = Buffer.alloc(4);
  wanted.writeUInt32LE(signature.end);
  const at = tail.length < length.end ? -1 : tail.lastIndexOf(wanted, tail.length - length.end);
  if (at === -1) throw malformedZip("no end of central directory record: not a zip file, or cut short");
  return at;
}

/** The zip64 end record, which stands right before its locator, which stands right before the end record. */
function readEnd64(source: RandomAccess, endOffset: number): { counts: Counts; offset: number } | undefined {
  if (endOffset < length.locator64) return undefined;
  const locatorOffset = endOffset - length.locator64;
  const locator = asBuffer(source.read(locatorOffset, length.locator64));
  if (locator.readUInt32LE(0) !== signature.locator64) return undefined;
  const offset = locatorOffset - length.end64;
  const locatedAt = readUInt64(locator, 8);
  if (locatedAt !== offset) throw malformedZip(`the zip64 locator points to ${locatedAt}, expected ${offset}`);
  if (locator.readUInt32LE(4) !== 0 || locator.readUInt32LE(16) !== 1) throw malformedZip("split over several disks");

  const record = asBuffer(source.read(offset, length.end64));
  if (record.readUInt32LE(0) !== signature.end64) throw malformedZip(`no zip64 end record at ${offset}`);
  const recordBytes = readUInt64(record, 4) + 12;
  if (recordBytes !== length.end64) {
    throw malformedZip(`a zip64 end record of ${recordBytes} bytes, expected ${length.end64}`);
  }
  const counts = {
    disk: record.readUInt32LE(16),
    directoryDisk: record.readUInt32LE(20),
    entriesOnDisk: readUInt64(record, 24),
    entries: readUInt64(record, 32),
    directoryBytes: readUInt64(record, 40),
    directoryOffset: readUInt64(record, 48),
  };
  return { counts, offset };
}

/** Each number of the end record must be the zip64 one, or the maximum that stands for "see there". */
function reconcile(end: Counts, end64: Counts): Counts {
  for (const [name, value, value64, max] of [
    ["disk", end.disk, end64.disk, max16],
    ["disk of the directory", end.directoryDisk, end64.directoryDisk, max16],
    ["number of entries on this disk", end.entriesOnDisk, end64.entriesOnDisk, max16],
    ["number of entries", end.entries, end64.entries, max16],
    ["size of the directory", end.directoryBytes, end64.directoryBytes, max32],
    ["offset of the directory", end.directoryOffset, end64.directoryOffset, max32],
  ] as const) {
    if (value !== max && value !== value64) {
      throw malformedZip(`the ${name} is ${value} in the end record and ${value64} in the zip64 end record`);
    }
  }
  // Go looks for the zip64 record only then, and would take the maximum for a real size otherwise.
  if (end.directoryBytes === max32 && end.entries !== max16 && end.directoryOffset !== max32) {
    throw malformedZip("only the size of the directory stands in the zip64 end record");
  }
  return end64;
}

function checkCounts(counts: Counts): void {
  if (counts.disk !== 0 || counts.directoryDisk !== 0 || counts.entriesOnDisk !== counts.entries) {
    throw malformedZip("split over several disks");
  }
  if (counts.entries > maxEntries) {
    throw zipTooLarge(`module zip has too many entries (${counts.entries}; limit is ${maxEntries})`);
  }
  if (counts.directoryBytes > maxDirectoryBytes) {
    throw zipTooLarge(
      `module zip has too large a central directory (${counts.directoryBytes} bytes; limit is ${maxDirectoryBytes} bytes)`,
    );
  }
}
