import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { H1 } from "../../src/protocol/brand.ts";
import { type ModuleRequest, parseRequest } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import type { BlobStore, FileFacts, Ledger, ModuleStore, StoredFile } from "../../src/core/ports.ts";
import { buildModules, buildZip, incompressible } from "../support/fixture-modules.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import type { RecordedEvents } from "../support/recorded-events.ts";

/** A module store and what it stands on, so that a test can break that. */
export interface ModuleStoreUnderTest {
  readonly store: ModuleStore;
  /** As the store sees them, past the store. */
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly events: RecordedEvents;
  readonly clock: ManualClock;
  /** Another module store over the same blobs, with nothing in memory; with an empty ledger when asked for. */
  readonly restart: (options?: { readonly loseLedger: boolean }) => Promise<ModuleStoreUnderTest>;
  readonly remove: () => Promise<void>;
}

const modulePath = "example.com/Upper/Case";
const base = "example.com/!upper/!case/@v/";
const good = buildModules([
  { path: modulePath, version: "v1.0.0", files: { "a.go": "package a\n" }, goMod: `module ${modulePath}\n` },
]);

export const infoKey = `${base}v1.0.0.info`;
export const modKey = `${base}v1.0.0.mod`;
export const zipKey = `${base}v1.0.0.zip`;
export const listKey = `${base}list`;
export const source = "https://upstream.example";

