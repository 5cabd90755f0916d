import { randomUUID } from "node:crypto";
import { rm, stat, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { openDataFolder, type OpenedStore } from "../../src/storage/data-folder.ts";
import { type CollectorOptions, startCollector } from "../../src/storage/gc/collector.ts";
import { openLocalStore } from "../../src/storage/local-store.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { openBucketNode } from "../support/bucket-node.ts";
import { createMovableClock } from "../support/movable-clock.ts";
import { recordEvents, type RecordedEvents } from "../support/recorded-events.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { startS3Server } from "../support/s3-server.ts";
import { createSmallDisk, lacksMount, type SmallDisk } from "../support/small-disk.ts";
import { keepFile, moduleFiles } from "../support/store-writer.ts";
import { contentOf, infoKey, keepGood, listKey, modKey, requestFor, source, zipKey } from "../suites/module-store.ts";

const mib = 1024 * 1024;
const diskMib = 80;
const reserveBytes = 4 * mib;
const minio = s3Programs.find(({ name }) => name === "minio");
if (minio === undefined) throw new Error("there is no MinIO among the S3 programs");

describe.skipIf(lacksMount())("a disk that is nearly full", () => {
  let disk: SmallDisk;
  let events: RecordedEvents;
  let clock: ReturnType<typeof createMovableClock>;

  beforeEach(() => {
    clock = createMovableClock();
    disk = createSmallDisk(diskMib);
    events = recordEvents();
  });

  afterEach(() => {
    disk.remove();
  });

  it("keeps no new file, serves everything, and keeps files again when there is space", async () => {
    const store = await openStore();
    await keepGood({ store }, modKey);
    await leave(reserveBytes - mib);
    // What the file system has said is believed for a second.
    clock.move(1000);

    await expect(keepGood({ store }, zipKey)).rejects.toMatchObject({ code: "storage_failed" });
    await expect(store.stagingFile()).rejects.toMatchObject({ code: "storage_failed" });
    expect(await store.read(requestFor(zipKey))).toMatchObject({ bytes: contentOf(zipKey), source });
    expect(await store.read(requestFor(modKey))).toMatchObject({ bytes: contentOf(modKey) });
    await expect(stat(path.join(disk.path, "modules", zipKey))).rejects.toMatchObject({ code: "ENOENT" });
    // What is small, and has to be told, finds the space that files have left.
    const list = Buffer.from("v1.0.0\n");
    await store.keepRecord(requestFor(listKey), list, source);
    expect(await stat(path.join(disk.path, "modules", listKey))).toMatchObject({ size: list.length });
    expect(events.of("disk_space")).toMatchObject([{ state: "low", folder: disk.path, reserveBytes }]);
    expect(store.health()).toMatchObject([{ part: "disk space", state: "degraded", isNeeded: false }]);

    await freeUp();
    await vi.waitFor(() => expect(events.of("disk_space").at(-1)).toMatchObject({ state: "ok" }), { timeout: 20_000 });
    await keepGood({ store }, infoKey);
    await store.close();
    const again = await openStore();
    expect(await again.read(requestFor(infoKey))).toMatchObject({ source });
    await again.close();
  });

  it("serves what it has and knows nothing of, however large", async () => {
    const store = await openStore({ memoryBytes: 0 });
    await keepGood({ store }, zipKey);
    await store.close();
    await rm(path.join(disk.path, "ledger.db"));
    await leave(reserveBytes - mib);
    const again = await openStore({ memoryBytes: 0 });
    expect(await again.read(requestFor(zipKey))).toMatchObject({ size: contentOf(zipKey).length, source: "adopted" });
    expect(events.of("disk_space")).toMatchObject([{ state: "low" }]);
    await again.close();
  });

  it("makes room by what was unused for longest, where the store has a size, before it refuses anything", async () => {
    const store = await openStore();
    for (const index of largeModules) await keepModule(store, index);
    const local = await openLocalStore(disk.path, { events, clock: systemClock });
    const onScarce: CollectorOptions["onScarce"] = (listener) => store.onScarce(listener);
    const options = { store: local, clock: systemClock, events, maxBytes: 1024 * mib };
    const collector = startCollector({ ...options, whyKept: () => undefined, onScarce });
    await leave(reserveBytes + mib);
    await vi.waitFor(() => expect(events.of("store_collected")).toHaveLength(1), { timeout: 20_000 });
    await keepModule(store, 302);
    expect(events.of("disk_space")).toEqual([]);
    expect(events.of("store_failed")).toEqual([]);
    await collector.close();
    await local.close();
    await store.close();
  });

  it.skipIf(lacksS3Server(minio))("makes room by what the bucket has, and lets nothing else go", async () => {
    const server = await startS3Server(minio);
    const node = await openBucketNode({ server, prefix: randomUUID(), dataDir: disk.path, clock, reserveBytes });
    try {
      for (const index of largeModules) await keepModule(node.store, index);
      await vi.waitFor(() => expect(node.store.health()).toContainEqual(emptyOutbox), { timeout: 20_000 });
      await server.kill();
      await keepModule(node.store, 302);
      clock.move(3_600_000);
      await leave(reserveBytes - mib);
      await vi.waitFor(() => expect(node.events.of("disk_space")).toMatchObject([{ state: "low" }]), {
        timeout: 20_000,
      });
      await expect(keepModule(node.store, 305)).rejects.toMatchObject({ code: "storage_failed" });
      expect(node.events.of("cache_evicted")).toEqual([]);
      for (const index of [...largeModules, 302]) expect(await isServed(node.store, index)).toBe(true);
      await server.startAgain();
      await vi.waitFor(() => expect(node.store.health()).toContainEqual(emptyOutbox), { timeout: 20_000 });
      clock.move(120_000);
      await vi.waitFor(() => expect(node.events.of("cache_evicted")).toMatchObject([{ reason: "space" }]), {
        timeout: 20_000,
      });
      await vi.waitFor(() => expect(node.events.of("disk_space").at(-1)).toMatchObject({ state: "ok" }), {
        timeout: 20_000,
      });
      await keepModule(node.store, 305);
      for (const index of [...largeModules, 302, 305]) expect(await isServed(node.store, index)).toBe(true);
    } finally {
      await node.store.close();
      await server.stop();
    }
  });

  async function openStore({ memoryBytes = 64 * mib } = {}): Promise<OpenedStore> {
    return openDataFolder({
      dataDir: disk.path,
      memoryBytes,
      wholeFileLimitBytes: 8 * mib,
      reserveBytes,
      verifier: createZipVerifier({ workers: 1 }),
      clock,
      events,
    });
  }

  /** Fills the disk up, so that so much is left. */
  async function leave(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(disk.path);
    await writeFile(path.join(disk.path, "filler"), Buffer.alloc(bavail * bsize - bytes));
  }

  async function freeUp(): Promise<void> {
    await rm(path.join(disk.path, "filler"));
  }
});

/** Those of `moduleFiles` whose zip is some MiB. */
const largeModules = [2, 5, 8, 11];
const emptyOutbox = expect.objectContaining({ part: "outbox", detail: "empty" });

async function keepModule(store: OpenedStore, index: number): Promise<void> {
  for (const [key, content] of moduleFiles(index, "writer")) await keepFile(store, key, content, source);
}

async function isServed(store: OpenedStore, index: number): Promise<boolean> {
  const found = await store.read(parseRequest(`/example.com/m${index}/@v/v1.0.0.zip`));
  found?.discard();
  return found !== undefined;
}
