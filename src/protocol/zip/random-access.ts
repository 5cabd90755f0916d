/** Bytes that can be read at any place, synchronously. The reader never asks for anything outside `0` to `size`. */
export interface RandomAccess {
  /** Bytes in total. */
  readonly size: number;
  /** Exactly `length` bytes from `offset` on. They stay as they are; nobody changes them. Throws when it cannot. */
  read(offset: number, length: number): Uint8Array;
}

/** Random access to bytes in memory, without a copy. */
export function randomAccess(bytes: Uint8Array): RandomAccess {
  return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
}