/** What every `ModuleStore` promises. */
export function moduleStoreSuite(name: string, open: () => Promise<ModuleStoreUnderTest>): void {
  describe(`${name} as a module store`, () => {
    let subject: ModuleStoreUnderTest;

    beforeEach(async () => {
      subject = await open();
    });

    afterEach(async () => {
      await subject.store.close();
      await subject.remove();
    });

    async function restart(options?: { readonly loseLedger: boolean }): Promise<ModuleStoreUnderTest> {
      subject = await subject.restart(options);
      return subject;
    }

    const files = [infoKey, modKey, zipKey].map((key) => ({ key, kind: key.slice(key.lastIndexOf(".")) }));

    it("keeps records that are outdated, as never confirmed, and leaves the others and all files as they are", async () => {
      const { store, clock } = subject;
      const list = parseRequest(`/${listKey}`);
      const other = parseRequest("/example.com/other/@v/list");
      const late = parseRequest(`/${base}main.info`);
      await store.keepRecord(list, Buffer.from("v1.0.0\n"), source);
      await store.keepRecord(other, Buffer.from("v1.0.0\n"), source);
      const confirmedBy = clock.now();
      await clock.advance(1);
      await store.keepRecord(late, Buffer.from('{"Version":"v1.0.0"}'), source);
      const which = { isMeant: (key: string) => key.startsWith(base), confirmedBy };
      expect(await store.outdateRecords("example.com", which)).toBe(1);
      expect(await store.outdateRecords("example.com", which)).toBe(0);
      const expectOutdated = async ({ store }: ModuleStoreUnderTest): Promise<void> => {
        const record = await store.readRecord(list);
        expect([record?.checkedAt, Buffer.from(record?.bytes ?? []).toString()]).toStrictEqual([0, "v1.0.0\n"]);
        expect((await store.readRecord(other))?.checkedAt).toBe(confirmedBy);
        expect((await store.readRecord(late))?.checkedAt).toBe(confirmedBy + 1);
      };
      await expectOutdated(subject);
      await expectOutdated(await restart());
    });

    it("knows nothing at first", async () => {
      const { store } = subject;
      expect(await store.read(requestFor(zipKey))).toBeUndefined();
      expect(await store.readRecord(requestFor(listKey))).toBeUndefined();
      expect(store.peek(zipKey)).toBeUndefined();
      expect(await store.versions(parseModulePath(modulePath))).toEqual([]);
      await expect(store.check()).resolves.toBeUndefined();
      expect(subject.events.all).toEqual([]);
    });

    describe.each(files)("a kept $kind", ({ key }) => {
      it("is answered, now and after a restart, with what is known of it", async () => {
        const kept = await keepGood(subject, key);
        const expected = { key, size: contentOf(key).length, sha256: sha256(contentOf(key)), source };
        expect(kept).toMatchObject(expected);
        expect(await readAll(kept)).toEqual(contentOf(key));
        const { store, ledger } = await restart();
        const read = await store.read(requestFor(key));
        expect(read).toMatchObject(expected);
        expect(read && (await readAll(read))).toEqual(contentOf(key));
        expect(await ledger.facts(key)).toMatchObject({ ...expected, h1: h1Of(key, contentOf(key)) });
        expect(subject.events.of("file_stored")).toMatchObject([{ key, source }]);
      });

      it("is the first one that was kept", async () => {
        await keepGood(subject, key);
        const other = await subject.store.keep(
          requestFor(key),
          { bytes: Buffer.from("other") },
          factsOf(key, Buffer.from("other")),
        );
        expect(await readAll(other)).toEqual(contentOf(key));
        expect(other.source).toBe(source);
      });

      it("is one of those kept at once, the same for all", async () => {
        const { store } = subject;
        const contents = Array.from({ length: 8 }, (_, index) => variantOf(key, index));
        const kept = await Promise.all(
          contents.map((bytes) => store.keep(requestFor(key), { bytes }, factsOf(key, bytes))),
        );
        const answers = new Set(kept.map((file) => file.sha256));
        expect(answers.size).toBe(1);
        const again = await (await restart()).store.read(requestFor(key));
        expect([...answers]).toEqual([again?.sha256]);
      });

      it("is unverified for as long as nobody confirms it", async () => {
        const facts = { ...factsOf(key, contentOf(key)), unverified: "the log did not answer" };
        await subject.store.keep(requestFor(key), { bytes: contentOf(key) }, facts);
        const h1 = h1Of(key, contentOf(key));
        const { store, clock } = await restart();
        const since = clock.now();
        const expected = h1 === undefined ? [] : [{ key, h1, reason: "the log did not answer", since, source }];
        expect(await store.listUnverified("", 10)).toEqual(expected);
        expect(await store.countUnverified()).toBe(expected.length);
        expect(await store.unverified(key)).toEqual(expected[0]);
        expect(await store.listUnverified(key, 10)).toEqual([]);
        await store.confirm(key);
        expect(await store.countUnverified()).toBe(0);
        expect(await store.read(requestFor(key))).toBeDefined();
      });

      it("is confirmed when it comes again and is, after it was lost", async () => {
        const facts = factsOf(key, contentOf(key));
        await subject.store.keep(requestFor(key), { bytes: contentOf(key) }, { ...facts, unverified: "x" });
        await subject.blobs.delete(key);
        const { store } = await restart();
        await store.keep(requestFor(key), { bytes: contentOf(key) }, facts);
        expect(await store.countUnverified()).toBe(0);
      });

      it("is gone when it was rejected, and another may come", async () => {
        const { store, ledger } = subject;
        await keepGood(subject, key);
        await ledger.addUnverified({ key, h1: hashGoMod(contentOf(key)), reason: "x", since: 1 });
        await store.reject(requestFor(key), { reason: "the log says another hash" });
        expect(subject.events.of("file_corrupt")).toMatchObject([{ key, reason: "the log says another hash" }]);
        expect(store.peek(key)).toBeUndefined();
        expect(await store.isKnown(requestFor(key))).toBe(false);
        expect(await ledger.countUnverified()).toBe(0);
        expect((await Array.fromAsync(subject.blobs.list(""))).filter((left) => left.startsWith(key))).toEqual([]);
        expect(await store.read(requestFor(key))).toBeUndefined();
        const other = variantOf(key, 1);
        const kept = await store.keep(requestFor(key), { bytes: other }, factsOf(key, other));
        expect(await readAll(kept)).toEqual(other);
        const read = await (await restart()).store.read(requestFor(key));
        expect(read && (await readAll(read))).toEqual(other);
      });

      it("is gone when it was rejected while it was read", async () => {
        await keepGood(subject, key);
        const { store } = await restart();
        const reading = store.read(requestFor(key));
        await store.reject(requestFor(key), { reason: "the log says another hash" });
        await reading;
        expect(store.peek(key)).toBeUndefined();
        expect(await store.read(requestFor(key))).toBeUndefined();
      });

      it("stays when it is another than the one that is rejected", async () => {
        const { store } = subject;
        const [wrong, right] = [variantOf(key, 1), contentOf(key)];
        const h1 = hashGoMod(wrong);
        await store.keep(requestFor(key), { bytes: right }, { ...factsOf(key, right), h1: hashGoMod(right) });
        expect(await store.reject(requestFor(key), { h1, reason: "the log says another hash" })).toBe(false);
        expect(await store.read(requestFor(key))).toMatchObject({ h1: hashGoMod(right) });
        expect(await store.reject(requestFor(key), { h1: hashGoMod(right), reason: "wrong as well" })).toBe(true);
        expect(await store.read(requestFor(key))).toBeUndefined();
      });

      it("may be rejected when it is not there", async () => {
        await subject.store.reject(requestFor(key), { reason: "nothing" });
        expect(await subject.store.read(requestFor(key))).toBeUndefined();
      });

      it("comes from a staging file, which is gone then", async () => {
        const { store } = subject;
        const file = await store.stagingFile();
        await writeFile(file, contentOf(key));
        const kept = await store.keep(
          requestFor(key),
          { file, size: contentOf(key).length },
          factsOf(key, contentOf(key)),
        );
        expect(await readAll(kept)).toEqual(contentOf(key));
        await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
      });

      it("is streamed, whole and in parts", async () => {
        const kept = await keepGood(subject, key);
        const content = contentOf(key);
        expect(await buffer(kept.stream())).toEqual(content);
        expect(await buffer(kept.stream({ start: 2, end: 9 }))).toEqual(content.subarray(2, 9));
        expect(await buffer(kept.stream({ start: content.length - 1, end: content.length }))).toEqual(
          content.subarray(-1),
        );
        kept.discard();
      });

      it("is refused when its facts are of something else", async () => {
        const facts = { ...factsOf(key, contentOf(key)), sha256: sha256(Buffer.from("other")) };
        await expect(subject.store.keep(requestFor(key), { bytes: contentOf(key) }, facts)).rejects.toMatchObject({
          code: "internal",
        });
        expect(await subject.store.read(requestFor(key))).toBeUndefined();
      });

      it.each([
        ["with a flipped bit", (content: Buffer) => flipBit(content)],
        ["cut short", (content: Buffer) => content.subarray(0, -1)],
        ["empty", () => Buffer.alloc(0)],
        ["full of zeros", (content: Buffer) => Buffer.alloc(content.length)],
      ])("%s is set aside and never answered, and the good one takes its place", async (_, damage) => {
        await keepGood(subject, key);
        await overwrite(subject.blobs, key, damage(Buffer.from(contentOf(key))));
        const { store, blobs, events } = await restart();
        events.clear();
        expect(await store.read(requestFor(key))).toBeUndefined();
        expect(store.peek(key)).toBeUndefined();
        expect(events.of("file_corrupt")).toMatchObject([{ key, reason: expect.stringMatching(/recorded/) }]);
        expect(await blobs.stat(key)).toBeUndefined();
        const again = await keepGood(subject, key);
        expect(await readAll(again)).toEqual(contentOf(key));
        expect(events.of("integrity_failed")).toEqual([]);
        const read = await (await restart()).store.read(requestFor(key));
        expect(read && (await readAll(read))).toEqual(contentOf(key));
      });

      it("that was deleted is simply kept anew", async () => {
        await keepGood(subject, key);
        await subject.blobs.delete(key);
        const { store, events } = await restart();
        expect(await store.read(requestFor(key))).toBeUndefined();
        await keepGood(subject, key);
        expect(await (await restart()).store.read(requestFor(key))).toMatchObject({ sha256: sha256(contentOf(key)) });
        expect(events.of("file_corrupt")).toEqual([]);
      });

      it("is found again when the ledger is lost", async () => {
        await keepGood(subject, key);
        const { store, ledger, clock } = await restart({ loseLedger: true });
        const read = await store.read(requestFor(key));
        expect(read).toMatchObject({ source: "adopted", sha256: sha256(contentOf(key)) });
        expect(await ledger.facts(key)).toEqual({
          ...factsOf(key, contentOf(key)),
          key,
          source: "adopted",
          firstSeenAt: clock.now(),
        });
        // Whoever put it there may have put anything there.
        const h1 = h1Of(key, contentOf(key));
        const unverified = h1 === undefined ? [] : [{ key, h1, reason: "adopted", since: clock.now() }];
        expect(await ledger.listUnverified("", 10)).toEqual(unverified);
      });

      it("that stands in the way broken, without facts, is replaced", async () => {
        await subject.blobs.create(key, { bytes: Buffer.from("\0\0\0") });
        const kept = await keepGood(subject, key);
        expect(await readAll(kept)).toEqual(contentOf(key));
        expect(subject.events.of("file_corrupt")).toMatchObject([{ key }]);
      });
    });

    describe("a kept zip", () => {
      it("has its .ziphash beside it, 47 bytes without a line end", async () => {
        await keepGood(subject, zipKey);
        const hash = await readBlob(subject.blobs, `${zipKey}hash`);
        expect(hash).toHaveLength(47);
        expect(hash).toBe(h1Of(zipKey, contentOf(zipKey)));
      });
    });

    describe("a record", () => {
      const request = parseRequest(`/${listKey}`);

      it("is the last that was kept, with the time", async () => {
        const { clock } = subject;
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        await clock.advance(5000);
        const kept = await subject.store.keepRecord(request, Buffer.from("v1.0.0\nv1.1.0\n"), "two");
        expect(kept).toMatchObject({ key: listKey, source: "two", checkedAt: clock.now() });
        expect(await subject.store.readRecord(request)).toEqual(kept);
        const { store } = await restart();
        expect(await store.readRecord(request)).toEqual(kept);
        expect(String(kept.bytes)).toBe("v1.0.0\nv1.1.0\n");
      });

      it("that is confirmed unchanged gets the new time", async () => {
        const { clock } = subject;
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        await clock.advance(5000);
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        expect(await (await restart()).store.readRecord(request)).toMatchObject({ checkedAt: clock.now() });
      });

      it("nobody confirmed is not fresh", async () => {
        await subject.blobs.replace(listKey, Buffer.from("v1.0.0\n"));
        expect(await subject.store.readRecord(request)).toMatchObject({ source: "adopted", checkedAt: 0 });
      });

      it("whose write was cut off by a crash is the one before, not fresh", async () => {
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        await subject.ledger.setFreshness({
          key: listKey,
          sha256: sha256(Buffer.from("new")),
          source: "two",
          checkedAt: 9,
        });
        const { store, events } = await restart();
        const record = await store.readRecord(request);
        expect(String(record?.bytes)).toBe("v1.0.0\n");
        expect(record?.checkedAt).toBe(0);
        expect(events.of("file_corrupt")).toEqual([]);
      });

      it.each([
        ["with a flipped bit", listKey, Buffer.from("v1.0.1\n")],
        ["cut short", listKey, Buffer.from("v1.")],
        ["with zeros at its end", listKey, Buffer.from("v1.0.0\n\0\0")],
      ])("%s is set aside and never answered", async (_, key, damaged) => {
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        await overwrite(subject.blobs, key, damaged);
        const { store, events, blobs } = await restart();
        expect(await store.readRecord(request)).toBeUndefined();
        expect(events.of("file_corrupt")).toMatchObject([{ key }]);
        expect(await blobs.stat(key)).toBeUndefined();
        await store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        expect(await (await restart()).store.readRecord(request)).toBeDefined();
      });

      it.each([
        ["a list torn by a crash, as go may leave it", listKey, "v1.0.0\n\0\0\0"],
        ["a latest version that is no JSON", "example.com/!upper/!case/@latest", '{"Version":"v1.0.0"'],
        ["a branch that is no JSON", `${base}main.info`, "<html>"],
        ["an empty query answer", `${base}main.info`, ""],
      ])("found in the store is refused when it is %s", async (_, key, content) => {
        await subject.blobs.replace(key, Buffer.from(content));
        expect(await subject.store.readRecord(requestFor(key))).toBeUndefined();
        expect(subject.events.of("file_corrupt")).toMatchObject([{ key }]);
      });

      it("that was dropped is gone", async () => {
        await subject.store.keepRecord(request, Buffer.from("v1.0.0\n"), "one");
        await subject.store.dropRecord(request);
        expect(await subject.store.readRecord(request)).toBeUndefined();
        expect(await (await restart()).store.readRecord(request)).toBeUndefined();
        await subject.store.dropRecord(request);
      });

      it("is no file, and a file is no record", async () => {
        await expect(async () => subject.store.read(request)).rejects.toMatchObject({ code: "internal" });
        const bytes = Buffer.from("x");
        await expect(async () => subject.store.keep(request, { bytes }, factsOf(listKey, bytes))).rejects.toMatchObject(
          { code: "internal" },
        );
      });
    });

    describe("a file without facts", () => {
      const brokenRequire = "module example.com/Upper/Case\n\nrequire (\n\texample.com/x master\n)\n";

      it.each([
        ["an old go.mod that today's go refuses to parse", modKey, brokenRequire],
        ["a go.mod of a fork, with another path", modKey, "module example.com/other\n"],
        [
          "an .info with spaces, another order and more fields",
          infoKey,
          '{ "Time": "2020-01-01T00:00:00Z",\n "version": "v1.0.0", "X": 1 }\n',
        ],
      ])("is adopted: %s", async (_, key, content) => {
        await subject.blobs.create(key, { bytes: Buffer.from(content) });
        const read = await subject.store.read(requestFor(key));
        expect(read && String(await readAll(read))).toBe(content);
        expect(subject.events.all).toEqual([]);
      });

      const zip = contentOf(zipKey);
      it.each([
        ["an empty go.mod", modKey, Buffer.alloc(0)],
        ["a go.mod with zeros at its end", modKey, Buffer.from("module example.com/Upper/Case\n\0\0\0")],
        ["an .info of another version", infoKey, Buffer.from('{"Version":"v1.0.1"}')],
        ["an .info that is cut", infoKey, Buffer.from('{"Version":"v1.0.0"')],
        ["a zip that is cut", zipKey, zip.subarray(0, -10)],
        ["a zip with a flipped bit in a file", zipKey, flipContent(Buffer.from(zip))],
        ["a zip of another module", zipKey, Buffer.from(buildZip({ "example.com/x@v1.0.0/a.go": "package a\n" }))],
        ["no zip", zipKey, Buffer.from("<html>")],
      ])("is refused: %s", async (_, key, content) => {
        await subject.blobs.create(key, { bytes: content });
        expect(await subject.store.read(requestFor(key))).toBeUndefined();
        expect(subject.events.of("file_corrupt")).toMatchObject([{ key, reason: expect.stringMatching(/./) }]);
        expect(await subject.blobs.stat(key)).toBeUndefined();
        expect(await subject.ledger.facts(key)).toBeUndefined();
      });

      it.each([
        ["missing", undefined],
        ["empty", ""],
        ["cut", "h1:abc"],
        ["zeros", "\0".repeat(47)],
        ["right, with a line end", `${h1Of(zipKey, zip)}\n`],
      ])("is adopted when it is a zip whose .ziphash is %s", async (_, hash) => {
        await subject.blobs.create(zipKey, { bytes: zip });
        if (hash !== undefined) await subject.blobs.create(`${zipKey}hash`, { bytes: Buffer.from(hash) });
        expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ source: "adopted" });
        expect((await readBlob(subject.blobs, `${zipKey}hash`))?.trim()).toBe(h1Of(zipKey, zip));
      });

      it("is refused when it is a zip whose .ziphash names other content", async () => {
        await subject.blobs.create(zipKey, { bytes: zip });
        await subject.blobs.create(`${zipKey}hash`, { bytes: Buffer.from(hashGoMod(Buffer.from("other"))) });
        expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
        expect(subject.events.of("file_corrupt")).toMatchObject([
          { key: zipKey, reason: expect.stringContaining("its .ziphash says") },
        ]);
        expect(await Array.fromAsync(subject.blobs.list(""))).toEqual([]);
        await keepGood(subject, zipKey);
        expect(await readBlob(subject.blobs, `${zipKey}hash`)).toBe(h1Of(zipKey, zip));
      });
    });

    describe("versions", () => {
      it("are those whose go.mod is stored, canonical, without pseudo-versions, in order", async () => {
        const versions = [
          "v1.10.0",
          "v1.2.0",
          "v1.2.0-!r!c.1",
          "v2.0.0+incompatible",
          "v0.0.0-20240102030405-abcdef123456",
        ];
        const odd = [
          "v1.3.mod",
          "main.mod",
          "v2.0.0.mod",
          "v1.4.0.info",
          "v1.5.0.zip",
          "v1.6.0.mod.tmp",
          "v1.7.0.lock",
          "list",
          "V1.8.0.mod",
        ];
        for (const name of [...versions.map((version) => `${version}.mod`), ...odd]) {
          await subject.blobs.create(base + name, { bytes: Buffer.from("x") });
        }
        await subject.blobs.create("example.com/!upper/!cases/@v/v9.0.0.mod", { bytes: Buffer.from("x") });
        await subject.blobs.create("example.com/!upper/!case/sub/@v/v9.0.0.mod", { bytes: Buffer.from("x") });
        const listed = await subject.store.versions(parseModulePath(modulePath));
        expect(listed).toEqual(["v1.2.0-RC.1", "v1.2.0", "v1.10.0", "v2.0.0+incompatible"]);
      });
    });

    it("remembers uses in the ledger", async () => {
      const { store, ledger, clock } = subject;
      store.touch(zipKey);
      expect(await ledger.lastUsed(zipKey)).toBe(clock.now());
    });
  });
}

