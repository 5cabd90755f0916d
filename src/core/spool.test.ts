import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryBudget, Spool } from "./spool.ts";

let folder: string;
let names = 0;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-spool-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const mebibyte = 1024 * 1024;

function createSpool(options: { readonly brokenDisk?: boolean; readonly fallbackBytes?: number } = {}) {
  const failures: Error[] = [];
  const fallback = new MemoryBudget(options.fallbackBytes ?? 64 * mebibyte);
  const spool = new Spool({
    memoryBytes: mebibyte,
    stagingFile: async () => join(folder, options.brokenDisk === true ? "missing/folder/file" : `staged-${names++}`),
    fallback,
    onDiskFailure: (error) => failures.push(error),
  });
  return { spool, failures, fallback };
}

async function appendAll(spool: Spool, bytes: Uint8Array, chunkSize = 100_000): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunkSize) await spool.append(bytes.subarray(at, at + chunkSize));
}

/** Reads until nothing more may come, and a little longer. */
async function readUpTo(stream: Readable, expected: number): Promise<number> {
  let size = 0;
  stream.on("data", (chunk: Uint8Array) => {
    size += chunk.length;
  });
  await expect.poll(() => size, { timeout: 20_000 }).toBeGreaterThanOrEqual(expected);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  return size;
}

async function breakOff(spool: Spool, stream: Readable): Promise<void> {
  const closed = new Promise((resolve) => stream.once("close", resolve));
  stream.on("error", () => undefined);
  spool.fail(new Error("broken off"));
  await closed;
  await spool.dispose();
}

