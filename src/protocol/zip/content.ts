import { Readable } from "node:stream";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import type { LocatedEntry } from "./local-headers.ts";
import { hex32, malformedEntry } from "./problem.ts";
import type { RandomAccess } from "./random-access.ts";
import { method } from "./records.ts";

const streamChunkBytes = 256 * 1024;
/** No deflate stream expands more than this: two bits are the least that can stand for the longest match, 258 bytes. */
const maxDeflateRatio = 1032;

/** The whole content of an entry, after its size and CRC-32 were found right. */
export function readContent(source: RandomAccess, entry: LocatedEntry): Uint8Array {
  const packed = source.read(entry.dataOffset, entry.compressedSize);
  const content = isPlain(entry) ? packed : inflate(packed, entry);
  checkCrc(entry, crc32(content));
  return content;
}

/** The same in pieces. Whoever reads them must read to the end: only then size and CRC-32 are known to be right. */
export async function* streamContent(source: RandomAccess, entry: LocatedEntry): AsyncGenerator<Uint8Array> {
  let size = 0;
  let crc = 0;
  const chunks = isPlain(entry) ? packedChunks(source, entry) : inflatedChunks(source, entry);
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > entry.size) throw sizeMismatch(entry, `more than ${entry.size}`);
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (size !== entry.size) throw sizeMismatch(entry, size);
  checkCrc(entry, crc);
}

/** Some writers say "deflate" of a folder and write nothing. */
function isPlain(entry: LocatedEntry): boolean {
  return entry.method === method.store || (entry.compressedSize === 0 && entry.name.endsWith("/"));
}

function inflate(packed: Uint8Array, entry: LocatedEntry): Uint8Array {
  checkDeflateRatio(entry);
  // Room for all of the content in one piece, and for one byte more than declared, spares zlib a second round and a copy.
  const chunkSize = Math.max(64, entry.size + 1);
  let result: unknown;
  try {
    result = inflateRawSync(packed, { info: true, chunkSize, maxOutputLength: Math.max(1, entry.size) });
  } catch (error) {
    throw inflateProblem(entry, error) ?? error;
  }
  const { buffer, engine } = expectInflated(result);
  if (buffer.length !== entry.size) throw sizeMismatch(entry, buffer.length);
  checkConsumed(entry, engine.bytesWritten);
  return buffer;
}

async function* inflatedChunks(source: RandomAccess, entry: LocatedEntry): AsyncGenerator<Uint8Array> {
  checkDeflateRatio(entry);
  const packed = Readable.from(packedChunks(source, entry), { objectMode: false });
  const inflater = createInflateRaw({ chunkSize: streamChunkBytes });
  packed.on("error", (error) => inflater.destroy(error));
  try {
    for await (const chunk of packed.pipe(inflater)) yield expectBytes(chunk);
  } catch (error) {
    throw inflateProblem(entry, error) ?? error;
  } finally {
    packed.destroy();
    inflater.destroy();
  }
  checkConsumed(entry, inflater.bytesWritten);
}

function* packedChunks(source: RandomAccess, entry: LocatedEntry): Generator<Uint8Array> {
  const end = entry.dataOffset + entry.compressedSize;
  for (let at = entry.dataOffset; at < end; at += streamChunkBytes) {
    yield source.read(at, Math.min(streamChunkBytes, end - at));
  }
}

function checkCrc(entry: LocatedEntry, found: number): void {
  if (found === entry.crc32) return;
  throw malformedEntry(entry.name, `its content has CRC-32 ${hex32(found)}, expected ${hex32(entry.crc32)}`);
}

/** Refused before memory is set aside for it. */
function checkDeflateRatio(entry: LocatedEntry): void {
  if (entry.size <= entry.compressedSize * maxDeflateRatio) return;
  throw sizeMismatch(entry, `at most ${entry.compressedSize * maxDeflateRatio}`);
}

function checkConsumed(entry: LocatedEntry, consumed: number): void {
  if (consumed === entry.compressedSize) return;
  const trailing = entry.compressedSize - consumed;
  throw malformedEntry(entry.name, `${trailing} bytes behind the end of its deflate stream`);
}

function sizeMismatch(entry: LocatedEntry, found: number | string): Error {
  return malformedEntry(entry.name, `its content has ${found} bytes, expected ${entry.size}`);
}

/** What zlib's errors say of the entry; undefined for an error of another kind. */
function inflateProblem(entry: LocatedEntry, error: unknown): Error | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (error.code === "ERR_BUFFER_TOO_LARGE") return sizeMismatch(entry, `more than ${entry.size}`);
  if (error.code !== "Z_DATA_ERROR" && error.code !== "Z_BUF_ERROR") return undefined;
  return malformedEntry(entry.name, `its deflate stream is broken: ${error.message}`, error);
}

interface Inflated {
  readonly buffer: Uint8Array;
  /** `bytesWritten` is the number of bytes the inflater was given and used. */
  readonly engine: { readonly bytesWritten: number };
}

/** The option `info` makes zlib answer this, which its types leave out. */
function expectInflated(result: unknown): Inflated {
  if (isInflated(result)) return result;
  throw new TypeError("zlib did not answer the engine it used");
}

function isInflated(result: unknown): result is Inflated {
  return typeof result === "object" && result !== null && "buffer" in result && "engine" in result;
}

function expectBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError("zlib did not answer bytes");
}