export function requestFor(key: string): ModuleRequest {
  return parseRequest(`/${key}`);
}

/** Of the good file that belongs under the key. */
export function contentOf(key: string): Buffer {
  const content = good.get(key);
  if (content === undefined) throw new Error(`no fixture ${key}`);
  return Buffer.from(content);
}

export function factsOf(key: string, bytes: Uint8Array): Omit<FileFacts, "key" | "firstSeenAt"> {
  return { size: bytes.length, sha256: sha256(bytes), h1: h1Of(key, bytes), source };
}

export function keepGood({ store }: Pick<ModuleStoreUnderTest, "store">, key: string): Promise<StoredFile> {
  return store.keep(requestFor(key), { bytes: contentOf(key) }, factsOf(key, contentOf(key)));
}

/** Valid content for the key that is different for each index, and for no index the good one. */
export function variantOf(key: string, index: number): Buffer {
  if (key.endsWith(".info")) return Buffer.from(`{"Version":"v1.0.0","Time":"202${index}-01-01T00:00:00Z"}`);
  if (key.endsWith(".mod")) return Buffer.from(`module ${modulePath}\n\n// ${index}\n`);
  return Buffer.from(buildZip({ [`${modulePath}@v1.0.0/a.go`]: `package a // ${index}\n` }));
}

