import type { BlobContent, BlobKey } from "../../core/ports.ts";
import type { DiskReserve } from "../disk-reserve.ts";
import type { DiskBlobStore } from "./disk.ts";
import { passedOnDisk } from "./passed-on-disk.ts";

/**
 * A disk that takes no files where less than its reserve would be left, and none under way either, so that they go through memory.
 * What replaces something is small, and is taken.
 */
export function withReserve(disk: DiskBlobStore, reserve: DiskReserve): DiskBlobStore {
  return {
    ...passedOnDisk(disk),
    async create(key: BlobKey, content: BlobContent) {
      if ("bytes" in content) await reserve.admit(content.bytes.length);
      else await reserve.admit(content.size, { isWritten: true });
      return disk.create(key, content);
    },
    async stagingFile() {
      await reserve.admit(0);
      return disk.stagingFile();
    },
    async close() {
      await reserve.close();
      await disk.close();
    },
  };
}
