import { readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { SumStore } from "../../src/core/ports.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import { openThreadedSumStore } from "../../src/storage/sum-store/threaded.ts";
import type { OwnLog } from "../../src/sumdb/log/own-log.ts";
import {
  auditLog,
  context,
  lookupOf,
  moduleOf,
  openTestLog,
  ownLogName,
  treeHashOfSize,
  treeOfNote,
} from "../support/own-log.ts";
import { createSmallDisk, lacksMount, type SmallDisk } from "../support/small-disk.ts";

const mib = 1024 * 1024;

describe.skipIf(lacksMount()).each([
  { openStore: openThreadedSumStore, name: "with a thread for writing" },
  { openStore: openSqliteSumStore, name: "without one" },
])("a log of our own, $name, on a disk that fails", ({ openStore }) => {
  let disk: SmallDisk;
  let store: SumStore;
  let log: OwnLog;

  beforeEach(async () => {
    disk = createSmallDisk(4);
    await open();
  });

  afterEach(async () => {
    await store.close();
    disk.remove();
  });

  it("that is full signs no record that it could not keep, and goes on when there is space", async () => {
    const kept = await fillWithRecords();
    expect(kept.failure).toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("no space is left there: free some"),
    });
    const { bytes = new Uint8Array() } = await log.latest(context);
    const full = treeOfNote(bytes);
    expect(full.size).toBe((await auditLog(store)).tree.size);
    for (const { n, text } of kept.answered) expect((await lookUp(n)).text).toBe(text);

    await rm(path.join(disk.path, "filler"));
    expect((await lookUp(1_000_000)).id).toBe(full.size);
    const { hashes, texts } = await auditLog(store);
    for (const { id, text } of kept.answered) expect(texts[id]).toBe(text);
    expect(Buffer.compare(treeHashOfSize(hashes, full.size), full.hash)).toBe(0);
  });

  it("that is full is found as it was after a restart", async () => {
    const kept = await fillWithRecords();
    const { size } = await store.logTree(ownLogName);
    await store.close();
    await rm(path.join(disk.path, "filler"));
    await open();
    const { texts } = await auditLog(store);
    expect(texts).toHaveLength(size);
    for (const { id, text } of kept.answered) expect(texts[id]).toBe(text);
  });

  it("that is full is not begun on, and leaves nothing behind", async () => {
    await store.close();
    for (const name of await readdir(disk.path)) await rm(path.join(disk.path, name));
    await fillUp();
    await expect(open()).rejects.toMatchObject({ code: "storage_failed" });
    expect(await readdir(disk.path)).toEqual(["filler"]);
    await rm(path.join(disk.path, "filler"));
    await open();
    expect((await lookUp(0)).id).toBe(0);
  });

  it("that is read-only is not begun on, in words", async () => {
    await store.close();
    disk.makeReadOnly();
    await expect(open()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("it cannot be opened: check that its folder exists and may be written"),
    });
    disk.makeWritable();
    await open();
    expect((await lookUp(0)).id).toBe(0);
  });

  it("that became read-only under way answers what it has, and takes nothing new", async () => {
    const { text } = await lookUp(0);
    disk.makeReadOnly();
    // What was opened before could still be written.
    await store.close();
    await open();
    expect((await lookUp(0)).text).toBe(text);
    const refused = { code: "storage_failed", message: expect.stringContaining("read-only") };
    await expect(lookUp(1)).rejects.toMatchObject(refused);
    await expect(store.check()).rejects.toMatchObject(refused);
    await store.close();
    disk.makeWritable();
    await open();
    await store.check();
    expect((await lookUp(1)).id).toBe(1);
  });

  async function open(): Promise<void> {
    store = await openStore({ file: path.join(disk.path, "sumdb.db"), clock: systemClock });
    ({ log } = await openTestLog({ store }));
  }

  async function lookUp(n: number) {
    const { modulePath, version } = moduleOf(n);
    return { n, ...lookupOf(await log.lookup(modulePath, version, context)) };
  }

  /** Looks new versions up, beside a file that takes the rest of the disk, until one cannot be kept. */
  async function fillWithRecords() {
    const answered = [await lookUp(0)];
    await fillUp();
    for (let n = 1; n < 100_000; n++) {
      try {
        answered.push(await lookUp(n));
      } catch (failure) {
        return { answered, failure };
      }
    }
    throw new Error("the disk never got full");
  }

  async function fillUp(): Promise<void> {
    await expect(writeFile(path.join(disk.path, "filler"), Buffer.alloc(5 * mib))).rejects.toMatchObject({
      code: "ENOSPC",
    });
  }
});
