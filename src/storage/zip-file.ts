import { createHash, hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SluiceError } from "../core/errors.ts";
import { randomAccess, type RandomAccess } from "../protocol/zip/index.ts";
import { storageError } from "./storage-error.ts";

/** A zip on the local disk, open for reading. Its methods block, so it belongs on a thread of its own. */
export interface ZipFile extends RandomAccess {
  /** Lowercase hex of the whole file. */
  readonly sha256: string;
}

/** Smaller files are read once, into memory. */
const wholeFileBytes = 64 * 1024 * 1024;
/** Larger ones through a window of this size, and larger pieces on their own. */
const windowBytes = 1024 * 1024;

/** Opens the file, runs `work` with it and closes it. Fails with `storage_failed`, or `integrity` when it has another size. */
export async function withZipFile<T>(
  file: string,
  expectedBytes: number,
  work: (zip: ZipFile) => Promise<T>,
): Promise<T> {
  const handle = reading(file, () => openSync(file, "r"));
  try {
    const { size } = reading(file, () => fstatSync(handle));
    if (size !== expectedBytes) {
      throw new SluiceError("integrity", `the zip file has ${size} bytes, expected ${expectedBytes}`);
    }
    return await work(size <= wholeFileBytes ? readWhole(file, handle, size) : readWindows(file, handle, size));
  } finally {
    closeSync(handle);
  }
}

function readWhole(file: string, handle: number, size: number): ZipFile {
  const bytes = readExactly(file, handle, { offset: 0, length: size });
  return { ...randomAccess(bytes), sha256: hash("sha256", bytes, "hex") };
}

function readWindows(file: string, handle: number, size: number): ZipFile {
  const hasher = createHash("sha256");
  for (let offset = 0; offset < size; offset += windowBytes) {
    hasher.update(readExactly(file, handle, { offset, length: Math.min(windowBytes, size - offset) }));
  }
  let start = 0;
  let window: Uint8Array = new Uint8Array(0);
  return {
    size,
    sha256: hasher.digest("hex"),
    read(offset, length) {
      if (offset < start || offset + length > start + window.length) {
        start = offset;
        // A new window each time: what was handed out stays as it is.
        window = readExactly(file, handle, { offset, length: Math.min(Math.max(length, windowBytes), size - offset) });
      }
      return window.subarray(offset - start, offset - start + length);
    },
  };
}

function readExactly(file: string, handle: number, range: { offset: number; length: number }): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(range.length);
  for (let done = 0; done < range.length;) {
    const read = reading(file, () => readSync(handle, bytes, done, range.length - done, range.offset + done));
    if (read === 0) throw new SluiceError("integrity", `the zip file became shorter while it was read`);
    done += read;
  }
  return bytes;
}

function reading<T>(file: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw storageError("read", file, error);
  }
}
