import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { callbackify } from "node:util";
import type { BigIntStats } from "node:fs";
import { SluiceError } from "../../core/errors.ts";
import type { Blob, ByteRange } from "../../core/ports.ts";
import { isMissing, storageError } from "../storage-error.ts";
import { bytesBlob } from "./bytes-blob.ts";

/** Up to this size a blob is read when it is opened: one read costs less than a stream, and no handle stays open. */
const wholeReadBytes = 1024 * 1024;
const chunkBytes = 256 * 1024;

/** Opens a regular file; undefined when there is none. */
export async function openDiskBlob(file: string): Promise<Blob | undefined> {
  const handle = await openForReading(file);
  if (handle === undefined) return undefined;
  let isKeptOpen = false;
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) return undefined;
    const size = Number(stats.size);
    const revision = revisionOf(stats);
    if (size <= wholeReadBytes) return bytesBlob(await readWhole(handle, size), revision);
    isKeptOpen = true;
    return new DiskBlob({ file, handle, size, revision });
  } catch (error) {
    throw storageError("read", file, error);
  } finally {
    if (!isKeptOpen) await handle.close();
  }
}

/** A change of the content changes size, mtime or ctime; a new file under the name has another inode. */
export function revisionOf(stats: BigIntStats): string {
  return `${stats.ino}-${stats.size}-${stats.mtimeNs}-${stats.ctimeNs}`;
}

async function openForReading(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, "r");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw storageError("open", file, error);
  }
}

/** Less than `size` when the file was cut since. */
async function readWhole(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await handle.read(bytes, at, size - at, at);
    if (bytesRead === 0) return bytes.subarray(0, at);
    at += bytesRead;
  }
  return bytes;
}

interface OpenFile {
  readonly file: string;
  readonly handle: FileHandle;
  readonly size: number;
  readonly revision: string;
}

class DiskBlob implements Blob {
  readonly size: number;
  readonly revision: string;
  readonly #file: string;
  #handle: FileHandle | undefined;

  constructor({ file, handle, size, revision }: OpenFile) {
    this.#file = file;
    this.#handle = handle;
    this.size = size;
    this.revision = revision;
  }

  stream(range?: ByteRange): Readable {
    const start = Math.min(range?.start ?? 0, this.size);
    const end = Math.min(range?.end ?? this.size, this.size);
    return new HandleStream(this.#take(), { file: this.#file, start, end });
  }

  async read(): Promise<Uint8Array> {
    const handle = this.#take();
    try {
      return await readWhole(handle, this.size);
    } catch (error) {
      throw storageError("read", this.#file, error);
    } finally {
      await handle.close();
    }
  }

  discard(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    // Nothing was written through it, so a failing close loses nothing.
    handle?.close().catch(() => undefined);
  }

  #take(): FileHandle {
    const handle = this.#handle;
    if (handle === undefined) throw new Error(`${this.#file} was read or discarded already`);
    this.#handle = undefined;
    return handle;
  }
}

interface Part {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** Reads a part of an open file in large chunks and closes it. A file that ends too early fails the stream. */
class HandleStream extends Readable {
  readonly #handle: FileHandle;
  readonly #part: Part;
  #at: number;

  constructor(handle: FileHandle, part: Part) {
    super({ highWaterMark: chunkBytes });
    this.#handle = handle;
    this.#part = part;
    this.#at = part.start;
  }

  override _read(): void {
    const { file, end } = this.#part;
    const length = Math.min(chunkBytes, end - this.#at);
    if (length <= 0) {
      this.push(null);
      return;
    }
    this.#handle.read(Buffer.allocUnsafeSlow(length), 0, length, this.#at).then(
      ({ bytesRead, buffer }) => {
        this.#at += bytesRead;
        if (bytesRead > 0) this.push(buffer.subarray(0, bytesRead));
        else this.destroy(new SluiceError("storage_failed", `${JSON.stringify(file)} was cut while it was read`));
      },
      (error: unknown) => this.destroy(storageError("read", file, error)),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const close = callbackify(() => this.#handle.close());
    close((closeError) => callback(error ?? (closeError && storageError("close", this.#part.file, closeError))));
  }
}
