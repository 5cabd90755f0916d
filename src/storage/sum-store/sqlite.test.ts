import { mkdtemp, open, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../../test/support/manual-clock.ts";
import { recordOf, sumStoreSuite, treeNow, treeOf } from "../../../test/suites/sum-store.ts";
import { systemClock } from "../../core/clock.ts";
import type { Clock, SumStore } from "../../core/ports.ts";
import { openSqliteSumStore } from "./sqlite.ts";

sumStoreSuite("SQLite in a file", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-sumdb-"));
  const openAgain = () => openSqliteSumStore({ file: path.join(folder, "sumdb.db"), clock: systemClock });
  return { store: await openAgain(), openAgain, remove: () => rm(folder, { recursive: true, force: true }) };
});

sumStoreSuite("SQLite in memory", async () => ({
  store: await openSqliteSumStore({ file: ":memory:", clock: systemClock }),
  openAgain: undefined,
  remove: () => Promise.resolve(),
}));

describe("an SQLite store for checksum databases", () => {
  const log = "corp.example";
  const refused = (words: RegExp) => ({ code: "storage_failed", message: expect.stringMatching(words) });
  const neverAnew = "Do not begin with a new one";

  let folder: string;
  let file: string;
  let clock: ManualClock;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-sumdb-"));
    file = path.join(folder, "sumdb.db");
    clock = createManualClock();
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("leaves nothing beside its file and the mark that it has a log", async () => {
    const store = await openStore();
    await store.forgetTree(log);
    await store.close();
    expect(await readdir(folder)).toEqual(["sumdb.db"]);
    await (await filled(3)).close();
    expect((await readdir(folder)).sort()).toEqual(["sumdb.db", "sumdb.db.keep"]);
  });

  it("is made once by many that open it at the same time", async () => {
    const stores = await Promise.all(Array.from({ length: 10 }, () => openStore(systemClock)));
    await Promise.all(stores.map((store, n) => store.appendRecords(log, [recordOf(n)])));
    for (const store of stores) expect(await store.logTree(log)).toMatchObject({ size: 10 });
    await Promise.all(stores.map((store) => store.close()));
    expect((await readdir(folder)).sort()).toEqual(["sumdb.db", "sumdb.db.keep"]);
  });

  describe("that another process writes to", () => {
    it("waits, and goes on when it is done", async () => {
      const store = await filled(1);
      const blocker = new DatabaseSync(file);
      blocker.exec("BEGIN IMMEDIATE");
      const appending = store.appendRecords(log, [recordOf(1)]);
      await clock.advance(500);
      expect(await treeNow(store, log)).toEqual(treeOf([recordOf(0).text]));
      blocker.exec("ROLLBACK");
      blocker.close();
      await clock.advance(500);
      expect(await appending).toEqual([{ id: 1, text: recordOf(1).text }]);
      await store.close();
    });

    it("says what to do when that never ends", async () => {
      const store = await filled(1);
      const blocker = new DatabaseSync(file);
      blocker.exec("BEGIN IMMEDIATE");
      const outcome = store.appendRecords(log, [recordOf(1)]).catch((error: unknown) => error);
      await clock.advance(20_000);
      expect(await outcome).toMatchObject(refused(/another process holds the write lock/));
      blocker.close();
      await store.close();
    });

    it("is closed while it waits", async () => {
      const store = await filled(1);
      const blocker = new DatabaseSync(file);
      blocker.exec("BEGIN IMMEDIATE");
      const outcome = store.appendRecords(log, [recordOf(1)]).catch((error: unknown) => error);
      await clock.advance(10);
      await store.close();
      await clock.advance(500);
      expect(await outcome).toMatchObject(refused(/is closed/));
      blocker.close();
    });
  });

  describe("that is damaged", () => {
    it.each([
      ["no database at all", Buffer.from("not a database, but long enough to be looked at as one".repeat(100))],
      ["an empty file", Buffer.alloc(0)],
      ["zeros", Buffer.alloc(65_536)],
    ])("(%s) is refused at the start and stays as it is", async (_, content) => {
      await writeFile(file, content);
      await writeFile(`${file}.keep`, "");
      await expect(openStore()).rejects.toMatchObject(refused(/(is damaged|is empty)\. .*Do not begin with a new one/));
      expect(await readdir(folder)).toEqual(["sumdb.db", "sumdb.db.keep"]);
      await expect(openStore()).rejects.toMatchObject(refused(new RegExp(neverAnew)));
    });

    it("and has no log of ours may be moved away, and the refusal says so", async () => {
      await writeFile(file, "not a database, but long enough to be looked at as one".repeat(100));
      const words = /is damaged\. .*no log of ours.* move it away with sumdb\.db-wal and sumdb\.db-shm/;
      await expect(openStore()).rejects.toMatchObject(refused(words));
      expect(await readdir(folder)).toEqual(["sumdb.db"]);
      await rename(file, `${file}.away`);
      await (await openStore()).close();
    });

    it("by another schema is refused", async () => {
      const db = new DatabaseSync(file);
      db.exec("CREATE TABLE other (x)");
      db.close();
      await expect(openStore()).rejects.toMatchObject(refused(/is empty/));
    });

    it("by a newer Sluice's schema is refused", async () => {
      await (await filled(1)).close();
      change("INSERT INTO migrations (version, applied_at) VALUES (99, 0)");
      await expect(openStore()).rejects.toMatchObject(refused(/newer Sluice/));
    });

    it("under way is refused, for reading and writing", async () => {
      await (await filled(3000)).close();
      const store = await openStore();
      const handle = await open(file, "r+");
      const { size } = await handle.stat();
      await handle.write(Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
      await handle.close();
      await expect(store.findRecord(log, recordOf(7).modulePath, recordOf(7).version)).rejects.toMatchObject(
        refused(/is damaged/),
      );
      await expect(store.appendRecords(log, [recordOf(3001)])).rejects.toMatchObject(refused(/is damaged/));
      await store.close();
    });

    it("by being cut to nothing under way is refused", async () => {
      await (await filled(3000)).close();
      const store = await openStore();
      await truncate(file, 0);
      await expect(store.records(log, 0, 3000)).rejects.toMatchObject({ code: "storage_failed" });
      await expect(store.appendRecords(log, [recordOf(3001)])).rejects.toMatchObject({ code: "storage_failed" });
      await store.close();
      await expect(openStore()).rejects.toMatchObject({ code: "storage_failed" });
    });

    it.each([
      ["a tree hash was changed", "UPDATE tree_hashes SET hash = zeroblob(32) WHERE id = 14"],
      ["a tree hash is missing", "DELETE FROM tree_hashes WHERE id = 14"],
      ["the tree was changed", "UPDATE logs SET hash = zeroblob(32)"],
      ["the size was changed", "UPDATE logs SET size = size - 1"],
    ])("so that SQLite does not notice (%s), never grows on it", async (_, sql) => {
      await (await filled(8)).close();
      change(sql);
      const store = await openStore();
      await expect(store.logTree(log)).rejects.toMatchObject(refused(/cannot be trusted/));
      await expect(store.appendRecords(log, [recordOf(9)])).rejects.toMatchObject(refused(/cannot be trusted/));
      await store.close();
    });

    it.each([
      ["changed", "UPDATE records SET text = 'other' WHERE id = 3"],
      ["missing", "DELETE FROM records WHERE id = 3"],
    ])("so that a record is %s, does not answer it", async (_, sql) => {
      await (await filled(8)).close();
      change(sql);
      const store = await openStore();
      await expect(store.records(log, 2, 5)).rejects.toMatchObject(refused(/cannot be trusted/));
      expect(await store.records(log, 0, 3)).toHaveLength(3);
      await store.close();
    });
  });

  describe("that went away", () => {
    it.each([
      ["deleted", () => rm(file)],
      ["replaced", () => rm(file).then(() => writeFile(file, ""))],
      ["robbed of its write-ahead log", () => rm(`${file}-wal`)],
    ])("under way (%s) refuses, and makes no new one", async (_, change) => {
      const store = await filled(3);
      await change();
      const before = await readdir(folder);
      await expect(store.appendRecords(log, [recordOf(3)])).rejects.toMatchObject(
        refused(/moved, deleted or replaced/),
      );
      await expect(store.logTree(log)).rejects.toMatchObject(refused(/moved, deleted or replaced/));
      await expect(store.check()).rejects.toMatchObject(refused(/moved, deleted or replaced/));
      expect(await readdir(folder)).toEqual(before);
      await store.close();
    });

    it("and came back works again", async () => {
      const store = await filled(3);
      await rename(file, `${file}.away`);
      await expect(store.logTree(log)).rejects.toMatchObject(refused(/moved, deleted or replaced/));
      await rename(`${file}.away`, file);
      expect(await store.appendRecords(log, [recordOf(3)])).toEqual([{ id: 3, text: recordOf(3).text }]);
      await store.close();
    });

    it("while Sluice was stopped is not made anew at the start, unless the mark went with it", async () => {
      await (await filled(3)).close();
      await rm(file);
      await expect(openStore()).rejects.toMatchObject(refused(/is gone, and has left sumdb\.db\.keep\./));
      expect(await readdir(folder)).toEqual(["sumdb.db.keep"]);
      await rm(`${file}.keep`);
      const store = await openStore();
      expect(await store.logTree(log)).toMatchObject({ size: 0 });
      await store.close();
    });

    it("under a Sluice that runs is not made anew at the start", async () => {
      const store = await filled(3);
      await rename(file, `${file}.away`);
      await expect(openStore()).rejects.toMatchObject(
        refused(/is gone, and has left sumdb\.db-wal and sumdb\.db\.keep\./),
      );
      await store.close();
    });
  });

  describe("opened to be looked at", () => {
    it("sees what a running Sluice writes, and writes nothing", async () => {
      const store = await filled(3);
      const reader = await openSqliteSumStore({ file, clock, readOnly: true });
      await store.appendRecords(log, [recordOf(3)]);
      expect(await reader.overview()).toEqual({ followed: [], own: [{ log, size: 4 }] });
      await expect(reader.appendRecords(log, [recordOf(4)])).rejects.toMatchObject({ code: "storage_failed" });
      await reader.close();
      await store.close();
    });

    it("is not made", async () => {
      await expect(openSqliteSumStore({ file, clock, readOnly: true })).rejects.toMatchObject({
        code: "storage_failed",
      });
      expect(await readdir(folder)).toEqual([]);
    });
  });

  function openStore(withClock: Clock = clock): Promise<SumStore> {
    return openSqliteSumStore({ file, clock: withClock });
  }

  async function filled(records: number): Promise<SumStore> {
    const store = await openStore();
    await store.appendRecords(
      log,
      Array.from({ length: records }, (_, n) => recordOf(n)),
    );
    return store;
  }

  function change(sql: string): void {
    const db = new DatabaseSync(file);
    db.exec(sql);
    db.close();
  }
});
