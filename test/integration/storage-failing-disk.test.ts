import { readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { ModuleStore } from "../../src/core/ports.ts";
import { createDiskBlobStore } from "../../src/storage/blob/disk.ts";
import { openDataFolder } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { recordEvents, type RecordedEvents } from "../support/recorded-events.ts";
import { createSmallDisk, lacksMount, type SmallDisk } from "../support/small-disk.ts";
import { failingBlobStoreSuite, keysOf, readKey } from "../suites/blob-store.ts";
import {
  contentOf,
  factsOf,
  infoKey,
  keepGood,
  largeZip,
  listKey,
  modKey,
  requestFor,
  source,
  zipKey,
} from "../suites/module-store.ts";

const mib = 1024 * 1024;
const noSpace = {
  code: "storage_failed",
  message: expect.stringContaining("no space is left there"),
};

describe.skipIf(lacksMount())("on a real file system that fails", () => {
  let disk: SmallDisk;
  let events: RecordedEvents;

  beforeEach(() => {
    disk = createSmallDisk(4);
    events = recordEvents();
  });

  afterEach(() => {
    disk.remove();
  });

  failingBlobStoreSuite("a disk that became read-only", async () => ({
    store: await openBlobs(),
    failWrites: () => Promise.resolve(disk.makeReadOnly()),
    leftovers: () => readdir(path.join(disk.path, "staging")),
    remove: () => Promise.resolve(disk.makeWritable()),
  }));

  describe("a full disk", () => {
    it.each([100, 3 * mib])("takes no blob of %i bytes, in words, and nothing torn stays", async (size) => {
      const store = await openBlobs();
      await store.create("a/old", { bytes: Buffer.from("old") });
      await fillUp();
      await expect(store.create("a/new", { bytes: Buffer.alloc(size, 1) })).rejects.toMatchObject(noSpace);
      await expect(store.replace("a/old", Buffer.alloc(size, 1))).rejects.toMatchObject(noSpace);
      await expect(store.check()).rejects.toMatchObject(noSpace);
      expect(await readdir(path.join(disk.path, "staging"))).toEqual([]);
      expect(await keysOf(store, "")).toEqual(["a/old"]);
      expect(String(await readKey(store, "a/old"))).toBe("old");
    });

    it("lets go of a broken blob all the same", async () => {
      const store = await openBlobs();
      await store.create("a/old", { bytes: Buffer.from("old") });
      await fillUp();
      expect(await store.setAside("a/old")).toBe(true);
      expect(await keysOf(store, "")).toEqual([]);
    });

    it("can be written again when there is space", async () => {
      const store = await openBlobs();
      await fillUp();
      await expect(store.create("a", { bytes: Buffer.alloc(mib) })).rejects.toMatchObject(noSpace);
      await freeUp();
      await store.check();
      expect(await store.create("a", { bytes: Buffer.alloc(mib) })).toBe("created");
    });

    it("costs neither what is stored nor what was just fetched, and operators are told", async () => {
      const store = await openStore();
      await keepGood({ store }, modKey);
      await store.keepRecord(requestFor(listKey), Buffer.from("v1.0.0\n"), source);
      await fillUp();

      await expect(keepGood({ store }, zipKey)).rejects.toMatchObject(noSpace);
      expect(await store.read(requestFor(zipKey))).toMatchObject({ bytes: contentOf(zipKey), source });
      expect(await store.read(requestFor(modKey))).toMatchObject({ bytes: contentOf(modKey) });
      const list = Buffer.from("v1.0.0\nv1.1.0\n");
      await store.keepRecord(requestFor(listKey), list, source);
      expect(await store.readRecord(requestFor(listKey))).toMatchObject({ bytes: list });
      await expect(store.check()).rejects.toMatchObject({ code: "storage_failed" });
      expect(events.of("store_failed")).toContainEqual(
        expect.objectContaining({ store: `disk:${disk.path}/modules`, error: expect.objectContaining(noSpace) }),
      );
      expect(events.of("file_corrupt")).toEqual([]);

      await freeUp();
      const again = await restarted(store);
      expect(await again.read(requestFor(zipKey))).toBeUndefined();
      expect(String((await again.readRecord(requestFor(listKey)))?.bytes)).toBe("v1.0.0\n");
      await keepGood({ store: again }, zipKey);
      expect(await (await restarted(again)).read(requestFor(zipKey))).toMatchObject({ bytes: contentOf(zipKey) });
    });

    it("can be started on, and serves what it has", async () => {
      const store = await openStore();
      await keepGood({ store }, modKey);
      await store.close();
      await fillUp();
      const again = await openStore();
      expect(events.of("store_failed")).toMatchObject([{ operation: "open", store: `sqlite:${disk.path}/ledger.db` }]);
      expect(await again.read(requestFor(modKey))).toMatchObject({ bytes: contentOf(modKey) });
      await freeUp();
      await keepGood({ store: again }, zipKey);
      const later = await restarted(again);
      expect(await later.read(requestFor(modKey))).toMatchObject({ source });
      expect(await later.read(requestFor(zipKey))).toMatchObject({ source: "adopted" });
    });

    it("that fills up while a zip arrives keeps nothing of it", async () => {
      const store = await openStore();
      const zip = largeZip(6 * mib);
      const file = await store.stagingFile();
      await expect(writeFile(file, zip)).rejects.toMatchObject({ code: "ENOSPC" });
      await expect(
        store.keep(requestFor(zipKey), { file, size: zip.length }, factsOf(zipKey, zip)),
      ).rejects.toMatchObject({ code: "storage_failed" });
      await rm(file);
      expect(await readdir(path.join(disk.path, "modules"))).toEqual([]);
      expect(await store.read(requestFor(zipKey))).toBeUndefined();
      await keepGood({ store }, infoKey);
      await store.close();
    });
  });

  describe("a read-only disk", () => {
    it("refuses a new data folder, naming it", async () => {
      disk.makeReadOnly();
      await expect(openStore()).rejects.toMatchObject(readOnly());
    });

    it("refuses a data folder that is there", async () => {
      await (await openStore()).close();
      disk.makeReadOnly();
      await expect(openStore()).rejects.toMatchObject(readOnly());
    });
  });

  function readOnly() {
    const message = new RegExp(`"${disk.path}/\\w+": it is on a read-only file system`);
    return { code: "storage_failed", message: expect.stringMatching(message) };
  }

  function openBlobs() {
    return createDiskBlobStore({
      root: path.join(disk.path, "modules"),
      stagingDir: path.join(disk.path, "staging"),
      quarantineDir: path.join(disk.path, "quarantine"),
      minFreeBytes: 1,
    });
  }

  function openStore(): Promise<ModuleStore> {
    return openDataFolder({
      dataDir: disk.path,
      memoryBytes: 64 * mib,
      wholeFileLimitBytes: 8 * mib,
      verifier: createZipVerifier({ workers: 1 }),
      clock: systemClock,
      events,
    });
  }

  async function restarted(store: ModuleStore): Promise<ModuleStore> {
    await store.close();
    return openStore();
  }

  async function fillUp(): Promise<void> {
    await expect(writeFile(path.join(disk.path, "filler"), Buffer.alloc(5 * mib))).rejects.toMatchObject({
      code: "ENOSPC",
    });
  }

  async function freeUp(): Promise<void> {
    await rm(path.join(disk.path, "filler"));
  }
});
