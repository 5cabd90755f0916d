import { hash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { storedHashCount, storedHashIndex } from "../../src/protocol/sumdb/index.ts";
import type { NewLogRecord, SignedTree, SumStore } from "../../src/core/ports.ts";

export interface SumStoreUnderTest {
  readonly store: SumStore;
  /** A second store over the same content, as another process has it; undefined where a store belongs to one process. */
  readonly openAgain: (() => Promise<SumStore>) | undefined;
  readonly remove: () => Promise<void>;
}

const log = "corp.example";
const database = "sum.example";

/** What every `SumStore` promises. `open` makes an empty one. */
export function sumStoreSuite(name: string, open: () => Promise<SumStoreUnderTest>): void {
  describe(`${name} as a store for checksum databases`, () => {
    let subject: SumStoreUnderTest;
    let store: SumStore;

    beforeEach(async () => {
      subject = await open();
      ({ store } = subject);
    });

    afterEach(async () => {
      await store.close();
      await subject.remove();
    });

    it("knows nothing at first", async () => {
      expect(await store.tree(database)).toBeUndefined();
      expect(await store.forks(database)).toEqual([]);
      expect(await treeNow(store, log)).toEqual(treeOf([]));
      expect(await store.findRecord(log, recordOf(0).modulePath, recordOf(0).version)).toBeUndefined();
      expect(await store.records(log, 0, 0)).toEqual([]);
      expect(await store.treeHashes(log, [])).toEqual([]);
      expect(await store.overview()).toEqual({ followed: [], own: [] });
      await expect(store.check()).resolves.toBeUndefined();
    });

    describe("the tree of a followed log", () => {
      it("comes back as it was kept, and is each log's own", async () => {
        expect(await store.setTree(database, signed(5), 0)).toBe(true);
        expect(await store.tree(database)).toEqual(signed(5));
        expect(await store.tree("other.example")).toBeUndefined();
        expect(await store.setTree(database, signed(9), 5)).toBe(true);
        expect(await store.tree(database)).toEqual(signed(9));
      });

      it("holds sizes beyond 2^32", async () => {
        await store.setTree(database, signed(2 ** 40), 0);
        expect(await store.tree(database)).toEqual(signed(2 ** 40));
      });

      it.each([
        ["the tree before is another one", 9, 4],
        ["there is one, and none was expected", 9, 0],
        ["it has the same size", 5, 5],
        ["it is smaller", 4, 5],
      ])("is not replaced when %s", async (_, size, previousSize) => {
        await store.setTree(database, signed(5), 0);
        expect(await store.setTree(database, signed(size), previousSize)).toBe(false);
        expect(await store.tree(database)).toEqual(signed(5));
      });

      it("is not kept when one was expected and there is none", async () => {
        expect(await store.setTree(database, signed(5), 3)).toBe(false);
        expect(await store.tree(database)).toBeUndefined();
      });

      it("is replaced by one of all who try at once", async () => {
        await store.setTree(database, signed(1), 0);
        const sizes = Array.from({ length: 20 }, (_, index) => index + 2);
        const kept = await Promise.all(sizes.map((size) => store.setTree(database, signed(size), 1)));
        expect(kept.filter(Boolean)).toHaveLength(1);
        expect(await store.tree(database)).toEqual(signed(sizes[kept.indexOf(true)] ?? 0));
      });
    });

    describe("forks", () => {
      const evidence = { ours: bytesOf("ours"), theirs: bytesOf("theirs"), seenAt: 7 };

      it("are kept once per pair, in the order they were seen", async () => {
        const later = { ...evidence, theirs: bytesOf("an other"), seenAt: 9 };
        await store.addFork(database, later);
        await store.addFork(database, evidence);
        await store.addFork(database, { ...evidence, seenAt: 11 });
        expect(await store.forks(database)).toEqual([evidence, later]);
        expect(await store.forks("other.example")).toEqual([]);
      });

      it("are settled when an operator forgets the tree, and stand again when they show up again", async () => {
        await store.setTree(database, signed(5), 0);
        await store.addFork(database, evidence);
        await store.forgetTree(database);
        expect(await store.forks(database)).toEqual([]);
        expect(await store.tree(database)).toBeUndefined();
        expect(await store.setTree(database, signed(3), 0)).toBe(true);
        await store.addFork(database, { ...evidence, seenAt: 11 });
        expect(await store.forks(database)).toEqual([{ ...evidence, seenAt: 11 }]);
      });

      it("of one log say nothing of another", async () => {
        await store.setTree("other.example", signed(5), 0);
        await store.addFork("other.example", evidence);
        await store.forgetTree(database);
        expect(await store.forks("other.example")).toEqual([evidence]);
        expect(await store.tree("other.example")).toEqual(signed(5));
      });
    });

    describe("our own log", () => {
      it("numbers records from 0 in the order given", async () => {
        expect(await append(0, 3)).toEqual([answered(0), answered(1), answered(2)]);
        expect(await append(3, 4)).toEqual([answered(3)]);
        expect(await store.records(log, 0, 4)).toEqual(textsOf(0, 4));
        expect(await store.records(log, 1, 3)).toEqual(textsOf(1, 3));
        expect(await store.findRecord(log, recordOf(2).modulePath, recordOf(2).version)).toEqual(answered(2));
        expect(await store.findRecord(log, recordOf(4).modulePath, recordOf(4).version)).toBeUndefined();
      });

      it("takes nothing of nothing", async () => {
        expect(await store.appendRecords(log, [])).toEqual([]);
        expect(await treeNow(store, log)).toEqual(treeOf([]));
      });

      it("keeps the first record of a version, whatever comes later", async () => {
        await append(0, 2);
        const changed = { ...recordOf(1), text: "changed\n" };
        expect(await store.appendRecords(log, [changed, recordOf(2), changed])).toEqual([
          answered(1),
          answered(2),
          answered(1),
        ]);
        expect(await treeNow(store, log)).toEqual(treeOf(textsOf(0, 3)));
      });

      it("takes a version once that is twice in one call", async () => {
        const changed = { ...recordOf(0), text: "changed\n" };
        expect(await store.appendRecords(log, [recordOf(0), changed])).toEqual([answered(0), answered(0)]);
        expect(await treeNow(store, log)).toEqual(treeOf(textsOf(0, 1)));
      });

      it("tells versions and paths apart byte by byte", async () => {
        const { modulePath, version } = recordOf(0);
        await append(0, 1);
        const other = parseModulePath(modulePath.replace("/m", "/M"));
        expect(await store.findRecord(log, other, version)).toBeUndefined();
        expect(await store.findRecord(log, modulePath, parseVersion("v1.0.0-a"))).toBeUndefined();
      });

      it("has the tree of its records at every size", async () => {
        for (let size = 1; size <= 70; size++) {
          await append(size - 1, size);
          expect(await treeNow(store, log)).toEqual(treeOf(textsOf(0, size)));
        }
        await append(70, 600);
        expect(await treeNow(store, log)).toEqual(treeOf(textsOf(0, 600)));
      });

      it("has the hash of every node that is complete, however the records came", async () => {
        await append(0, 1);
        await append(1, 6);
        await append(6, 300);
        const indexes = Array.from({ length: storedHashCount(300) }, (_, index) => index);
        const hashes = await store.treeHashes(log, indexes);
        for (let level = 0; 2 ** level <= 300; level++) {
          for (let n = 0; (n + 1) * 2 ** level <= 300; n++) {
            const { hash: expected } = treeOf(textsOf(n * 2 ** level, (n + 1) * 2 ** level));
            expect(Buffer.from(hashes[storedHashIndex(level, n)] ?? []).toString("hex")).toBe(expected);
          }
        }
        expect(await store.treeHashes(log, [9, 2, 9])).toEqual([hashes[9], hashes[2], hashes[9]]);
      });

      it("refuses to answer what is not there", async () => {
        await append(0, 3);
        await expect(store.records(log, 0, 4)).rejects.toMatchObject({ code: "storage_failed" });
        await expect(store.treeHashes(log, [0, 4])).rejects.toMatchObject({ code: "storage_failed" });
        await expect(store.records("other.example", 0, 1)).rejects.toMatchObject({ code: "storage_failed" });
      });

      it("is one of several by name", async () => {
        await append(0, 3);
        const [other] = await store.appendRecords("other.example", [recordOf(7)]);
        expect(other).toEqual({ id: 0, text: recordOf(7).text });
        expect(await treeNow(store, log)).toEqual(treeOf(textsOf(0, 3)));
        expect(await treeNow(store, "other.example")).toEqual(treeOf(textsOf(7, 8)));
        expect(await store.findRecord(log, recordOf(7).modulePath, recordOf(7).version)).toBeUndefined();
      });

      it("has one record per version when many append at once", async () => {
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, index) => store.appendRecords(log, [recordOf(index % 20)])),
        );
        expect(new Set(answers.map(([answer]) => answer?.id)).size).toBe(20);
        expect(await treeNow(store, log)).toMatchObject({ size: 20 });
        await expectWhole(store);
      });
    });

    it("gives operators an overview, by name", async () => {
      await store.setTree("b.example", signed(5), 0);
      await store.setTree("a.example", signed(6), 0);
      await append(0, 3);
      expect(await store.overview()).toEqual({
        followed: [
          { database: "a.example", size: 6, keptAt: expect.any(Number) },
          { database: "b.example", size: 5, keptAt: expect.any(Number) },
        ],
        own: [{ log, size: 3 }],
      });
    });

    describe("opened again", () => {
      it("knows everything", async () => {
        const evidence = { ours: bytesOf("ours"), theirs: bytesOf("theirs"), seenAt: 7 };
        await store.setTree(database, signed(5), 0);
        await store.addFork(database, evidence);
        await append(0, 30);
        await store.close();
        const again = await subject.openAgain?.();
        if (again === undefined) return;
        expect(await again.tree(database)).toEqual(signed(5));
        expect(await again.forks(database)).toEqual([evidence]);
        expect(await treeNow(again, log)).toEqual(treeOf(textsOf(0, 30)));
        expect(await again.appendRecords(log, [recordOf(30)])).toEqual([answered(30)]);
        await expectWhole(again);
        await again.close();
      });
    });

    it("shares everything with another process at once", async () => {
      const other = await subject.openAgain?.();
      if (other === undefined) return;
      const numbers = Array.from({ length: 100 }, (_, index) => index);
      const [ours, theirs] = await Promise.all([
        Promise.all(numbers.map((n) => store.appendRecords(log, [{ ...recordOf(n), text: `ours ${n}\n` }]))),
        Promise.all(numbers.map((n) => other.appendRecords(log, [{ ...recordOf(n), text: `theirs ${n}\n` }]))),
      ]);
      expect(ours).toEqual(theirs);
      expect(new Set(ours.map(([answer]) => answer?.id)).size).toBe(100);
      expect(await treeNow(other, log)).toEqual(await treeNow(store, log));
      await expectWhole(other);
      expect(await other.setTree(database, signed(5), 0)).toBe(true);
      expect(await store.setTree(database, signed(6), 0)).toBe(false);
      await other.close();
    });

    it("refuses in words when it is closed", async () => {
      await store.close();
      await expect(store.logTree(log)).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringContaining("closed"),
      });
      await store.close();
    });

    /** Appends the records `start` (inclusive) to `end` (exclusive). */
    function append(start: number, end: number) {
      return store.appendRecords(
        log,
        Array.from({ length: end - start }, (_, index) => recordOf(start + index)),
      );
    }

    /** The tree is that of the records, and each record is found by its version. */
    async function expectWhole(subject: SumStore): Promise<void> {
      const tree = await treeNow(subject, log);
      expect(treeOf(await subject.records(log, 0, tree.size))).toEqual(tree);
    }
  });
}

