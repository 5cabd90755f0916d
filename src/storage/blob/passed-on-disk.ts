import type { DiskBlobStore } from "./disk.ts";

/** The same disk, for a wrapper to change a part of it. */
export function passedOnDisk(disk: DiskBlobStore): DiskBlobStore {
  return {
    name: disk.name,
    stat: (key) => disk.stat(key),
    get: (key) => disk.get(key),
    create: (key, content) => disk.create(key, content),
    replace: (key, bytes) => disk.replace(key, bytes),
    delete: (key) => disk.delete(key),
    setAside: (key, revision) => disk.setAside(key, revision),
    list: (prefix) => disk.list(prefix),
    files: () => disk.files(),
    borrow: (key) => disk.borrow(key),
    stagingFile: () => disk.stagingFile(),
    check: () => disk.check(),
    close: () => disk.close(),
  };
}
