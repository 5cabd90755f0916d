import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { ByteRange, StoredFile, StoredRecord } from "./ports.ts";

/** How an answer came about; the value of `X-Sluice-Cache`. */
export type CacheState = "hit" | "miss" | "stale" | "revalidated" | "negative";

/** What a request for a module file is answered with. Whoever got it calls `stream` once, or uses `bytes`, or discards it. */
export interface Answer {
  readonly cache: CacheState;
  /** Printable name of the source it came from. */
  readonly source: string;
  /** The same bytes for ever: a canonical `.info`, `.mod` or `.zip`. */
  readonly immutable: boolean;
  /** Milliseconds for which a mutable answer stays fresh; 0 when it is stale. */
  readonly freshForMs: number;
  /** Bytes; undefined while a body of unknown length is on its way. */
  readonly size: number | undefined;
  /** Lowercase hex of the whole content; undefined while it is on its way. */
  readonly sha256: string | undefined;
  readonly bytes?: Uint8Array | undefined;
  /** A range may be asked only of an answer whose `sha256` is known. */
  stream(range?: ByteRange): Readable;
  discard(): void;
}

export function answerFile(file: StoredFile, cache: CacheState): Answer {
  return {
    cache,
    source: file.source,
    immutable: true,
    freshForMs: Number.POSITIVE_INFINITY,
    size: file.size,
    sha256: file.sha256,
    bytes: file.bytes,
    stream: (range) => file.stream(range),
    discard: () => file.discard(),
  };
}

export function answerRecord(record: StoredRecord, cache: CacheState, freshForMs: number): Answer {
  const { bytes, source, sha256 } = record;
  return answerBytes(bytes, { source, cache, freshForMs, sha256 });
}

/** Of bytes in memory, which nobody changes. Infinitely fresh ones are the same for ever. */
export function answerBytes(
  bytes: Uint8Array,
  about: Pick<Answer, "source" | "cache" | "freshForMs"> & { readonly sha256?: string },
): Answer {
  const { source, cache, freshForMs } = about;
  return {
    cache,
    source,
    immutable: freshForMs === Number.POSITIVE_INFINITY,
    freshForMs,
    size: bytes.length,
    sha256: about.sha256 ?? createHash("sha256").update(bytes).digest("hex"),
    bytes,
    stream: (range) => Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end)]),
    discard: () => undefined,
  };
}
