import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { bucketFolder, type DiskCacheParts, openDiskCache } from "../../test/support/disk-cache.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { blobStoreSuite, readKey } from "../../test/suites/blob-store.ts";
import { passOnBlobs } from "../../test/support/pass-on.ts";
import { systemClock } from "../core/clock.ts";
import { SluiceError } from "../core/errors.ts";
import type { BlobStore } from "../core/ports.ts";

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

it("keeps a file on the disk while the bucket has one of this name that cannot be read", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const key = "example.com/a/@v/v1.0.0.zip";
  let isCut = true;
  const bucket = passOnBlobs(await bucketFolder(folder), (operation) => {
    // The few bytes of a refusal get through where a file does not.
    if (isCut && operation === "get") throw new SluiceError("storage_failed", "the connection was cut");
  });
  await bucket.create(key, { bytes: Buffer.from("a zip") });
  const { blobs, uploader } = await openDiskCache({ folder, events: recordEvents(), clock: systemClock }, bucket);
  expect(await blobs.create(key, { bytes: Buffer.from("a zip") })).toBe("created");
  expect(String(await readKey(blobs, key))).toBe("a zip");
  isCut = false;
  // The comparison that could not be made before.
  expect(await uploader.push(key)).toBe("uploaded");
  await blobs.close();
});

it("does not know of which versions a bucket has files that it could not be asked for", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const bucket: BlobStore = await bucketFolder(folder);
  const { blobs } = await openDiskCache({ folder, events: recordEvents(), clock: systemClock }, bucket);
  const list = vi.spyOn(bucket, "list").mockImplementation(() => failingList());
  expect(await Array.fromAsync(blobs.list("example.com/a/@v"))).toEqual([]);
  expect([blobs.isInDoubt("example.com/a/@v/list"), blobs.isInDoubt("example.com/b/@v/list")]).toEqual([true, false]);
  list.mockRestore();
  expect(await Array.fromAsync(blobs.list("example.com/a/@v"))).toEqual([]);
  expect(blobs.isInDoubt("example.com/a/@v/list")).toBe(false);
  await blobs.close();
});

it("lists what is on the disk while the bucket cannot be asked", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const bucket: BlobStore = await bucketFolder(folder);
  const { blobs, disk } = await openDiskCache({ folder, events: recordEvents(), clock: systemClock }, bucket);
  const [here, there] = ["example.com/a/@v/list", "example.com/b/@v/list"] as const;
  await disk.replace(here, Buffer.from("v1.0.0\n"));
  await bucket.replace(there, Buffer.from("v1.0.0\n"));
  expect(await Array.fromAsync(blobs.list(""))).toEqual([here, there]);
  vi.spyOn(bucket, "list").mockImplementation(() => failingList());
  for (const prefix of ["", "example.com/a/@v", "example.com/a"]) {
    expect(await Array.fromAsync(blobs.list(prefix))).toEqual([here]);
  }
  await blobs.close();
});

describe("what the uploader looks at just before it stands on the disk", () => {
  let folder: string;
  let bucket: BlobStore;
  let parts: DiskCacheParts;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-cache-"));
    bucket = await bucketFolder(folder);
    parts = await openDiskCache({ folder, events: recordEvents(), clock: systemClock }, bucket);
  });

  afterEach(async () => {
    await parts.blobs.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("is a file: it gets into the bucket all the same", async () => {
    const { blobs, disk, uploader } = parts;
    const key = "example.com/m/@v/v1.0.0.zip";
    const file = await disk.stagingFile();
    await writeFile(file, "a zip");
    const create = disk.create.bind(disk);
    vi.spyOn(disk, "create").mockImplementationOnce(async (...args) => {
      expect(await uploader.push(key)).toBe("gone");
      return create(...args);
    });
    expect(await blobs.create(key, { file, size: 5 })).toBe("created");
    expect(await uploader.push(key)).toBe("uploaded");
    expect(String(await readKey(bucket, key))).toBe("a zip");
  });

  it("is a record: the new one gets into the bucket", async () => {
    const { blobs, disk, uploader } = parts;
    const key = "example.com/m/@v/list";
    await blobs.replace(key, Buffer.from("v1.0.0\n"));
    const replace = disk.replace.bind(disk);
    vi.spyOn(disk, "replace").mockImplementationOnce(async (...args) => {
      await uploader.push(key);
      return replace(...args);
    });
    await blobs.replace(key, Buffer.from("v1.0.0\nv1.1.0\n"));
    await uploader.push(key);
    expect(String(await readKey(bucket, key))).toBe("v1.0.0\nv1.1.0\n");
  });
});

// eslint-disable-next-line require-yield
async function* failingList(): AsyncGenerator<never> {
  throw new SluiceError("storage_failed", "it is down");
}
