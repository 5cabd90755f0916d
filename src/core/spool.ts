import { type FileHandle, open, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { SluiceError } from "./errors.ts";
import type { BlobContent } from "./ports.ts";

/** Kept from clients until the whole is verified, so that a bad body ends as a broken transfer, never as a good one. */
const holdBackBytes = 16 * 1024;
const readSize = 256 * 1024;
/** Behind the bytes that stay in memory, the file is written in pieces of at least this size. */
const writeSize = 512 * 1024;

export interface SpoolOptions {
  /** Up to this many bytes stay in memory; what is larger goes to a file and becomes readable while it grows. */
  readonly memoryBytes: number;
  /** Names a new file to write to. Its failure, or a failing write, makes the spool go on in memory. */
  readonly stagingFile: () => Promise<string>;
  /** Memory for what no disk takes, shared by all spools. */
  readonly fallback: MemoryBudget;
  /** Told once when the disk failed. */
  readonly onDiskFailure: (error: Error) => void;
}

/** Bytes that may be held in memory at once when the disk does not take them. */
export class MemoryBudget {
  #free: number;

  constructor(bytes: number) {
    this.#free = bytes;
  }

  tryTake(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#free += bytes;
  }
}

/**
 * A body under way: one writer, any number of readers that each start at the first byte and follow the writer. Small bodies
 * stay in memory, larger ones live in a staging file; when the disk fails, the rest is held in memory.
 *
 * After a cut the writer may go on (`resume`) or start again (`restart`). What it then repeats is compared with what is there,
 * and only the rest is appended.
 */
export class Spool {
  readonly #options: SpoolOptions;
  /** Content from `#fileBytes` on. */
  #tail: Uint8Array[] = [];
  #tailBytes = 0;
  #file: FileHandle | undefined;
  #filePath: string | undefined;
  #fileBytes = 0;
  #diskFailed = false;
  #budgetTaken = 0;
  /** Where the writer's next bytes stand, while it repeats what is there. */
  #repeatAt: number | undefined;
  /** Readers may have the bytes up to here: they cannot become others any more. */
  #promised = 0;
  #state: "open" | "finished" | "failed" = "open";
  #failure: unknown;
  #wake = Promise.withResolvers<void>();
  #readers = 0;
  #disposed = false;
  readonly #large = Promise.withResolvers<void>();

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  /** Bytes written. */
  get size(): number {
    return this.#fileBytes + this.#tailBytes;
  }

  /** Resolves when the body has outgrown memory and is worth streaming before it is complete. Never rejects. */
  get outgrewMemory(): Promise<void> {
    return this.#large.promise;
  }

  async append(chunk: Uint8Array): Promise<void> {
    const rest = this.#repeatAt === undefined ? chunk : await this.#compared(chunk, this.#repeatAt);
    if (rest.length === 0) return;
    this.#tail.push(rest);
    this.#tailBytes += rest.length;
    this.#notify();
    if (this.size <= this.#options.memoryBytes) return;
    if (this.#tailBytes >= writeSize) await this.#flushTail();
    this.#large.resolve();
  }

  /** The body starts again from its first byte: what nobody has read of it is forgotten. */
  async restart(): Promise<void> {
    await this.#truncate(this.#promised);
    this.#repeatAt = this.size > 0 ? 0 : undefined;
  }

  /** The body goes on from byte `start` on, which is not behind its end. */
  resume(start: number): void {
    this.#repeatAt = start < this.size ? start : undefined;
  }

  /** What was written, for verification and for the store. The spool must not be appended to any more. */
  async content(): Promise<BlobContent> {
    if (this.#repeatAt !== undefined) {
      throw new SluiceError("upstream_invalid", "the repeated body is shorter than what was read of it before");
    }
    if (this.#fileBytes > 0) await this.#flushTail();
    if (this.#tailBytes === 0 && this.#filePath !== undefined) return { file: this.#filePath, size: this.#fileBytes };
    if (this.#fileBytes > 0) await this.#moveIntoMemory();
    return { bytes: joinChunks(this.#tail) };
  }

  /** Verified: readers get the rest. */
  finish(): void {
    this.#state = "finished";
    this.#notify();
  }

  /** Readers' streams break with this error. */
  fail(error: unknown): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#failure = error;
    this.#notify();
  }

  /** Whether `dispose` was called: no new reader may start. */
  get isDisposed(): boolean {
    return this.#disposed;
  }

  /** Frees file and memory once the last reader is done. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#freeWhenUnused();
  }

  /** A new reader from the first byte. Call it before `dispose`; the stream must be read to its end or destroyed. */
  reader(): Readable {
    this.#readers++;
    const stream = Readable.from(this.#read(), { objectMode: false, highWaterMark: readSize });
    // Not in the generator's `finally`: a stream destroyed before its first read never starts the generator.
    stream.once("close", () => {
      this.#readers--;
      void this.#freeWhenUnused();
    });
    return stream;
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (let at = 0; ;) {
      if (this.#state === "failed") throw this.#failure;
      const readable = this.#state === "finished" ? this.size : this.size - holdBackBytes;
      if (at < readable) {
        const end = Math.min(at + readSize, readable);
        // Before the first wait: from here on a restart must leave these bytes alone.
        this.#promised = Math.max(this.#promised, end);
        const part = await this.#readAt(at, end - at);
        at += part.length;
        yield part;
      } else if (this.#state === "finished") {
        return;
      } else {
        await this.#wake.promise;
      }
    }
  }

  async #readAt(position: number, length: number): Promise<Uint8Array> {
    if (position < this.#fileBytes) {
      const buffer = Buffer.allocUnsafe(Math.min(length, this.#fileBytes - position));
      const { bytesRead } = (await this.#file?.read(buffer, 0, buffer.length, position)) ?? { bytesRead: 0 };
      if (bytesRead === 0) throw new SluiceError("storage_failed", "the staging file of a download was cut");
      return buffer.subarray(0, bytesRead);
    }
    let start = this.#fileBytes;
    for (const chunk of this.#tail) {
      if (position < start + chunk.length) return chunk.subarray(position - start, position - start + length);
      start += chunk.length;
    }
    return new Uint8Array();
  }

  async #flushTail(): Promise<void> {
    if (this.#diskFailed) return this.#takeBudget();
    try {
      if (this.#file === undefined) {
        this.#filePath = await this.#options.stagingFile();
        this.#file = await open(this.#filePath, "w+", 0o644);
      }
      while (this.#tail.length > 0) {
        const bytes = joinChunks(this.#tail);
        const { bytesWritten } = await this.#file.write(bytes, 0, bytes.length, this.#fileBytes);
        if (bytesWritten === 0) throw new Error("the disk takes no more bytes");
        this.#fileBytes += bytesWritten;
        this.#tailBytes -= bytesWritten;
        this.#tail = bytesWritten === bytes.length ? [] : [bytes.subarray(bytesWritten)];
      }
    } catch (error) {
      this.#diskFailed = true;
      this.#options.onDiskFailure(error instanceof Error ? error : new Error(String(error)));
      this.#takeBudget();
    }
  }

  /** For all of it, as verification needs the file in one piece. */
  #takeBudget(): void {
    const wanted = this.size - this.#budgetTaken;
    if (this.#options.fallback.tryTake(wanted)) {
      this.#budgetTaken += wanted;
      return;
    }
    throw new SluiceError(
      "storage_failed",
      "the disk cannot be written and too many downloads are held in memory already: free space in the data folder",
      { retryAfterSeconds: 10 },
    );
  }

  async #truncate(size: number): Promise<void> {
    if (size >= this.size) return;
    const left = joinChunks(this.#tail).subarray(0, Math.max(size - this.#fileBytes, 0));
    this.#tail = left.length > 0 ? [left] : [];
    this.#tailBytes = left.length;
    if (size >= this.#fileBytes) return;
    this.#fileBytes = size;
    await this.#file?.truncate(size);
  }

  async #moveIntoMemory(): Promise<void> {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < this.#fileBytes;) {
      const part = await this.#readAt(at, this.#fileBytes - at);
      parts.push(part);
      at += part.length;
    }
    this.#tail = [joinChunks([...parts, ...this.#tail])];
    this.#tailBytes += this.#fileBytes;
    this.#fileBytes = 0;
  }

  /** What of `chunk`, which stands at `position`, is new. */
  async #compared(chunk: Uint8Array, position: number): Promise<Uint8Array> {
    let same = 0;
    while (same < chunk.length && position + same < this.size) {
      const known = await this.#readAt(position + same, Math.min(chunk.length - same, this.size - position - same));
      if (Buffer.compare(known, chunk.subarray(same, same + known.length)) !== 0) {
        throw new SluiceError("integrity", "two attempts at the same file gave different bytes");
      }
      same += known.length;
    }
    this.#repeatAt = position + same < this.size ? position + same : undefined;
    return chunk.subarray(same);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    wake.resolve();
  }

  async #freeWhenUnused(): Promise<void> {
    if (!this.#disposed || this.#readers > 0) return;
    const file = this.#file;
    const path = this.#filePath;
    this.#file = undefined;
    this.#filePath = undefined;
    this.#tail = [];
    this.#options.fallback.giveBack(this.#budgetTaken);
    this.#budgetTaken = 0;
    try {
      await file?.close();
      if (path !== undefined) await rm(path, { force: true });
    } catch (error) {
      // The readers have what they came for; what stays behind is swept at the next start.
      this.#options.onDiskFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}
