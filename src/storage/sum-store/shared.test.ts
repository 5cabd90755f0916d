import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { lacksPostgres, type PostgresServer, startPostgresServer } from "../../../test/support/postgres-server.ts";
import { shareSumStore } from "../../../test/support/shared-sum-store.ts";
import { recordOf, sumStoreSuite, treeNow, treeOf } from "../../../test/suites/sum-store.ts";
import { systemClock } from "../../core/clock.ts";
import type { SumStore } from "../../core/ports.ts";
import { emptyTreeHash, treeHashIndexes } from "../../protocol/sumdb/index.ts";
import { GrowingTree } from "./growing-tree.ts";
import { openSqliteSumStore } from "./sqlite.ts";

const log = "corp.example";

describe("a tree that grows", () => {
  it.each([0, 1, 2, 3, 7, 8, 100, 129])("from %d records on is that of all of them", async (start) => {
    const local = await openSqliteSumStore({ file: ":memory:", clock: systemClock });
    const texts = textsOf(start + 150);
    await local.appendRecords(
      log,
      Array.from({ length: start }, (_, n) => recordOf(n)),
    );
    const growing = new GrowingTree(start, await local.treeHashes(log, treeHashIndexes(start)));
    for (let size = start + 1; size <= texts.length; size++) {
      growing.add(texts[size - 1] ?? "");
      const { hash } = growing.tree;
      expect({ size: growing.tree.size, hash: Buffer.from(hash).toString("hex") }).toEqual(
        treeOf(texts.slice(0, size)),
      );
    }
    await local.close();
  });

  it("without records is the empty one", () => {
    expect(new GrowingTree(0, []).tree).toEqual({ size: 0, hash: emptyTreeHash });
  });
});

