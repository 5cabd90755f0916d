import { Readable } from "node:stream";
import type { Blob, ByteRange } from "../../core/ports.ts";

/** A blob whose content is in memory. */
export function bytesBlob(bytes: Uint8Array, revision: string): Blob {
  return {
    size: bytes.length,
    revision,
    bytes,
    stream: (range) => streamBytes(bytes, range),
    read: () => Promise.resolve(bytes),
    discard: () => undefined,
  };
}

export function streamBytes(bytes: Uint8Array, range?: ByteRange): Readable {
  const part = range === undefined ? bytes : bytes.subarray(range.start, range.end);
  return Readable.from(part.length === 0 ? [] : [part], { objectMode: false });
}

/**
 * The same bytes in memory of their own. What comes from a socket or from Node's buffer pool is a view into something larger,
 * which it would keep alive, uncounted, for as long as it stays in a cache.
 */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
