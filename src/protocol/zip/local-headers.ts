import type { CentralEntry } from "./central-directory.ts";
import { hex32, malformedEntry, malformedZip, shownName } from "./problem.ts";
import type { RandomAccess } from "./random-access.ts";
import { asBuffer, flag, length, max32, method, readUInt64, signature } from "./records.ts";
import { findZip64Block } from "./zip64-extra.ts";

/** An entry whose local header, place and data descriptor agree with the central directory. */
export interface LocatedEntry extends CentralEntry {
  /** Of the compressed data, in bytes from the start of the file. */
  readonly dataOffset: number;
}

/**
 * Finds the data of all entries, in the order of the file. From the first byte to the central directory, entry must follow
 * entry without a gap and without an overlap. That, and headers that agree, is what leaves no second way to read the zip.
 */
export function locateEntries(
  source: RandomAccess,
  entries: readonly CentralEntry[],
  directoryOffset: number,
): LocatedEntry[] {
  const ordered = entries.toSorted((a, b) => a.headerOffset - b.headerOffset);
  const last = ordered.at(-1);
  if (last !== undefined && last.headerOffset >= directoryOffset) {
    throw malformedEntry(
      last.name,
      `its local header would be at ${last.headerOffset}, expected before ${directoryOffset}`,
    );
  }
  const firstOffset = ordered[0]?.headerOffset ?? directoryOffset;
  if (firstOffset !== 0) throw malformedZip(`${firstOffset} bytes before the first entry`);
  return ordered.map((entry, index) => {
    const end = ordered[index + 1]?.headerOffset ?? directoryOffset;
    return locate(source, entry, end);
  });
}

/** `end` is where the next entry or the central directory begins. */
function locate(source: RandomAccess, entry: CentralEntry, end: number): LocatedEntry {
  const { name, headerOffset } = entry;
  if (headerOffset + length.local > end) throw overlap(name, headerOffset + length.local, end);
  const header = asBuffer(source.read(headerOffset, length.local));
  if (header.readUInt32LE(0) !== signature.local) throw malformedEntry(name, `no local header at ${headerOffset}`);
  const nameEnd = headerOffset + length.local + header.readUInt16LE(26);
  const dataOffset = nameEnd + header.readUInt16LE(28);
  const dataEnd = dataOffset + entry.compressedSize;
  if (dataEnd > end) throw overlap(name, dataEnd, end);

  const variable = asBuffer(source.read(headerOffset + length.local, dataOffset - headerOffset - length.local));
  const localName = variable.subarray(0, header.readUInt16LE(26));
  if (!localName.equals(entry.nameBytes)) {
    throw malformedEntry(name, `its local header has the name ${shownName(localName.toString())}`);
  }
  checkLocalHeader(entry, header, variable.subarray(localName.length));
  checkDescriptor(entry, asBuffer(source.read(dataEnd, Math.min(end - dataEnd, longestDescriptor + 1))), end - dataEnd);
  return { ...entry, dataOffset };
}

function overlap(name: string, end: number, expected: number): Error {
  return malformedEntry(name, `it reaches to ${end}, into what begins at ${expected}`);
}

function checkLocalHeader(entry: CentralEntry, header: Buffer, extra: Buffer): void {
  expectSame(entry, "flags", header.readUInt16LE(6), entry.flags);
  expectSame(entry, "method", header.readUInt16LE(8), entry.method);
  const sizes = localSizes(header, extra, entry.name);
  // Where a data descriptor follows, the writer knew CRC and sizes too late for the local header, and most left zeros.
  const isOpen = (value: number) => (entry.flags & flag.descriptor) !== 0 && value === 0;
  const crc32 = header.readUInt32LE(14);
  if (!isOpen(crc32)) expectSame(entry, "CRC-32", hex32(crc32), hex32(entry.crc32));
  for (const size of sizes.compressed) {
    if (!isOpen(size)) expectSame(entry, "compressed size", size, entry.compressedSize);
  }
  for (const size of sizes.plain) {
    if (!isOpen(size)) expectSame(entry, "size", size, entry.size);
  }
  if (entry.method === method.store && entry.compressedSize !== entry.size) {
    throw malformedEntry(entry.name, `stored, but ${entry.compressedSize} bytes for a file of ${entry.size} bytes`);
  }
}

/** All that the local header says of the sizes: its own fields, and those of its zip64 block when it has one. */
function localSizes(header: Buffer, extra: Buffer, name: string): { compressed: number[]; plain: number[] } {
  const compressed = header.readUInt32LE(18);
  const plain = header.readUInt32LE(22);
  const block = findZip64Block(extra, name);
  if (block === undefined) return { compressed: [compressed], plain: [plain] };
  if (block.length !== 16) {
    throw malformedEntry(name, `a zip64 extra field of ${block.length} bytes in its local header, expected 16`);
  }
  const or64 = (value: number, value64: number) => (value === max32 ? [value64] : [value, value64]);
  return { compressed: or64(compressed, readUInt64(block, 8)), plain: or64(plain, readUInt64(block, 0)) };
}

function expectSame(entry: CentralEntry, what: string, local: string | number, central: string | number): void {
  if (local === central) return;
  throw malformedEntry(entry.name, `its local header has ${what} ${local}, the central directory has ${central}`);
}

const longestDescriptor = 24;

/** A data descriptor comes with or without a signature, and with sizes of 4 or 8 bytes. Its length tells which. */
function checkDescriptor(entry: CentralEntry, bytes: Buffer, found: number): void {
  const { name } = entry;
  if ((entry.flags & flag.descriptor) === 0) {
    if (found !== 0) throw malformedEntry(name, `${found} bytes behind its data that belong to no entry`);
    return;
  }
  const hasSignature = found === 16 || found === longestDescriptor;
  if (!hasSignature && found !== 12 && found !== 20) {
    throw malformedEntry(name, `${found} bytes behind its data, expected a data descriptor of 12, 16, 20 or 24 bytes`);
  }
  // Go takes any four bytes that look like the signature for the signature.
  if ((bytes.readUInt32LE(0) === signature.descriptor) !== hasSignature) {
    throw malformedEntry(name, `${found} bytes behind its data that are no data descriptor`);
  }
  const fields = bytes.subarray(hasSignature ? 4 : 0);
  const [compressedSize, size] =
    fields.length === 20
      ? [readUInt64(fields, 4), readUInt64(fields, 12)]
      : [fields.readUInt32LE(4), fields.readUInt32LE(8)];
  const crc32 = fields.readUInt32LE(0);
  if (crc32 === entry.crc32 && compressedSize === entry.compressedSize && size === entry.size) return;
  throw malformedEntry(
    name,
    `its data descriptor has CRC-32 ${hex32(crc32)}, ${compressedSize} and ${size} bytes, ` +
      `the central directory has ${hex32(entry.crc32)}, ${entry.compressedSize} and ${entry.size} bytes`,
  );
}
