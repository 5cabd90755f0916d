import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { recordOf, sumStoreSuite, treeNow, treeOf } from "../../../test/suites/sum-store.ts";
import { systemClock } from "../../core/clock.ts";
import { openThreadedSumStore } from "./threaded.ts";

sumStoreSuite("SQLite with a thread for writing", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-sumdb-"));
  const openAgain = () => openThreadedSumStore({ file: path.join(folder, "sumdb.db"), clock: systemClock });
  return { store: await openAgain(), openAgain, remove: () => rm(folder, { recursive: true, force: true }) };
});

describe("a store with a thread for writing", () => {
  const log = "corp.example";
  const crashing = new URL("../../../test/support/crashing-writer.ts", import.meta.url);

  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-sumdb-"));
    file = path.join(folder, "sumdb.db");
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("leaves one database file when it is closed", async () => {
    const store = await openStore();
    await store.appendRecords(log, [recordOf(0)]);
    await store.close();
    expect((await readdir(folder)).sort()).toEqual(["sumdb.db", "sumdb.db.keep"]);
  });

  it("reads on while a write waits for another process, and writes when that is done", async () => {
    const store = await openStore();
    await store.appendRecords(log, [recordOf(0)]);
    const blocker = new DatabaseSync(file);
    blocker.exec("BEGIN IMMEDIATE");
    let isAppended = false;
    const appending = store.appendRecords(log, [recordOf(1)]).finally(() => (isAppended = true));
    for (let n = 0; n < 1000; n++) expect(await treeNow(store, log)).toEqual(treeOf([recordOf(0).text]));
    expect(isAppended).toBe(false);
    blocker.exec("ROLLBACK");
    blocker.close();
    expect(await appending).toEqual([{ id: 1, text: recordOf(1).text }]);
    expect((await store.logTree(log)).size).toBe(2);
    await store.close();
  });

  it("ends a write that waits when it is closed", async () => {
    const store = await openStore();
    await store.appendRecords(log, [recordOf(0)]);
    const blocker = new DatabaseSync(file);
    blocker.exec("BEGIN IMMEDIATE");
    const outcome = store.appendRecords(log, [recordOf(1)]).catch((error: unknown) => error);
    await store.close();
    expect(await outcome).toMatchObject({ code: "storage_failed", message: expect.stringContaining("is closed") });
    await expect(store.appendRecords(log, [recordOf(1)])).rejects.toMatchObject({ code: "storage_failed" });
    blocker.close();
  });

  it("tells in the thread's words what is wrong with the database", async () => {
    const store = await openStore();
    await store.appendRecords(log, [recordOf(0)]);
    await rename(file, `${file}.away`);
    await expect(store.appendRecords(log, [recordOf(1)])).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(/moved, deleted or replaced .* Do not begin with a new one/),
      details: { path: file },
    });
    await store.close();
  });

  it("fails the writes of a thread that dies, and begins another for the next", async () => {
    const store = await openStore(crashing);
    const outcomes = await Promise.allSettled([0, 1].map((n) => store.appendRecords(log, [recordOf(n)])));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: { code: "internal", message: `the thread that writes sqlite:${file} died` },
      });
    }
    await expect(store.check()).rejects.toMatchObject({ code: "internal" });
    expect((await store.logTree(log)).size).toBe(0);
    await store.close();
  });

  it("is refused at the start in words when there is no folder for it", async () => {
    await rm(folder, { recursive: true });
    await expect(openStore()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("check that its folder exists"),
    });
  });

  function openStore(script?: URL) {
    return openThreadedSumStore({ file, clock: systemClock, ...(script === undefined ? {} : { script }) });
  }
});
