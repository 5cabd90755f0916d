import { crc32, deflateRawSync } from "node:zlib";
import type { H1 } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { checkFiles, type CheckedFiles, type SourceFile } from "./check-files.ts";
import { hash1 } from "./hash.ts";
import { maxEntries, maxNameBytes, maxZipBytes } from "./limits.ts";
import { zipPrefix, type ZipModule } from "./module-version.ts";
import { shownName, zipTooLarge } from "./problem.ts";
import { flag, length, max16, max32, method, signature } from "./records.ts";

const version20 = 20;
const version45 = 45;
const namedProblems = 3;

/** A module zip with its dirhash, which is `hashZip` of it: made of the same contents before they were packed. */
export interface HashedZip {
  readonly zip: Uint8Array;
  readonly h1: H1;
}

/** The zip alone of `createHashedZip`. */
export function createZip(files: readonly SourceFile[], module: ZipModule): Uint8Array {
  return createHashedZip(files, module).zip;
}

/**
 * Makes the module zip of a source tree (SPEC §5.3 to 5.5): its h1 is the one of the zip that go makes of the same tree. The
 * same files in the same order give the same bytes, as long as zlib is the same. Entries are deflated and have no times.
 *
 * Throws `malformed_path` or `malformed_version` for the module, `malformed_zip` for files that no module may have, and
 * `zip_too_large`; the message begins with `create zip: `, as go's.
 */
export function createHashedZip(files: readonly SourceFile[], module: ZipModule): HashedZip {
  const prefix = checkedPrefix(module);
  const checked = checkFiles(files);
  throwProblems(checked);
  if (checked.valid.length > maxEntries) {
    throw zipTooLarge(`create zip: too many files (${checked.valid.length}; limit is ${maxEntries})`);
  }

  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { path, content } of checked.valid) {
    const name = Buffer.from(prefix + path);
    if (name.length > maxNameBytes) {
      throw zipTooLarge(`create zip: ${shownName(path)}: name too long (limit is ${maxNameBytes} bytes)`);
    }
    const packed = deflateRawSync(content);
    const fields = entryFields(name, content, packed.length);
    const header = Buffer.concat([uint32(signature.local), fields, name]);
    parts.push(header, packed);
    directory.push(centralRecord(fields, name, offset));
    offset += header.length + packed.length;
  }
  const directoryBytes = directory.reduce((sum, record) => sum + record.length, 0);
  const end = endRecords({ entries: directory.length, directoryBytes, directoryOffset: offset });
  const totalBytes = offset + directoryBytes + end.length;
  if (totalBytes > maxZipBytes) {
    throw zipTooLarge(`create zip: module zip file is too large (${totalBytes} bytes; limit is ${maxZipBytes} bytes)`);
  }
  const h1 = hash1(checked.valid.map(({ path, content }) => ({ name: prefix + path, content })));
  return { zip: Buffer.concat([...parts, ...directory, end], totalBytes), h1 };
}

function checkedPrefix(module: ZipModule): string {
  try {
    return zipPrefix(module);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError(error.code, `create zip: ${error.message}`, { cause: error });
  }
}

/** Go lists every invalid file on a line of its own. We name the first few, on one line. */
function throwProblems({ sizeProblem, invalid }: CheckedFiles): void {
  if (sizeProblem !== undefined) throw zipTooLarge(`create zip: ${sizeProblem}`);
  if (invalid.length === 0) return;
  const named = invalid.slice(0, namedProblems).map(({ path, reason }) => `${shownPath(path)}: ${reason}`);
  if (invalid.length > namedProblems) named.push(`and ${invalid.length - namedProblems} more invalid files`);
  throw new ProtocolError("malformed_zip", `create zip: ${named.join("; ")}`);
}

/** As it is, like go does, unless that would break the line. */
function shownPath(path: string): string {
  return /^[ !#-~\p{L}]{1,200}$/u.test(path) ? path : shownName(path);
}

/** What local header and central record have in common, from the version needed to the length of the extra field. */
function entryFields(name: Buffer, content: Uint8Array, packedBytes: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(version20, 0);
  fields.writeUInt16LE(isAscii(name) ? 0 : flag.utf8, 2);
  fields.writeUInt16LE(method.deflate, 4);
  fields.writeUInt32LE(crc32(content), 10);
  fields.writeUInt32LE(packedBytes, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  return fields;
}

function centralRecord(fields: Buffer, name: Buffer, offset: number): Buffer {
  const record = Buffer.alloc(length.central + name.length);
  record.writeUInt32LE(signature.central, 0);
  record.writeUInt16LE(version20, 4);
  fields.copy(record, 6);
  record.writeUInt32LE(offset, 42);
  name.copy(record, length.central);
  return record;
}

function endRecords(counts: { entries: number; directoryBytes: number; directoryOffset: number }): Buffer {
  const needsZip64 = counts.entries >= max16;
  const end = Buffer.alloc(length.end);
  end.writeUInt32LE(signature.end, 0);
  end.writeUInt16LE(needsZip64 ? max16 : counts.entries, 8);
  end.writeUInt16LE(needsZip64 ? max16 : counts.entries, 10);
  end.writeUInt32LE(needsZip64 ? max32 : counts.directoryBytes, 12);
  end.writeUInt32LE(needsZip64 ? max32 : counts.directoryOffset, 16);
  return needsZip64 ? Buffer.concat([zip64Records(counts), end]) : end;
}

function zip64Records(counts: { entries: number; directoryBytes: number; directoryOffset: number }): Buffer {
  const records = Buffer.alloc(length.end64 + length.locator64);
  records.writeUInt32LE(signature.end64, 0);
  writeUInt64(records, length.end64 - 12, 4);
  records.writeUInt16LE(version45, 12);
  records.writeUInt16LE(version45, 14);
  writeUInt64(records, counts.entries, 24);
  writeUInt64(records, counts.entries, 32);
  writeUInt64(records, counts.directoryBytes, 40);
  writeUInt64(records, counts.directoryOffset, 48);
  records.writeUInt32LE(signature.locator64, length.end64);
  writeUInt64(records, counts.directoryOffset + counts.directoryBytes, length.end64 + 8);
  records.writeUInt32LE(1, length.end64 + 16);
  return records;
}

function writeUInt64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeBigUInt64LE(BigInt(value), offset);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function isAscii(bytes: Buffer): boolean {
  return bytes.every((byte) => byte < 0x80);
}
