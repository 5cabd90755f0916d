import { bucketFolder, openDiskCache } from "../../test/support/disk-cache.ts";
import { openTestStore, type StoreParts } from "../../test/support/module-stores.ts";
import { passOnBlobs } from "../../test/support/pass-on.ts";
import { moduleStoreSuite } from "../../test/suites/module-store.ts";
import type { BlobStore } from "../core/ports.ts";
import { createMemoryBlobStore } from "./blob/memory.ts";

const mib = 1024 * 1024;

moduleStoreSuite("disk", () => openTestStore());

moduleStoreSuite("disk without a tier in memory", () => openTestStore({ memoryBytes: 0 }));

moduleStoreSuite("memory", () => {
  const kept = createMemoryBlobStore({ maxBytes: 64 * mib });
  // A restart finds the same content; closing would throw it away.
  const blobs = unclosed(kept);
  return openTestStore({ blobs: () => Promise.resolve(blobs) });
});

moduleStoreSuite("a disk in front of a bucket", () => openTestStore({ blobs: openCache }));

async function openCache(parts: StoreParts): Promise<BlobStore> {
  const { blobs } = await openDiskCache(parts, await bucketFolder(parts.folder));
  return blobs;
}

function unclosed(store: BlobStore): BlobStore {
  return { ...passOnBlobs(store, () => undefined), close: () => Promise.resolve() };
}
