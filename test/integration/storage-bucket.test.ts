import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { open, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { blobKey, parseRequest } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import type { BlobStore, ModuleStore } from "../../src/core/ports.ts";
import { openS3BlobStore } from "../../src/storage/blob/s3.ts";
import { type BucketNode, type BucketNodeOptions, openBucketNode } from "../support/bucket-node.ts";
import { createMovableClock } from "../support/movable-clock.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { keepFile, moduleFiles } from "../support/store-writer.ts";
import { keysOf, readKey } from "../suites/blob-store.ts";
import { sha256 } from "../suites/module-store.ts";

const writerScript = path.resolve(import.meta.dirname, "../support/store-writer.ts");
const mib = 1024 * 1024;
const minio = s3Programs.find(({ name }) => name === "minio");
if (minio === undefined) throw new Error("there is no MinIO among the S3 programs");

describe.skipIf(lacksS3Server(minio))("stores with disks of their own in front of one bucket", () => {
  let server: S3Server;
  let prefix: string;
  let bucket: BlobStore;
  let nodes: BucketNode[];

  beforeAll(async () => {
    server = await startS3Server(minio);
  });

  afterAll(async () => {
    await server.stop();
  });

  beforeEach(async () => {
    prefix = randomUUID();
    nodes = [];
    bucket = await openS3BlobStore({ ...server.options(), prefix, events: recordEvents() });
  });

  afterEach(async () => {
    server.resume();
    await server.startAgain();
    for (const node of nodes) await node.remove();
    await bucket.close();
  });

  async function openNode(options: Partial<BucketNodeOptions> = {}): Promise<BucketNode> {
    const node = await openBucketNode({ server, prefix, ...options });
    nodes.push(node);
    return node;
  }

  async function restart(node: BucketNode, options?: Partial<BucketNodeOptions>): Promise<BucketNode> {
    const again = await node.restart(options);
    nodes = nodes.map((one) => (one === node ? again : one));
    return again;
  }

  it("have what one of them keeps, and a copy of what they read", async () => {
    const [a, b] = [await openNode(), await openNode()];
    for (const index of [0, 1, 2]) await keepModule(a.store, index);
    await untilSent(a);
    for (const index of [0, 1, 2]) expect(await readModule(b.store, index)).toEqual(hashesOf(index));
    for (const key of moduleFiles(2, "writer").keys()) expect(await modulesOf(b)).toContain(key);
    expect(await b.store.versions(parseModulePath("example.com/m1"))).toEqual(["v1.0.0"]);
    expect(a.events.of("store_failed")).toEqual([]);
    expect(b.events.of("store_failed")).toEqual([]);
  });

  it("have records of each other, which no source has confirmed to them", async () => {
    const [a, b] = [await openNode(), await openNode()];
    const list = parseRequest("/example.com/m/@v/list");
    await a.store.keepRecord(list, Buffer.from("v1.0.0\n"), "one");
    await untilSent(a);
    expect(await b.store.readRecord(list)).toMatchObject({ bytes: Buffer.from("v1.0.0\n"), checkedAt: 0 });
    await b.store.keepRecord(list, Buffer.from("v1.0.0\nv1.1.0\n"), "two");
    await untilSent(b);
    // What it kept itself is another one, and that is no damage.
    const again = await restart(a);
    expect(await again.store.readRecord(list)).toMatchObject({ bytes: Buffer.from("v1.0.0\nv1.1.0\n"), checkedAt: 0 });
    expect(again.events.of("file_corrupt")).toEqual([]);
    expect(String(await readKey(bucket, blobKey(list)))).toBe("v1.0.0\nv1.1.0\n");
  });

  it("agree on every file that they keep at the same time", async () => {
    const writers = ["one", "two", "three"];
    const all = await Promise.all(writers.map(() => openNode()));
    const indexes = [0, 1, 2, 3, 4, 5];
    await Promise.all(
      all.map(({ store }, at) => Promise.all(indexes.map((index) => keepModule(store, index, writers[at])))),
    );
    for (const node of all) await untilSent(node);
    for (const index of indexes) {
      const read = await Promise.all(all.map(({ store }) => readModule(store, index)));
      const candidates = writers.flatMap((writer) => [...hashesOf(index, writer).values()]);
      expect(read[0]?.size).toBe(3);
      for (const hash of read[0]?.values() ?? []) expect(candidates).toContain(hash);
      for (const other of read) expect(other).toEqual(read[0]);
      for (const [key, hash] of read[0] ?? []) expect(sha256(await readKey(bucket, key))).toBe(hash);
    }
  });

  it("keep, while the bucket is down, what they get, and bring it there when it is back", async () => {
    const a = await openNode();
    await keepModule(a.store, 0);
    await server.kill();
    for (const index of [1, 2]) await keepModule(a.store, index);
    await a.store.keepRecord(parseRequest("/example.com/m1/@v/list"), Buffer.from("v1.0.0\n"), "one");
    for (const index of [0, 1, 2]) expect(await readModule(a.store, index)).toEqual(hashesOf(index));
    expect(a.store.health()).toMatchObject([{ state: "down" }, { part: "outbox" }, {}]);
    expect(await a.store.read(parseRequest("/example.com/m9/@v/v1.0.0.zip"))).toBeUndefined();
    // Nobody knows whether the bucket has it.
    expect(await a.store.isKnown(parseRequest("/example.com/m9/@v/v1.0.0.zip"))).toBe(true);
    expect(await a.store.readRecord(listOfNinth)).toBeUndefined();
    expect(a.store.isInDoubt(listOfNinth)).toBe(true);
    const again = await restart(a);
    expect(await readModule(again.store, 2)).toEqual(hashesOf(2));
    await server.startAgain();
    await untilSent(again);
    expect(await again.store.read(parseRequest("/example.com/m9/@v/v1.0.0.zip"))).toBeUndefined();
    expect(await again.store.isKnown(parseRequest("/example.com/m9/@v/v1.0.0.zip"))).toBe(false);
    expect(await again.store.readRecord(listOfNinth)).toBeUndefined();
    expect(again.store.isInDoubt(listOfNinth)).toBe(false);
    const b = await openNode();
    for (const index of [0, 1, 2]) expect(await readModule(b.store, index)).toEqual(hashesOf(index));
    expect(again.events.of("bucket_state").map(({ state }) => state)).toEqual(["down", "ok"]);
    expect(again.store.health()).toMatchObject([{ state: "ok" }, { part: "outbox", detail: "empty" }, {}]);
  });

  it("serve what they have, and keep what is new, while the bucket hangs", async () => {
    const a = await openNode();
    await keepModule(a.store, 0);
    await untilSent(a);
    server.pause();
    for (const index of [1, 2]) await keepModule(a.store, index);
    for (const index of [0, 1, 2]) expect(await readModule(a.store, index)).toEqual(hashesOf(index));
    expect(a.store.health()).toMatchObject([{ state: "down" }, {}, {}]);
    server.resume();
    await untilSent(a);
    const b = await openNode();
    for (const index of [0, 1, 2]) expect(await readModule(b.store, index)).toEqual(hashesOf(index));
  });

  it("serve that of the first, once the bucket tells them who that was", async () => {
    const a = await openNode();
    await server.kill();
    await keepModule(a.store, 1, "a");
    expect(await readModule(a.store, 1)).toEqual(hashesOf(1, "a"));
    const conceded: string[] = [];
    a.store.onConceded((key) => conceded.push(key));
    await server.startAgain();
    // The other one sends its `.info` first; its zip is not there yet, and ours must not be mixed with it.
    for (const [key, content] of moduleFiles(1, "b"))
      if (!key.endsWith(".zip")) await bucket.create(key, { bytes: content });
    await untilSent(a);
    const keys = [...moduleFiles(1, "a").keys()];
    expect(conceded.toSorted()).toEqual(keys.toSorted());
    expect(
      a.events
        .of("bucket_conflict")
        .map(({ key }) => key)
        .toSorted(),
    ).toEqual(keys.toSorted());
    const theirs = [...hashesOf(1, "b")].filter(([key]) => !key.endsWith(".zip"));
    expect(await readModule(a.store, 1)).toEqual(new Map(theirs));
    expect(await keysOf(bucket, "example.com/m1")).not.toContain("example.com/m1/@v/v1.0.0.zip");
  });

  it("use what is on the disk after a restart, without the bucket", async () => {
    const a = await openNode();
    for (const index of [0, 2]) await keepModule(a.store, index);
    await untilSent(a);
    const b = await openNode();
    for (const index of [0, 2]) await readModule(b.store, index);
    await server.kill();
    const again = await restart(b);
    for (const index of [0, 2]) expect(await readModule(again.store, index)).toEqual(hashesOf(index));
    expect(again.events.of("store_failed").length).toBeLessThanOrEqual(1);
  });

  it("take a file from the bucket again when it rots on the disk, and leave the bucket's alone", async () => {
    const a = await openNode();
    await keepModule(a.store, 2);
    await untilSent(a);
    await rotOnDisk(a, "example.com/m2/@v/v1.0.0.zip");
    const again = await restart(a);
    // The first one finds the damage.
    await again.store.read(parseRequest("/example.com/m2/@v/v1.0.0.zip"));
    expect(await readModule(again.store, 2)).toEqual(hashesOf(2));
    // After a restart the newest files are compared with the bucket, too, so that two may find it at the same moment.
    const corrupt = new Set(again.events.of("file_corrupt").map(({ key }) => key));
    expect([...corrupt]).toEqual(["example.com/m2/@v/v1.0.0.zip"]);
    expect(await bucket.stat("example.com/m2/@v/v1.0.0.zip")).toBeDefined();
  });

  it.each([
    ["small", 1],
    ["large", largeModules(1)[0] ?? 0],
  ])("send no %s file that has rotted while it waited for the bucket", async (_, index) => {
    const a = await openNode();
    await server.kill();
    await keepModule(a.store, index);
    const zip = blobKey(zipOf(index));
    await rotOnDisk(a, zip);
    await server.startAgain();
    await untilSent(a);
    expect(await bucket.stat(zip)).toBeUndefined();
    expect(a.events.of("file_corrupt").map(({ key }) => key)).toEqual([zip]);
  });

  it("take a broken file out of the bucket, and the good one that comes takes its place", async () => {
    const key = "example.com/m1/@v/v1.0.0.zip";
    await bucket.create(key, { bytes: Buffer.from("no zip") });
    const a = await openNode();
    expect(await a.store.read(parseRequest(`/${key}`))).toBeUndefined();
    expect(await bucket.stat(key)).toBeUndefined();
    await keepModule(a.store, 1);
    await untilSent(a);
    expect(sha256(await readKey(bucket, key))).toBe(hashesOf(1).get(key));
  });

  it("take over what another node has packed in another way, and take nothing of it out of the bucket", async () => {
    const [a, b] = [await openNode(), await openNode()];
    await keepModule(a.store, 1);
    await untilSent(a);
    const zip = blobKey(zipOf(1));
    const repacked = repack(moduleFiles(1, "writer").get(zip) ?? Buffer.alloc(0));
    // As after a bucket was restored from before that: another node is first, with the same module.
    await bucket.delete(zip);
    await keepFile(b.store, zip, repacked, "https://other.example");
    await untilSent(b);
    await rm(path.join(a.dataDir, "modules", zip));
    const again = await restart(a);
    const read = await again.store.read(zipOf(1));
    expect(read && sha256(await buffer(read.stream()))).toBe(sha256(repacked));
    const later = await restart(again);
    expect((await later.store.read(zipOf(1)))?.sha256).toBe(sha256(repacked));
    expect(sha256(await readKey(bucket, zip))).toBe(sha256(repacked));
    expect(again.events.of("file_corrupt")).toEqual([]);
  });

  it("leave another node's file alone that is another module, and do not serve it", async () => {
    const [a, b] = [await openNode(), await openNode()];
    const zip = blobKey(zipOf(1));
    await keepModule(a.store, 1, "a");
    await untilSent(a);
    await bucket.delete(zip);
    await keepFile(b.store, zip, moduleFiles(1, "b").get(zip) ?? Buffer.alloc(0), "https://b.example");
    await untilSent(b);
    await rm(path.join(a.dataDir, "modules", zip));
    const again = await restart(a);
    for (const _ of [1, 2]) expect(await again.store.read(zipOf(1))).toBeUndefined();
    expect(again.events.of("integrity_failed")).toMatchObject([{ key: zip }, { key: zip }]);
    expect(sha256(await readKey(bucket, zip))).toBe(hashesOf(1, "b").get(zip));
    expect(await readModule(b.store, 1)).toEqual(
      new Map([...hashesOf(1, "a")].map(([key, hash]) => [key, hashesOf(1, key === zip ? "b" : "a").get(key) ?? hash])),
    );
  });

  it("take a file out of the bucket that is not what its writer sent", async () => {
    const a = await openNode();
    await keepModule(a.store, 1);
    await untilSent(a);
    const zip = blobKey(zipOf(1));
    const good = moduleFiles(1, "writer").get(zip) ?? Buffer.alloc(0);
    // Of the same h1, so that only what the writer said of it tells.
    const rotten = repack(good);
    const file = path.join(a.dataDir, "rotten.zip");
    await writeFile(file, rotten);
    await bucket.delete(zip);
    await bucket.create(zip, { file, size: rotten.length, sha256: sha256(good) });
    await rm(path.join(a.dataDir, "modules", zip));
    const again = await restart(a);
    expect(await again.store.read(zipOf(1))).toBeUndefined();
    expect(await bucket.stat(zip)).toBeUndefined();
    expect(again.events.of("file_corrupt")).toMatchObject([{ key: zip }]);
  });

  it("let no file of the disk go for another one of its size in the bucket", async () => {
    const clock = createMovableClock();
    const a = await openNode({ clock, diskCacheBytes: 4 * mib });
    for (const index of largeModules(2)) await keepModule(a.store, index, "a");
    await untilSent(a);
    const [first = 0, second = 0] = largeModules(2);
    for (const index of [first, second]) {
      const zip = blobKey(zipOf(index));
      await bucket.delete(zip);
      await bucket.create(zip, { bytes: moduleFiles(index, "b").get(zip) ?? Buffer.alloc(0) });
    }
    clock.move(3_600_000);
    for (const index of largeModules(5).slice(2)) await keepModule(a.store, index, "a");
    const other = [first, second].map((index) => blobKey(zipOf(index)));
    await vi.waitFor(
      () => expect(a.events.of("bucket_conflict").map(({ key }) => key)).toEqual(expect.arrayContaining(other)),
      {
        timeout: 20_000,
      },
    );
  });

  it("keep the disk within its quota by what nobody used for longest, and lose nothing of it", async () => {
    const clock = createMovableClock();
    const a = await openNode({ clock, diskCacheBytes: 12 * mib });
    for (const index of largeModules(6)) await keepModule(a.store, index);
    await untilSent(a);
    // Who reads it now reads on when it goes, and it is not the one that was used for longest.
    const reading = await a.store.read(zipOf(2));
    const stream = reading?.stream();
    const first = stream && (await firstChunk(stream));
    clock.move(3_600_000);
    const [, second = 0, third = 0] = largeModules(6);
    a.store.touch(blobKey(zipOf(second)));
    clock.move(60_000);
    for (const index of largeModules(10).slice(6)) await keepModule(a.store, index);
    await untilSent(a);
    clock.move(60_000);
    await keepModule(a.store, 302);
    await vi.waitFor(() => expect(a.events.of("cache_evicted")).not.toEqual([]), { timeout: 20_000 });
    const kept = await modulesOf(a);
    expect(kept).toContain(blobKey(zipOf(second)));
    expect(kept).not.toContain(blobKey(zipOf(third)));
    expect(kept).not.toContain(`${blobKey(zipOf(third))}hash`);
    expect(stream && sha256(Buffer.concat([first ?? Buffer.alloc(0), await buffer(stream)]))).toBe(reading?.sha256);
    for (const index of largeModules(10)) expect(await readModule(a.store, index)).toEqual(hashesOf(index));
    expect(a.events.of("file_corrupt")).toEqual([]);
  });

  it("take nothing from the disk that the bucket does not have", async () => {
    const clock = createMovableClock();
    const a = await openNode({ clock, diskCacheBytes: 4 * mib });
    await keepModule(a.store, 2);
    await untilSent(a);
    await bucket.delete(blobKey(zipOf(2)));
    await server.kill();
    for (const index of [5, 8, 11]) await keepModule(a.store, index);
    clock.move(3_600_000);
    await keepModule(a.store, 14);
    for (const index of [2, 5, 8, 11, 14]) expect(await readModule(a.store, index)).toEqual(hashesOf(index));
    expect(a.events.of("cache_evicted")).toEqual([]);
    await server.startAgain();
    // What was lost in the bucket comes there again.
    const again = await restart(a);
    clock.move(3_600_000);
    await keepModule(again.store, 17);
    await vi.waitFor(async () => expect(await bucket.stat(blobKey(zipOf(2)))).toBeDefined(), { timeout: 20_000 });
    await untilSent(again);
    for (const index of [2, 5, 8, 11, 14, 17]) expect(await readModule(again.store, index)).toEqual(hashesOf(index));
  });

  it("bring to the bucket, after a kill, everything that was acknowledged while it was down", async () => {
    const a = await openNode();
    await server.kill();
    const kept = await writeUntilKilled(a, { server, prefix, lines: 20 });
    expect(kept.length).toBeGreaterThanOrEqual(20);
    expect(kept.filter((key) => key.endsWith(".zip"))).not.toEqual([]);
    await server.startAgain();
    const again = await restart(a);
    await untilSent(again);
    for (const key of kept) {
      const index = Number(/\/m(\d+)\//.exec(key)?.[1]);
      expect(sha256(await readKey(bucket, key)), key).toBe(hashesOf(index).get(key));
    }
  });

  it("bring to the bucket what came since the last flush, when a power failure took its entries away", async () => {
    const a = await openNode();
    await server.kill();
    for (const index of [0, 1, 2]) await keepModule(a.store, index);
    await a.store.keepRecord(parseRequest("/example.com/m1/@v/list"), Buffer.from("v1.0.0\n"), "one");
    await a.store.close();
    const db = new DatabaseSync(path.join(a.dataDir, "outbox.db"));
    // As the log of SQLite may be after one: without its end, whole in itself.
    db.exec("DELETE FROM outbox");
    db.exec("UPDATE flushes SET flushed_at = flushed_at - 30000");
    db.close();
    await server.startAgain();
    const again = await restart(a);
    await vi.waitFor(async () => expect(await bucket.stat(blobKey(zipOf(2)))).toBeDefined(), { timeout: 20_000 });
    await untilSent(again);
    const b = await openNode();
    for (const index of [0, 1, 2]) expect(await readModule(b.store, index)).toEqual(hashesOf(index));
    expect(await keysOf(bucket, "example.com/m1")).not.toContain("example.com/m1/@v/list");
    expect(again.events.of("bucket_conflict")).toEqual([]);
  });

  it("bring a folder that was there before the bucket into it", async () => {
    const a = await openNode({ prefix: `${prefix}-other` });
    for (const index of [0, 1, 2]) await keepModule(a.store, index);
    await untilSent(a);
    await a.store.close();
    await rm(path.join(a.dataDir, "outbox.db"));
    const again = await restart(a, { prefix });
    await untilSent(again);
    const b = await openNode();
    for (const index of [0, 1, 2]) expect(await readModule(b.store, index)).toEqual(hashesOf(index));
  });
});

/** Key to SHA-256, of what a writer keeps of a module. */
function hashesOf(index: number, writer = "writer"): ReadonlyMap<string, string> {
  return new Map([...moduleFiles(index, writer)].map(([key, content]) => [key, sha256(content)]));
}

async function keepModule(store: ModuleStore, index: number, writer = "writer"): Promise<void> {
  for (const [key, content] of moduleFiles(index, writer))
    await keepFile(store, key, content, `https://${writer}.example`);
}

async function readModule(store: ModuleStore, index: number): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const key of moduleFiles(index, "").keys()) {
    const file = await store.read(parseRequest(`/${key}`));
    if (file !== undefined) hashes.set(key, sha256(await buffer(file.stream())));
  }
  return hashes;
}

