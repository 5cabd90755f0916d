import { statfs } from "node:fs/promises";
import { storageError } from "./storage-error.ts";

export interface DiskSpace {
  /** That this user may still use. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the file system that `folder` is on. Fails with `storage_failed`. */
export async function spaceOf(folder: string): Promise<DiskSpace> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    throw storageError("read the free space of", folder, error);
  }
}
