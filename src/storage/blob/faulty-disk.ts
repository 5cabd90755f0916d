import type { FaultBoard } from "../../core/faults.ts";
import { storageError } from "../storage-error.ts";
import type { DiskBlobStore } from "./disk.ts";
import { passedOnDisk } from "./passed-on-disk.ts";

/** A disk that takes nothing while a drill says that it is full. */
export function withDiskFaults(disk: DiskBlobStore, faults: FaultBoard): DiskBlobStore {
  const refuse = (): void => {
    if (!faults.is("disk-full")) return;
    const cause = Object.assign(new Error("no space left on device (the drill disk-full)"), { code: "ENOSPC" });
    throw storageError("write", disk.name, cause);
  };
  return {
    ...passedOnDisk(disk),
    async create(key, content) {
      refuse();
      return disk.create(key, content);
    },
    async replace(key, bytes) {
      refuse();
      return disk.replace(key, bytes);
    },
    async stagingFile() {
      refuse();
      return disk.stagingFile();
    },
    async check() {
      refuse();
      return disk.check();
    },
  };
}