async function modulesOf({ dataDir }: BucketNode): Promise<string[]> {
  const root = path.join(dataDir, "modules");
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}

async function untilSent({ store }: BucketNode): Promise<void> {
  await vi.waitFor(
    () => expect(store.health()).toMatchObject([{ state: "ok" }, { detail: "empty" }, { part: "disk cache" }]),
    {
      timeout: 40_000,
      interval: 20,
    },
  );
}

/** The same files, with another time. */
function repack(zip: Buffer): Buffer {
  const packed = Buffer.from(zip);
  for (const at of [10, packed.lastIndexOf("PK\x01\x02") + 12]) packed[at] = (packed[at] ?? 0) ^ 2;
  return packed;
}

/** Their zips have 1.5 MB. */
function largeModules(count: number): number[] {
  return Array.from({ length: count }, (_, at) => 3 * at + 2);
}

const listOfNinth = parseRequest("/example.com/m9/@v/list");

function zipOf(index: number) {
  return parseRequest(`/example.com/m${index}/@v/v1.0.0.zip`);
}

async function firstChunk(stream: Readable): Promise<Buffer> {
  await once(stream, "readable");
  const chunk: unknown = stream.read(1000);
  return Buffer.isBuffer(chunk) ? chunk : Buffer.alloc(0);
}

/** Answers the keys that a process of its own reported as kept before it was killed. */
async function writeUntilKilled(
  { dataDir }: BucketNode,
  about: { server: S3Server; prefix: string; lines: number },
): Promise<string[]> {
  const { server, prefix, lines } = about;
  const args = ["--data", dataDir, "--first", "100", "--endpoint", server.endpoint, "--prefix", prefix];
  const child = spawn(process.execPath, [writerScript, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env["PATH"] ?? "", ...server.env },
  });
  const keys: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const report: unknown = JSON.parse(line);
    if (typeof report === "object" && report !== null && "key" in report) keys.push(String(report.key));
    if (keys.length === lines) child.kill("SIGKILL");
  }
  if (child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  return keys;
}

async function rotOnDisk({ dataDir }: BucketNode, key: string): Promise<void> {
  const handle = await open(path.join(dataDir, "modules", key), "r+");
  await handle.write(Buffer.from("rotten"), 0, 6, 1000);
  await handle.close();
}
