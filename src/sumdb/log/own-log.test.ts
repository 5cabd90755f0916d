import { describe, expect, it } from "vitest";
import {
  auditLog,
  context,
  hashesOf,
  lookupOf,
  moduleOf,
  openMemorySumStore,
  openTestLog,
  ownLogName,
  ownLogSigner,
  treeHashOfSize,
  treeOfNote,
} from "../../../test/support/own-log.ts";
import type { H1 } from "../../protocol/brand.ts";
import { parseModulePath, parseVersion } from "../../protocol/module/index.ts";
import {
  checkDataTile,
  checkRecord,
  formatRecord,
  newTiles,
  openNote,
  parseTree,
  parseVerifierKey,
  planTileCheck,
  proveRecord,
  recordHash,
  recordProofIndexes,
  type Tile,
  tileHashIndexes,
  tilePath,
} from "../../protocol/sumdb/index.ts";
import { SluiceError } from "../../core/errors.ts";
import type { SumStore } from "../../core/ports.ts";
import type { OwnLog } from "./own-log.ts";

const { modulePath, version } = moduleOf(0);
const publicModule = { modulePath: parseModulePath("rsc.io/quote"), version: parseVersion("v1.5.2") };
const publicHashes = hashesOf(publicModule.modulePath, publicModule.version);
const publicText = formatRecord(publicModule.modulePath, publicModule.version, publicHashes);

