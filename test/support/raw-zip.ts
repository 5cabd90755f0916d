import { crc32, deflateRawSync } from "node:zlib";

// Builds zip files byte by byte, right or wrong in any field, for tests of the reader.

/** Fields of a local header (`local`) or central record (`central`), each as it is to be written. */
export interface RawHeader {
  readonly signature?: number;
  readonly flags?: number;
  readonly method?: number;
  readonly crc32?: number;
  readonly compressedSize?: number;
  readonly size?: number;
  readonly name?: string | Uint8Array;
  readonly extra?: Uint8Array;
  /** Central only. */
  readonly comment?: string;
  readonly disk?: number;
  readonly offset?: number;
  readonly externalAttributes?: number;
}

export interface RawEntry extends RawHeader {
  readonly name: string | Uint8Array;
  readonly content?: string | Uint8Array;
  /** The bytes between local header and descriptor. Default: the content, stored or deflated as `method` says. */
  readonly packed?: Uint8Array;
  readonly local?: RawHeader;
  readonly central?: RawHeader;
  /** The data descriptor. The flag is not set by it. */
  readonly descriptor?: Uint8Array;
  /** Bytes in front of the local header. */
  readonly before?: Uint8Array;
  /** No local header and data at all: the central record points elsewhere. */
  readonly centralOnly?: boolean;
}

export interface RawEnd {
  readonly disk?: number;
  readonly directoryDisk?: number;
  readonly entriesOnDisk?: number;
  readonly entries?: number;
  readonly directoryBytes?: number;
  readonly directoryOffset?: number;
  readonly commentBytes?: number;
}

export interface RawEnd64 extends RawEnd {
  readonly signature?: number;
  readonly recordBytes?: number;
  /** Where the locator says that the record is. */
  readonly locatorOffset?: number;
  readonly disks?: number;
}

export interface RawZip {
  readonly beforeDirectory?: Uint8Array;
  readonly afterDirectory?: Uint8Array;
  readonly afterEnd?: Uint8Array;
  readonly comment?: string | Uint8Array;
  readonly end?: RawEnd;
  /** Adds the zip64 records; the numbers are those of the real directory unless given. */
  readonly end64?: RawEnd64;
}

const encode = (text: string | Uint8Array) => Buffer.from(text);

export function rawZip(entries: readonly RawEntry[], zip: RawZip = {}): Buffer {
  const parts: Buffer[] = [];
  const records: Buffer[] = [];
  let offset = 0;
  const push = (...added: (Uint8Array | undefined)[]) => {
    for (const bytes of added) {
      if (bytes === undefined) continue;
      parts.push(encode(bytes));
      offset += bytes.length;
    }
  };
  for (const entry of entries) {
    push(entry.before);
    const { local, central, packed, own } = headersOf(entry);
    records.push(centralRecord({ offset, ...central }));
    if (entry.centralOnly !== true) push(localHeader(local), packed, own.descriptor);
  }
  push(zip.beforeDirectory);
  const directoryOffset = offset;
  const directory = Buffer.concat(records);
  push(directory, zip.afterDirectory);
  const real = { entries: entries.length, directoryBytes: directory.length, directoryOffset };
  if (zip.end64 !== undefined) push(zip64Records({ ...real, entriesOnDisk: entries.length, ...zip.end64 }, offset));
  const comment = encode(zip.comment ?? "");
  push(endRecord({ entriesOnDisk: entries.length, ...real, commentBytes: comment.length, ...zip.end }), comment);
  push(zip.afterEnd);
  return Buffer.concat(parts);
}

/** A data descriptor in one of its four forms. */
export function rawDescriptor(
  fields: { readonly crc32: number; readonly compressedSize: number; readonly size: number },
  form: { readonly signature?: boolean; readonly wide?: boolean } = {},
): Buffer {
  const number = form.wide === true ? uint64 : uint32;
  const signature = form.signature === false ? [] : [uint32(0x08074b50)];
  return Buffer.concat([...signature, uint32(fields.crc32), number(fields.compressedSize), number(fields.size)]);
}

/** An extra field with one block. */
export function rawExtra(tag: number, data: Uint8Array): Buffer {
  return Buffer.concat([uint16(tag), uint16(data.length), data]);
}

export function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function headersOf(entry: RawEntry) {
  const { content = "", packed: given, local, central, descriptor, before: _, centralOnly: __, ...both } = entry;
  const plain = encode(content);
  const method = both.method ?? 8;
  const packed = encode(given ?? (method === 8 ? deflateRawSync(plain) : plain));
  const fields = { method, crc32: crc32(plain), compressedSize: packed.length, size: plain.length, ...both };
  return { packed, local: { ...fields, ...local }, central: { ...fields, ...central }, own: { descriptor } };
}

function commonFields(header: RawHeader, name: Buffer, extra: Uint8Array): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(header.flags ?? 0, 2);
  fields.writeUInt16LE(header.method ?? 0, 4);
  fields.writeUInt32LE(header.crc32 ?? 0, 10);
  fields.writeUInt32LE(header.compressedSize ?? 0, 14);
  fields.writeUInt32LE(header.size ?? 0, 18);
  fields.writeUInt16LE(name.length, 22);
  fields.writeUInt16LE(extra.length, 24);
  return fields;
}

function localHeader(header: RawHeader): Buffer {
  const name = encode(header.name ?? "");
  const extra = header.extra ?? Buffer.alloc(0);
  return Buffer.concat([uint32(header.signature ?? 0x04034b50), commonFields(header, name, extra), name, extra]);
}

function centralRecord(header: RawHeader): Buffer {
  const name = encode(header.name ?? "");
  const comment = encode(header.comment ?? "");
  const extra = header.extra ?? Buffer.alloc(0);
  const tail = Buffer.alloc(14);
  tail.writeUInt16LE(comment.length, 0);
  tail.writeUInt16LE(header.disk ?? 0, 2);
  tail.writeUInt32LE(header.externalAttributes ?? 0, 6);
  tail.writeUInt32LE(header.offset ?? 0, 10);
  const head = [uint32(header.signature ?? 0x02014b50), uint16(20), commonFields(header, name, extra), tail];
  return Buffer.concat([...head, name, extra, comment]);
}

function endRecord(end: RawEnd): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(end.disk ?? 0, 4);
  record.writeUInt16LE(end.directoryDisk ?? 0, 6);
  record.writeUInt16LE(end.entriesOnDisk ?? 0, 8);
  record.writeUInt16LE(end.entries ?? 0, 10);
  record.writeUInt32LE(end.directoryBytes ?? 0, 12);
  record.writeUInt32LE(end.directoryOffset ?? 0, 16);
  record.writeUInt16LE(end.commentBytes ?? 0, 20);
  return record;
}

function zip64Records(end: RawEnd64, offset: number): Buffer {
  return Buffer.concat([
    uint32(end.signature ?? 0x06064b50),
    uint64(end.recordBytes ?? 44),
    uint16(45),
    uint16(45),
    uint32(end.disk ?? 0),
    uint32(end.directoryDisk ?? 0),
    uint64(end.entriesOnDisk ?? 0),
    uint64(end.entries ?? 0),
    uint64(end.directoryBytes ?? 0),
    uint64(end.directoryOffset ?? 0),
    uint32(0x07064b50),
    uint32(0),
    uint64(end.locatorOffset ?? offset),
    uint32(end.disks ?? 1),
  ]);
}
