import { malformedZip } from "./problem.ts";

// The fixed parts of the records of a zip file, as PKWARE's APPNOTE.TXT 6.3 lays them out. All numbers are little endian.

/** Stands in a 16 or 32 bit field whose value is in a zip64 record instead. */
export const max16 = 0xffff;
export const max32 = 0xffff_ffff;

export const method = { store: 0, deflate: 8 } as const;

export const flag = {
  encrypted: 1 << 0,
  /** Two bits that say how hard the deflater tried. */
  deflateEffort: (1 << 1) | (1 << 2),
  /** CRC and sizes stand behind the data, in a data descriptor. */
  descriptor: 1 << 3,
  utf8: 1 << 11,
} as const;

/** Signatures, as numbers and as bytes. */
export const signature = {
  local: 0x04034b50,
  descriptor: 0x08074b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const;

/** Bytes of the fixed part. */
export const length = { local: 30, central: 46, end: 22, end64: 56, locator64: 20 } as const;

/** Tag of the zip64 block in an extra field. */
export const zip64Tag = 0x0001;

/** The same bytes, with Buffer's ways to read numbers. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64 bit number. Whatever a double cannot hold is far above every limit. */
export function readUInt64(buffer: Buffer, offset: number): number {
  const value = buffer.readUInt32LE(offset + 4) * 0x1_0000_0000 + buffer.readUInt32LE(offset);
  if (!Number.isSafeInteger(value)) throw malformedZip(`a zip64 number of ${value}`);
  return value;
}