describe("a log of our own", () => {
  it("has a signed tree without records at first", async () => {
    const { log } = await openTestLog();
    const answer = await log.latest(context);
    expect(treeOfNote(answer.bytes ?? new Uint8Array()).size).toBe(0);
    expect(answer).toMatchObject({ cache: "hit", immutable: false, freshForMs: 0, source: ownLogName });
  });

  it.each([
    ["no key", []],
    ["a key of another name", [ownLogSigner(0, "other.example")]],
    ["such a key beside its own", [ownLogSigner(), ownLogSigner(0, "other.example")]],
  ])("is refused with %s", async (_, signers) => {
    await expect(openTestLog({ signers })).rejects.toMatchObject({ code: "config_invalid" });
  });

  describe("asked for a private version", () => {
    it("makes its record, and answers it with a tree that has it", async () => {
      const { log, store } = await openTestLog();
      for (let n = 0; n < 20; n++) {
        const wanted = moduleOf(n);
        const answer = await log.lookup(wanted.modulePath, wanted.version, context);
        expect(answer).toMatchObject({ cache: "miss", immutable: false });
        const { id, text, tree } = lookupOf(answer);
        expect({ id, text }).toEqual({ id: n, text: textOf(n) });
        expect(tree.size).toBe(n + 1);
        const hashes = await store.treeHashes(ownLogName, recordProofIndexes(tree.size, id));
        checkRecord(proveRecord(tree.size, id, hashes), tree, id, recordHash(text));
      }
    });

    it("answers what it has without reading files again", async () => {
      const { log, read } = await openTestLog();
      const first = await log.lookup(modulePath, version, context);
      const second = await log.lookup(modulePath, version, context);
      expect(second.cache).toBe("hit");
      expect(second.bytes).toEqual(first.bytes);
      expect(read).toEqual([`${modulePath}@${version}`]);
    });

    it("keeps the hashes it had first, also after a restart", async () => {
      const store = await openMemorySumStore();
      const before = await openTestLog({ store });
      await before.log.lookup(modulePath, version, context);
      await before.log.close();
      const { log } = await openTestLog({ store, readFiles: async () => hashesOf(modulePath, version, "moved") });
      expect(lookupOf(await log.lookup(modulePath, version, context)).text).toBe(textOf(0));
      expect(await log.findHash(modulePath, version, "zip")).toBe(hashesOf(modulePath, version).zip);
    });

    it("reads its files once for all who ask at the same time", async () => {
      const { log, read } = await openTestLog();
      const answers = await Promise.all(Array.from({ length: 100 }, () => log.lookup(modulePath, version, context)));
      expect(new Set(answers.map((answer) => lookupOf(answer).id))).toEqual(new Set([0]));
      expect(read).toHaveLength(1);
    });

    it("has one record per version for ten thousand who ask at the same time, in few transactions", async () => {
      const store = await openMemorySumStore();
      const appends: number[] = [];
      const counting: SumStore = {
        ...passOn(store),
        appendRecords: (name, records) => {
          appends.push(records.length);
          return store.appendRecords(name, records);
        },
      };
      const { log, read, events } = await openTestLog({ store: counting });
      const answers = await Promise.all(
        Array.from({ length: 10_000 }, async (_, index) => {
          const wanted = moduleOf(index % 500);
          const asker = { signal: new AbortController().signal, client: "test" };
          const { id, text, tree } = lookupOf(await log.lookup(wanted.modulePath, wanted.version, asker));
          expect(tree.size).toBeGreaterThan(id);
          expect(text).toBe(textOf(index % 500));
          return id;
        }),
      );
      expect(new Set(answers).size).toBe(500);
      expect(read).toHaveLength(500);
      expect((await auditLog(store)).texts).toHaveLength(500);
      expect(appends.length).toBeLessThan(20);
      expect(events.of("sum_appended").reduce((sum, { records }) => sum + records, 0)).toBe(500);
      expect(events.of("sum_appended").at(-1)).toMatchObject({ log: ownLogName, size: 500 });
    });

    it("fails as its files do, and tries again when it is asked again", async () => {
      const failures = ["not_found", "upstream_failed", "integrity"] as const;
      const left = [...failures];
      const { log } = await openTestLog({
        readFiles: async () => {
          const code = left.shift();
          if (code !== undefined) throw new SluiceError(code, "no");
          return hashesOf(modulePath, version);
        },
      });
      for (const code of failures)
        await expect(log.lookup(modulePath, version, context)).rejects.toMatchObject({ code });
      expect(lookupOf(await log.lookup(modulePath, version, context)).id).toBe(0);
    });

    it("goes on without the client that went away", async () => {
      const files = Promise.withResolvers<{ mod: H1; zip: H1 }>();
      const { log, store } = await openTestLog({ readFiles: () => files.promise });
      const leaving = new AbortController();
      const left = log.lookup(modulePath, version, { signal: leaving.signal, client: "leaving" });
      const staying = log.lookup(modulePath, version, context);
      leaving.abort();
      await expect(left).rejects.toMatchObject({ code: "cancelled" });
      files.resolve(hashesOf(modulePath, version));
      expect(lookupOf(await staying).id).toBe(0);
      expect((await store.logTree(ownLogName)).size).toBe(1);
    });
  });

  describe("asked for a public version", () => {
    it("does not have it, and says what to do", async () => {
      const { log, read, store } = await openTestLog();
      await expect(log.lookup(publicModule.modulePath, publicModule.version, context)).rejects.toMatchObject({
        code: "not_found",
        message: expect.stringMatching(/^not found: rsc\.io\/quote@v1\.5\.2: it is public.*vouch_public.*GONOSUMDB/),
      });
      expect(read).toEqual([]);
      expect((await store.logTree(ownLogName)).size).toBe(0);
    });

    it("copies both lines of the proven public record when it vouches for it", async () => {
      const { log, read } = await openTestLog({ lookupPublic: async () => ({ id: 12_345_678, text: publicText }) });
      const answer = await log.lookup(publicModule.modulePath, publicModule.version, context);
      expect(lookupOf(answer)).toMatchObject({ id: 0, text: publicText });
      expect(read).toEqual([]);
    });

    it.each([
      ["lacks a line", publicText.slice(0, publicText.indexOf("\n") + 1)],
      ["is of another version", publicText.replaceAll("v1.5.2", "v1.5.3")],
      ["is of another module", publicText.replaceAll("rsc.io/quote", "rsc.io/quota")],
    ])("takes no record that %s", async (_, text) => {
      const { log, store } = await openTestLog({ lookupPublic: async () => ({ id: 1, text }) });
      await expect(log.lookup(publicModule.modulePath, publicModule.version, context)).rejects.toMatchObject({
        code: "integrity",
      });
      expect((await store.logTree(ownLogName)).size).toBe(0);
    });

    it("fails as the public log does", async () => {
      const { log } = await openTestLog({
        lookupPublic: () => Promise.reject(new SluiceError("upstream_failed", "the public log is away")),
      });
      await expect(log.lookup(publicModule.modulePath, publicModule.version, context)).rejects.toMatchObject({
        code: "upstream_failed",
      });
    });

    it("never asks the public log for a private one", async () => {
      const asked: string[] = [];
      const { log } = await openTestLog({
        lookupPublic: async (path) => {
          asked.push(path);
          return { id: 1, text: publicText };
        },
      });
      await log.lookup(modulePath, version, context);
      expect(asked).toEqual([]);
    });

    it("answers what it has, whether it vouches for new ones or not", async () => {
      const store = await openMemorySumStore();
      const before = await openTestLog({ store, lookupPublic: async () => ({ id: 1, text: publicText }) });
      await before.log.lookup(publicModule.modulePath, publicModule.version, context);
      const { log } = await openTestLog({ store });
      expect(lookupOf(await log.lookup(publicModule.modulePath, publicModule.version, context)).text).toBe(publicText);
    });
  });

  describe("asked for tiles", () => {
    it("has every tile of its tree, in every width, and none beyond", async () => {
      const { log, store } = await filledLog(300);
      const { hashes, texts } = await auditLog(store);
      for (const height of [1, 2, 8, 10]) {
        for (const tile of newTiles(height, 0, 300)) {
          for (let width = 1; width <= tile.width; width++) {
            const expected = Buffer.concat(
              tileHashIndexes({ ...tile, width }).map((i) => hashes[i] ?? new Uint8Array()),
            );
            expect(expected.equals(await bytesOf(log, { ...tile, width })), tilePath({ ...tile, width })).toBe(true);
          }
          if (tile.width < 2 ** height) await expectNoTile(log, { ...tile, width: tile.width + 1 });
        }
        await expectNoTile(log, { height, level: 0, index: Math.ceil(300 / 2 ** height), width: 1 });
        await expectNoTile(log, { height, level: 9, index: 0, width: 1 });
        await expectNoTile(log, { height, level: -1, index: Math.ceil(300 / 2 ** height), width: 1 });
      }
      const data = await bytesOf(log, { height: 8, level: -1, index: 1, width: 40 });
      expect(data.toString()).toBe(
        texts
          .slice(256, 296)
          .map((text) => `${text}\n`)
          .join(""),
      );
      await expectNoTile(log, { height: 8, level: -1, index: 1, width: 45 });
      await expectNoTile(log, { height: 11, level: 0, index: 0, width: 1 });
    });

    it("has tiles that prove themselves in the signed tree", async () => {
      const { log } = await filledLog(600);
      const tree = treeOfNote((await log.latest(context)).bytes ?? new Uint8Array());
      let records = 0;
      for (const tile of newTiles(8, 0, 600)) {
        const plan = planTileCheck(tree, tile);
        const proven = plan.verify(await Promise.all(plan.tiles.map((needed) => bytesOf(log, needed))));
        if (tile.level === 0) records += checkDataTile(await bytesOf(log, { ...tile, level: -1 }), proven).length;
      }
      expect(records).toBe(600);
    });

    it("never changes one that it has answered", async () => {
      const { log } = await openTestLog();
      const seen = new Map<Tile, Buffer>();
      for (let size = 0; size < 520; size++) {
        const { modulePath, version } = moduleOf(size);
        await log.lookup(modulePath, version, context);
        for (const tile of newTiles(8, size, size + 1)) {
          seen.set(tile, await bytesOf(log, tile));
          if (tile.level === 0) seen.set({ ...tile, level: -1 }, await bytesOf(log, { ...tile, level: -1 }));
        }
      }
      for (const [tile, bytes] of seen) expect(bytes.equals(await bytesOf(log, tile)), tilePath(tile)).toBe(true);
      expect(seen.size).toBe(2 * 520 + 2);
    });

    it("says that they are the same for ever", async () => {
      const { log } = await filledLog(3);
      expect(await log.tile({ height: 8, level: 0, index: 0, width: 2 }, context)).toMatchObject({
        immutable: true,
        size: 64,
      });
    });
  });

  describe("told of what was served", () => {
    it("takes private versions in, in order, with nobody waiting", async () => {
      const { log, store, read } = await openTestLog();
      for (let n = 0; n < 50; n++) noteServed(log, 49 - n);
      noteServed(log, 49);
      log.noteServed(publicModule.modulePath, publicModule.version);
      expect(read.length).toBeLessThan(50);
      await log.settled();
      expect((await auditLog(store)).texts).toEqual(Array.from({ length: 50 }, (_, n) => textOf(49 - n)));
      expect(read).toHaveLength(50);
    });

    it("keeps their order when files come in another", async () => {
      const { log, store } = await openTestLog({
        readFiles: async (path, version) => {
          if (version === moduleOf(0).version) for (let turn = 0; turn < 50; turn++) await Promise.resolve();
          return hashesOf(path, version);
        },
      });
      for (let n = 0; n < 5; n++) noteServed(log, n);
      await log.settled();
      expect((await auditLog(store)).texts).toEqual(Array.from({ length: 5 }, (_, n) => textOf(n)));
    });

    it("reads no files of what it has", async () => {
      const { log, read } = await filledLog(3);
      const before = read.length;
      for (let n = 0; n < 3; n++) noteServed(log, n);
      await log.settled();
      expect(read).toHaveLength(before);
    });

    it("lets one that failed enter when it is served again", async () => {
      let isAway = true;
      const { log, store } = await openTestLog({
        readFiles: async (path, version) => {
          if (isAway && version === moduleOf(1).version) throw new SluiceError("upstream_failed", "away");
          return hashesOf(path, version);
        },
      });
      for (const n of [0, 1, 2]) noteServed(log, n);
      await log.settled();
      expect((await auditLog(store)).texts).toEqual([textOf(0), textOf(2)]);
      isAway = false;
      for (const n of [0, 1, 2]) noteServed(log, n);
      await log.settled();
      expect((await auditLog(store)).texts).toEqual([textOf(0), textOf(2), textOf(1)]);
    });

    it("tells operators when it cannot be written, and goes on", async () => {
      const store = await openMemorySumStore();
      const { log, events } = await openTestLog({ store: failing(store, "appendRecords") });
      noteServed(log, 0);
      await log.settled();
      expect(events.of("store_failed")).toMatchObject([{ operation: "append", error: { code: "storage_failed" } }]);
      noteServed(log, 0);
      await log.settled();
      expect(events.of("store_failed")).toHaveLength(2);
    });

    it("does not remember more than it can hold", async () => {
      const { log, read } = await openTestLog();
      for (let n = 0; n < 20_000; n++) noteServed(log, n);
      await log.settled();
      expect(read.length).toBeGreaterThanOrEqual(10_000);
      expect(read.length).toBeLessThan(10_100);
      noteServed(log, 19_999);
      await log.settled();
      expect(await log.findHash(moduleOf(19_999).modulePath, moduleOf(19_999).version, "mod")).toBeDefined();
    });

    it("ends what is under way when it is closed, and begins nothing new", async () => {
      const { log, read, store } = await openTestLog();
      for (let n = 0; n < 1000; n++) noteServed(log, n);
      await log.close();
      const { texts } = await auditLog(store);
      expect(texts.length).toBe(read.length);
      expect(texts.length).toBeLessThan(1000);
      noteServed(log, 2000);
      await log.settled();
      expect(read).toHaveLength(texts.length);
    });
  });

  it("says what hash a version has", async () => {
    const { log } = await filledLog(1);
    expect(await log.findHash(modulePath, version, "mod")).toBe(hashesOf(modulePath, version).mod);
    expect(await log.findHash(modulePath, version, "zip")).toBe(hashesOf(modulePath, version).zip);
    expect(await log.findHash(modulePath, parseVersion("v9.0.0"), "zip")).toBeUndefined();
  });

  it("signs with all keys, so that clients with either go on while keys are changed", async () => {
    const [old, next] = [ownLogSigner(0), ownLogSigner(1)];
    const { log } = await openTestLog({ signers: [old, next] });
    const answer = await log.lookup(modulePath, version, context);
    expect(lookupOf(answer, old)).toEqual(lookupOf(answer, next));
    const { bytes = new Uint8Array() } = await log.latest(context);
    const { text, signedBy } = openNote(
      bytes,
      [old, next].map(({ verifierKey }) => parseVerifierKey(verifierKey)),
    );
    expect(signedBy).toHaveLength(2);
    expect(parseTree(text).size).toBe(1);
  });

  describe("with a store that fails", () => {
    it("answers nothing that is not committed", async () => {
      const store = await openMemorySumStore();
      const { log } = await openTestLog({ store: failing(store, "appendRecords") });
      await expect(log.lookup(modulePath, version, context)).rejects.toMatchObject({ code: "storage_failed" });
      expect(treeOfNote((await log.latest(context)).bytes ?? new Uint8Array()).size).toBe(0);
    });

    it("fails with it, and goes on when it is well again", async () => {
      const store = await openMemorySumStore();
      const sick = { ...passOn(store), ...failing(store, "appendRecords") };
      const { log } = await openTestLog({ store: sick });
      const failed = await Promise.allSettled([0, 1, 2].map((n) => lookup(log, n)));
      expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
      Object.assign(sick, passOn(store));
      expect((await Promise.all([0, 1, 2].map((n) => lookup(log, n)))).map(({ id }) => id)).toEqual([0, 1, 2]);
    });
  });

  describe("whose store was put back to an older state, or to another one", () => {
    it.each([
      ["shorter", [0, 1]],
      ["as long", [0, 1, 7]],
      ["longer", [0, 1, 7, 8, 9]],
    ])("signs nothing that does not continue what it signed (%s)", async (_, records) => {
      const before = await openMemorySumStore();
      const changing = passOn(before);
      const { log } = await openTestLog({ store: changing });
      for (const n of [0, 1, 2]) await lookup(log, n);
      const other = await openTestLog();
      for (const n of records) await lookup(other.log, n);
      Object.assign(changing, passOn(other.store));
      const refused = { code: "storage_failed", message: expect.stringContaining("do not continue them") };
      await expect(log.latest(context)).rejects.toMatchObject(refused);
      await expect(lookup(log, 0)).rejects.toMatchObject(refused);
      await expect(lookup(log, 5)).rejects.toMatchObject(refused);
      Object.assign(changing, passOn(before));
      expect((await lookup(log, 2)).id).toBe(2);
    });
  });

  it("signs trees of which each continues the one before, whoever asks when", async () => {
    const { log, store } = await openTestLog();
    const trees = await Promise.all(
      Array.from({ length: 400 }, async (_, n) => {
        await new Promise<void>((resolve) => void setImmediate(resolve));
        return n % 3 === 0
          ? treeOfNote((await log.latest(context)).bytes ?? new Uint8Array())
          : (await lookup(log, n)).tree;
      }),
    );
    const { hashes } = await auditLog(store);
    for (const { size, hash } of trees) expect(Buffer.compare(treeHashOfSize(hashes, size), hash)).toBe(0);
  });

  async function filledLog(size: number) {
    const subject = await openTestLog();
    await Promise.all(Array.from({ length: size }, (_, n) => lookup(subject.log, n)));
    return subject;
  }

  async function lookup(log: OwnLog, n: number) {
    const { modulePath, version } = moduleOf(n);
    return lookupOf(await log.lookup(modulePath, version, context));
  }

  function noteServed(log: OwnLog, n: number): void {
    const { modulePath, version } = moduleOf(n);
    log.noteServed(modulePath, version);
  }

  function textOf(n: number): string {
    const { modulePath, version } = moduleOf(n);
    return formatRecord(modulePath, version, hashesOf(modulePath, version));
  }

  async function bytesOf(log: OwnLog, tile: Tile): Promise<Buffer> {
    return Buffer.from((await log.tile(tile, context)).bytes ?? new Uint8Array());
  }

  async function expectNoTile(log: OwnLog, tile: Tile): Promise<void> {
    await expect(log.tile(tile, context)).rejects.toMatchObject({ code: "not_found" });
  }

  /** A copy whose methods can be replaced. */
  function passOn(store: SumStore): SumStore {
    return {
      name: store.name,
      tree: (database) => store.tree(database),
      setTree: (database, tree, previousSize) => store.setTree(database, tree, previousSize),
      addFork: (database, evidence) => store.addFork(database, evidence),
      forks: (database) => store.forks(database),
      forgetTree: (database) => store.forgetTree(database),
      logTree: (name) => store.logTree(name),
      findRecord: (name, path, wanted) => store.findRecord(name, path, wanted),
      appendRecords: (name, records) => store.appendRecords(name, records),
      records: (name, start, end) => store.records(name, start, end),
      treeHashes: (name, indexes) => store.treeHashes(name, indexes),
      overview: () => store.overview(),
      check: () => store.check(),
      close: () => store.close(),
    };
  }

  function failing(store: SumStore, operation: "appendRecords"): SumStore {
    return { ...passOn(store), [operation]: () => Promise.reject(new SluiceError("storage_failed", "no space")) };
  }
});