/** A zip of the module with `bytes` of content that does not compress. */
export function largeZip(bytes: number): Buffer {
  return Buffer.from(buildZip({ [`${modulePath}@v1.0.0/data`]: incompressible(bytes) }));
}

/** Undefined where a key has none, or where the content is none that could have one. */
export function h1Of(key: string, bytes: Uint8Array): H1 | undefined {
  if (key.endsWith(".mod")) return hashGoMod(bytes);
  if (!key.endsWith(".zip") || !Buffer.from(bytes).toString("latin1").startsWith("PK")) return undefined;
  return hashZip(randomAccess(bytes), { modulePath, version: "v1.0.0" });
}

/** As a failing disk changes a file: past everything that would notice. */
export async function overwrite(blobs: BlobStore, key: string, bytes: Uint8Array): Promise<void> {
  await blobs.delete(key);
  await blobs.create(key, { bytes });
}

export function flipBit(bytes: Buffer): Buffer {
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  return bytes;
}

/** In the packed data of a zip's first file: a bit elsewhere may change nothing that is hashed. */
function flipContent(zip: Buffer): Buffer {
  const at = 30 + zip.readUInt16LE(26) + zip.readUInt16LE(28) + 2;
  zip.writeUInt8(zip.readUInt8(at) ^ 0x10, at);
  return zip;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function readAll(file: StoredFile): Promise<Buffer> {
  return Buffer.from(file.bytes ?? (await buffer(file.stream())));
}

async function readBlob(blobs: BlobStore, key: string): Promise<string | undefined> {
  const blob = await blobs.get(key);
  return blob && Buffer.from(await blob.read()).toString("latin1");
}
