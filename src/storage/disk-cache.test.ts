import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { bucketFolder, openDiskCache } from "../../test/support/disk-cache.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { blobStoreSuite } from "../../test/suites/blob-store.ts";
import { systemClock } from "../core/clock.ts";

blobStoreSuite("a disk in front of a bucket", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
  const place = { folder, events: recordEvents(), clock: systemClock };
  const { blobs } = await openDiskCache(place, await bucketFolder(folder));
  return {
    store: blobs,
    leftovers: () => readdir(path.join(folder, "staging")),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
});