describe.skipIf(lacksPostgres())("with a PostgreSQL server", () => {
  let server: PostgresServer;
  let folder: string;
  let url: string;
  let opened: SumStore[];

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-shared-log-"));
    url = await server.createDatabase();
    opened = [];
  });

  afterEach(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await rm(folder, { recursive: true, force: true });
  });

  afterAll(() => server.stop());

  sumStoreSuite("a log in PostgreSQL", async () => {
    const openAgain = () => openNode("one");
    return { store: await openAgain(), openAgain, remove: () => Promise.resolve() };
  });

  describe("nodes with one log in PostgreSQL", () => {
    it("have one order of records, whoever appends them", async () => {
      const nodes = await Promise.all(["one", "two", "three"].map((name) => openNode(name)));
      const numbers = Array.from({ length: 60 }, (_, n) => n);
      const answers = await Promise.all(
        nodes.map((node, index) =>
          Promise.all(numbers.map((n) => node.appendRecords(log, [{ ...recordOf(n), text: `${index} ${n}\n` }]))),
        ),
      );
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
      for (const node of nodes) {
        const tree = await treeNow(node, log);
        expect(tree.size).toBe(60);
        expect(treeOf(await node.records(log, 0, 60))).toEqual(tree);
      }
    });

    it("see at once what another has appended", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      for (let n = 0; n < 20; n++) {
        const [added] = await one.appendRecords(log, [recordOf(n)]);
        expect(await other.findRecord(log, recordOf(n).modulePath, recordOf(n).version)).toEqual(added);
        expect(await treeNow(other, log)).toEqual(await treeNow(one, log));
      }
    });

    it("bring along a log that one had before, in pages", async () => {
      await fillLocal("one", 2345);
      const one = await openNode("one");
      expect(await treeNow(one, log)).toEqual(treeOf(textsOf(2345)));
      const other = await openNode("other");
      expect(await treeNow(other, log)).toEqual(treeOf(textsOf(2345)));
      expect(await other.records(log, 2340, 2345)).toEqual(textsOf(2345).slice(2340));
      await other.appendRecords(log, [recordOf(2345)]);
      expect(await treeNow(one, log)).toEqual(treeOf(textsOf(2346)));
    });

    it("bring it along once when two begin at the same time", async () => {
      await Promise.all([fillLocal("one", 100), fillLocal("other", 70)]);
      const [one, other] = await Promise.all([openNode("one"), openNode("other")]);
      const trees = await Promise.all([treeNow(one, log), treeNow(other, log)]);
      expect(await treeNow(other, log)).toEqual(treeOf(textsOf(100)));
      expect(trees[0]).toEqual(treeOf(textsOf(100)));
    });

    it("refuse two logs of one name with different records, and leave both as they are", async () => {
      await fillLocal("one", 10);
      const one = await openNode("one");
      await one.logTree(log);
      for (const count of [5, 10, 15]) {
        const name = `other-${count}`;
        await fillLocal(name, count, (n) => ({ ...recordOf(n), text: `other ${n}\n` }));
        const other = await openNode(name);
        const refused = { code: "storage_failed", message: expect.stringContaining("the beginning of the other") };
        await expect(other.logTree(log)).rejects.toMatchObject(refused);
        await expect(other.appendRecords(log, [recordOf(99)])).rejects.toMatchObject(refused);
        await other.close();
        const local = await openLocal(name);
        expect((await local.logTree(log)).size).toBe(count);
        await local.close();
      }
      expect(await treeNow(one, log)).toEqual(treeOf(textsOf(10)));
    });

    it("give a database back what it has lost", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      await one.appendRecords(
        log,
        Array.from({ length: 50 }, (_, n) => recordOf(n)),
      );
      await other.logTree(log);
      await one.appendRecords(log, [recordOf(50), recordOf(51)]);
      // As when a copy is put back that was made before the last two.
      await query("DELETE FROM sluice_log_records WHERE id >= 50");
      const before = treeOf(textsOf(50));
      await query(`UPDATE sluice_logs SET size = 50, hash = '\\x${before.hash}'`);
      expect(await treeNow(other, log)).toEqual(before);
      expect(await treeNow(one, log)).toEqual(treeOf(textsOf(52)));
      expect(await treeNow(other, log)).toEqual(treeOf(textsOf(52)));
    });

    it("refuse records that were changed in the database", async () => {
      const one = await openNode("one");
      await one.appendRecords(
        log,
        Array.from({ length: 20 }, (_, n) => recordOf(n)),
      );
      await query("UPDATE sluice_log_records SET text = 'changed' WHERE id = 7");
      const other = await openNode("other");
      await expect(other.logTree(log)).rejects.toMatchObject({ code: "storage_failed" });
      expect((await one.logTree(log)).size).toBe(20);
    });

    it("answer what they have while the database is gone, and take nothing new", async () => {
      const one = await openNode("one");
      await one.appendRecords(log, [recordOf(0), recordOf(1)]);
      await server.kill();
      expect(await one.findRecord(log, recordOf(1).modulePath, recordOf(1).version)).toMatchObject({ id: 1 });
      expect(await one.findRecord(log, recordOf(2).modulePath, recordOf(2).version)).toBeUndefined();
      expect(await one.logTree(log)).toMatchObject({ size: 2, isBehind: true });
      expect(await one.records(log, 0, 2)).toEqual(textsOf(2));
      await expect(one.appendRecords(log, [recordOf(2)])).rejects.toMatchObject({
        code: "storage_failed",
        retryAfterSeconds: 10,
      });
      await expect(one.check()).resolves.toBeUndefined();
      await server.startAgain();
      await vi.waitFor(async () => expect(await one.appendRecords(log, [recordOf(2)])).toMatchObject([{ id: 2 }]), {
        timeout: 20_000,
      });
      expect(await one.logTree(log)).not.toHaveProperty("isBehind");
    });
  });

  async function openNode(name: string): Promise<SumStore> {
    const store = await shareSumStore(await openLocal(name), url);
    opened.push(store);
    return store;
  }

  async function openLocal(name: string): Promise<SumStore> {
    await mkdir(path.join(folder, name), { recursive: true });
    return openSqliteSumStore({ file: path.join(folder, name, "sumdb.db"), clock: systemClock });
  }

  async function fillLocal(name: string, count: number, make = recordOf): Promise<void> {
    const local = await openLocal(name);
    await local.appendRecords(
      log,
      Array.from({ length: count }, (_, n) => make(n)),
    );
    await local.close();
  }

  async function query(text: string): Promise<void> {
    const sql = server.sql(url);
    await sql.unsafe(text);
    await sql.end();
  }
});

function textsOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => recordOf(n).text);
}