describe("a body under way", () => {
  test.each([
    ["in memory", 300_000],
    ["in a file", 5 * mebibyte],
  ])("readers that start at different times all get everything, %s", async (_name, size) => {
    const { spool } = createSpool();
    const bytes = randomBytes(size);
    const early = spool.reader();
    await appendAll(spool, bytes.subarray(0, size / 2));
    const middle = spool.reader();
    await appendAll(spool, bytes.subarray(size / 2));
    const late = spool.reader();
    const read = Promise.all([buffer(early), buffer(middle), buffer(late)]);
    spool.finish();
    for (const got of await read) expect(got.equals(bytes)).toBe(true);
    await spool.dispose();
    expect(await readdir(folder)).toEqual([]);
  });

  test("the last block waits for the verdict, and a bad one breaks the stream", async () => {
    const { spool } = createSpool();
    await appendAll(spool, randomBytes(2 * mebibyte));
    const stream = spool.reader();
    const broken = new Promise((resolve) => stream.once("error", resolve));
    const readable = 2 * mebibyte - 16 * 1024;
    expect(await readUpTo(stream, readable)).toBe(readable);
    spool.fail(new Error("wrong hash"));
    expect(await broken).toMatchObject({ message: "wrong hash" });
    await spool.dispose();
  });

  test("a second attempt that repeats the beginning goes on where the first broke off", async () => {
    const { spool } = createSpool();
    const bytes = randomBytes(3 * mebibyte);
    const read = buffer(spool.reader());
    await appendAll(spool, bytes.subarray(0, 2 * mebibyte));
    await spool.restart();
    await appendAll(spool, bytes, 77_777);
    expect(spool.size).toBe(bytes.length);
    await spool.content();
    spool.finish();
    expect((await read).equals(bytes)).toBe(true);
    await spool.dispose();
  });

  test("a second attempt with other bytes is refused where a client has some of the first", async () => {
    const { spool } = createSpool();
    await appendAll(spool, randomBytes(2 * mebibyte));
    const stream = spool.reader();
    await readUpTo(stream, 1);
    await spool.restart();
    await expect(appendAll(spool, randomBytes(2 * mebibyte))).rejects.toMatchObject({ code: "integrity" });
    await breakOff(spool, stream);
  });

  test.each([
    ["in memory", mebibyte / 2],
    ["in a file", 3 * mebibyte],
  ])("and may bring other bytes behind what clients have, %s", async (_name, size) => {
    const { spool } = createSpool();
    const bytes = randomBytes(size);
    const wrong = Buffer.concat([bytes.subarray(0, -100), randomBytes(1000)]);
    const stream = spool.reader();
    const read = buffer(stream);
    await appendAll(spool, wrong);
    await spool.content();
    await spool.restart();
    await appendAll(spool, bytes, 77_777);
    expect(spool.size).toBe(size);
    const content = await spool.content();
    const kept = "bytes" in content ? Buffer.from(content.bytes) : await readFile(content.file);
    expect(kept.equals(bytes)).toBe(true);
    spool.finish();
    expect((await read).equals(bytes)).toBe(true);
    await spool.dispose();
  });

  test("a second attempt that is shorter than what clients have is refused", async () => {
    const { spool } = createSpool();
    const bytes = randomBytes(2 * mebibyte);
    await appendAll(spool, bytes);
    const stream = spool.reader();
    await readUpTo(stream, 2 * mebibyte - 16 * 1024);
    await spool.restart();
    await appendAll(spool, bytes.subarray(0, mebibyte));
    await expect(spool.content()).rejects.toMatchObject({ code: "upstream_invalid" });
    await breakOff(spool, stream);
  });

  test.each([
    ["in memory", mebibyte / 2],
    ["in a file", 3 * mebibyte],
  ])("a body that goes on must repeat the last bytes that are there, %s", async (_name, size) => {
    const { spool } = createSpool();
    const bytes = randomBytes(size);
    const half = size / 2;
    const read = buffer(spool.reader());
    await appendAll(spool, bytes.subarray(0, half));
    spool.resume(half - 5000);
    await expect(spool.append(randomBytes(10_000))).rejects.toMatchObject({ code: "integrity" });
    expect(spool.size).toBe(half);
    spool.resume(half - 5000);
    await appendAll(spool, bytes.subarray(half - 5000, half - 1), 999);
    await expect(spool.content()).rejects.toMatchObject({ code: "upstream_invalid" });
    spool.resume(half - 5000);
    await appendAll(spool, bytes.subarray(half - 5000), 999);
    await spool.content();
    spool.finish();
    expect((await read).equals(bytes)).toBe(true);
    await spool.dispose();
  });

  test("while nobody has read of it, another attempt may bring other bytes", async () => {
    const { spool } = createSpool();
    await appendAll(spool, randomBytes(3 * mebibyte));
    await spool.restart();
    const bytes = randomBytes(2 * mebibyte);
    await appendAll(spool, bytes);
    const read = buffer(spool.reader());
    spool.finish();
    expect((await read).equals(bytes)).toBe(true);
    await spool.dispose();
  });
});

describe("without a disk", () => {
  test("a large body is held in memory, the operator is told once, and the memory is given back", async () => {
    const { spool, failures, fallback } = createSpool({ brokenDisk: true });
    const bytes = randomBytes(5 * mebibyte);
    await appendAll(spool, bytes);
    expect(failures).toHaveLength(1);
    const content = await spool.content();
    expect("bytes" in content && Buffer.from(content.bytes).equals(bytes)).toBe(true);
    const read = buffer(spool.reader());
    spool.finish();
    expect((await read).equals(bytes)).toBe(true);
    expect(fallback.tryTake(64 * mebibyte)).toBe(false);
    await spool.dispose();
    expect(fallback.tryTake(64 * mebibyte)).toBe(true);
  });

  test("beyond the memory budget the body fails with what to do", async () => {
    const { spool } = createSpool({ brokenDisk: true, fallbackBytes: 2 * mebibyte });
    await expect(appendAll(spool, randomBytes(5 * mebibyte))).rejects.toMatchObject({ code: "storage_failed" });
    await spool.dispose();
  });
});

test("a reader that leaves before it read anything holds nothing back", async () => {
  const { spool } = createSpool();
  await appendAll(spool, randomBytes(2 * mebibyte));
  const stream = spool.reader();
  const closed = new Promise((resolve) => stream.once("close", resolve));
  stream.destroy();
  await closed;
  await spool.dispose();
  expect(await readdir(folder)).toEqual([]);
});