/** The n-th record that tests append. */
export function recordOf(n: number): NewLogRecord {
  const modulePath = parseModulePath(`example.com/m${n % 7}`);
  const version = parseVersion(`v1.${n}.0`);
  return { modulePath, version, text: `${modulePath} ${version} h1:${n}\n${modulePath} ${version}/go.mod h1:${n}\n` };
}

/** The tree over these records, by the definition of RFC 6962; its hash in hex. */
export function treeOf(texts: readonly string[]): { size: number; hash: string } {
  return { size: texts.length, hash: merkleHash(texts).toString("hex") };
}

export async function treeNow(store: SumStore, log: string): Promise<{ size: number; hash: string }> {
  const { size, hash } = await store.logTree(log);
  return { size, hash: Buffer.from(hash).toString("hex") };
}

function merkleHash(texts: readonly string[]): Buffer {
  const [only] = texts;
  if (only === undefined) return hash("sha256", "", "buffer");
  if (texts.length === 1) return hash("sha256", Buffer.concat([Buffer.of(0), Buffer.from(only)]), "buffer");
  const split = 2 ** Math.ceil(Math.log2(texts.length) - 1);
  const children = [merkleHash(texts.slice(0, split)), merkleHash(texts.slice(split))];
  return hash("sha256", Buffer.concat([Buffer.of(1), ...children]), "buffer");
}

function textsOf(start: number, end: number): string[] {
  return Array.from({ length: end - start }, (_, index) => recordOf(start + index).text);
}

function answered(n: number) {
  return { id: n, text: recordOf(n).text };
}

function signed(size: number): SignedTree {
  return {
    size,
    hash: new Uint8Array(hash("sha256", String(size), "buffer")),
    note: bytesOf(`tree ${size}\n`),
  };
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
