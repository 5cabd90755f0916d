import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { bucketFolder, openDiskCache } from "../../test/support/disk-cache.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { blobStoreSuite } from "../../test/suites/blob-store.ts";
import { expect, it, onTestFinished } from "vitest";
import { passOnBlobs } from "../../test/support/pass-on.ts";
import { systemClock } from "../core/clock.ts";
import { SluiceError } from "../core/errors.ts";

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

it("does not know whether a bucket has what it could not be asked for, whatever else it answers", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  let isFailing = true;
  const bucket = passOnBlobs(await bucketFolder(folder), () => {
    if (isFailing) throw new SluiceError("storage_failed", "it is down");
  });
  const { blobs } = await openDiskCache({ folder, events: recordEvents(), clock: systemClock }, bucket);
  const [one, other] = ["example.com/a/@v/v1.0.0.zip", "example.com/a/@v/v1.1.0.zip"] as const;
  expect(await blobs.get(one)).toBeUndefined();
  isFailing = false;
  expect(await blobs.get(other)).toBeUndefined();
  expect([one, other].map((key) => blobs.isInDoubt(key))).toEqual([true, false]);
  expect(await blobs.get(one)).toBeUndefined();
  expect(blobs.isInDoubt(one)).toBe(false);
  await blobs.close();
});
