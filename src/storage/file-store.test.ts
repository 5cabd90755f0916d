import { open, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { diskBlobs, openTestStore, type StoreOptions, type TestStore } from "../../test/support/module-stores.ts";
import { openFilesIn } from "../../test/support/open-files.ts";
import { passOnBlobs, passOnLedger } from "../../test/support/pass-on.ts";
import {
  contentOf,
  factsOf,
  h1Of,
  infoKey,
  keepGood,
  largeZip,
  listKey,
  modKey,
  readAll,
  requestFor,
  sha256,
  source,
  variantOf,
  zipKey,
} from "../../test/suites/module-store.ts";
import { buildZip } from "../../test/support/fixture-modules.ts";
import { SluiceError } from "../core/errors.ts";
import type { BlobStore, StoredFile } from "../core/ports.ts";
import type { H1 } from "../protocol/brand.ts";

const mib = 1024 * 1024;
let subject: TestStore;

async function start(options?: StoreOptions): Promise<void> {
  subject = await openTestStore(options);
}

async function restart(): Promise<void> {
  subject = await subject.restart();
}

function fileOf(key: string): string {
  return path.join(subject.folder, "modules", key);
}

async function readStored(key: string): Promise<StoredFile> {
  const file = await subject.store.read(requestFor(key));
  if (file === undefined) throw new Error(`${key} is not stored`);
  return file;
}

afterEach(async () => {
  await subject.store.close();
  await subject.remove();
});

describe("a large file", () => {
  const large = largeZip(3 * mib);
  const last = large.length - 1;

  // Files above 1 MiB are not read whole with so little memory.
  beforeEach(() => start({ memoryBytes: 8 * mib }));

  async function keepLarge() {
    const file = await subject.store.stagingFile();
    await writeFile(file, large);
    return subject.store.keep(requestFor(zipKey), { file, size: large.length }, factsOf(zipKey, large));
  }

  it("is streamed, whole and in parts, as often as somebody wants", async () => {
    for (const file of [await keepLarge(), await readStored(zipKey)]) {
      expect(file).toMatchObject({ size: large.length, sha256: sha256(large), source });
      expect(file.bytes).toBeUndefined();
      expect(same(await buffer(file.stream()), large)).toBe(true);
      expect(same(await buffer(file.stream({ start: 5, end: 2 * mib })), large.subarray(5, 2 * mib))).toBe(true);
      expect(await buffer(file.stream({ start: last, end: last + 1 }))).toEqual(large.subarray(-1));
    }
    expect(subject.store.peek(zipKey)).toBeUndefined();
  });

  it("holds nothing open when nobody streams it, or leaves in the middle", async () => {
    await keepLarge();
    await subject.store.read(requestFor(zipKey));
    const file = await subject.store.read(requestFor(zipKey));
    for await (const chunk of file?.stream() ?? []) {
      expect(chunk).toBeDefined();
      break;
    }
    file?.discard();
    await vi.waitFor(async () => expect(await openFilesIn(path.join(subject.folder, "modules"))).toEqual([]));
  });

  it("with a flipped bit is set aside before its first byte is served", async () => {
    await keepLarge();
    await flipInPlace(fileOf(zipKey), 2 * mib);
    await restart();
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
    expect(subject.events.of("file_corrupt")).toMatchObject([
      { key: zipKey, reason: expect.stringContaining("sha256") },
    ]);
    const [item = ""] = await readdir(path.join(subject.folder, "quarantine"));
    expect((await stat(path.join(subject.folder, "quarantine", item, zipKey))).size).toBe(large.length);
  });

  it("is checked again when it may have changed since it was checked", async () => {
    const kept = await keepLarge();
    const before = await stat(fileOf(zipKey));
    await flipInPlace(fileOf(zipKey), 2 * mib);
    await utimes(fileOf(zipKey), before.atime, before.mtime);
    await expect(buffer(kept.stream({ start: 0, end: 10 }))).rejects.toMatchObject({ code: "integrity" });
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
  });

  it("that rots while it is streamed breaks off before its last block", async () => {
    const stream = (await keepLarge()).stream();
    let received = 0;
    const receive = async (): Promise<void> => {
      for await (const chunk of stream) {
        if (received === 0) await flipInPlace(fileOf(zipKey), last);
        received += Buffer.byteLength(chunk);
      }
    };
    await expect(receive()).rejects.toMatchObject({ code: "integrity", message: expect.stringContaining(zipKey) });
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(large.length);
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
    expect(subject.events.of("file_corrupt")).not.toEqual([]);
    expect(await subject.blobs.stat(zipKey)).toBeUndefined();
  });

  it("that is deleted under way fails its stream and is not stored any more", async () => {
    const kept = await keepLarge();
    await rm(fileOf(zipKey));
    await expect(buffer(kept.stream())).rejects.toMatchObject({ code: "storage_failed" });
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
  });

  it("is adopted, from a copy that is gone then", async () => {
    await subject.blobs.create(zipKey, { bytes: large });
    const read = await subject.store.read(requestFor(zipKey));
    expect(read).toMatchObject({ source: "adopted", sha256: sha256(large), size: large.length });
    expect(await subject.ledger.facts(zipKey)).toMatchObject({ h1: h1Of(zipKey, large) });
    expect(await readdir(path.join(subject.folder, "staging"))).toEqual([]);
  });

  it("is refused for adoption when it is torn, and nothing stays in staging", async () => {
    await subject.blobs.create(zipKey, { bytes: large.subarray(0, -1) });
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
    expect(await readdir(path.join(subject.folder, "staging"))).toEqual([]);
  });
});

describe("memory", () => {
  it("has what was just kept or read, and nothing that is too large for it", async () => {
    await start({ memoryBytes: 8 * mib });
    await keepGood(subject, zipKey);
    expect(subject.store.peek(zipKey)).toMatchObject({ source, sha256: sha256(contentOf(zipKey)) });
    await restart();
    expect(subject.store.peek(zipKey)).toBeUndefined();
    const read = await subject.store.read(requestFor(zipKey));
    expect(subject.store.peek(zipKey)).toBe(read);
    const large = largeZip(mib + 1);
    await subject.blobs.delete(zipKey);
    await subject.ledger.removeFacts(zipKey);
    await restart();
    await subject.store.keep(requestFor(zipKey), { bytes: large }, factsOf(zipKey, large));
    expect(subject.store.peek(zipKey)).toBeUndefined();
  });

  it("has what came from a file once it is asked for again", async () => {
    await start();
    const file = await subject.store.stagingFile();
    await writeFile(file, contentOf(zipKey));
    await subject.store.keep(
      requestFor(zipKey),
      { file, size: contentOf(zipKey).length },
      factsOf(zipKey, contentOf(zipKey)),
    );
    expect(subject.store.peek(zipKey)).toBeUndefined();
    expect((await subject.store.read(requestFor(zipKey)))?.bytes).toEqual(contentOf(zipKey));
    expect(subject.store.peek(zipKey)?.bytes).toEqual(contentOf(zipKey));
  });

  it("of size 0 has nothing, and everything works", async () => {
    await start({ memoryBytes: 0 });
    expect(await readAll(await keepGood(subject, zipKey))).toEqual(contentOf(zipKey));
    expect(subject.store.peek(zipKey)).toBeUndefined();
  });

  it("reads a file once for many who ask at the same time", async () => {
    let reads = 0;
    await start({
      blobs: async (parts) =>
        passOnBlobs(await diskBlobs(parts), (operation) => (reads += Number(operation === "get"))),
    });
    await keepGood(subject, zipKey);
    await restart();
    reads = 0;
    const answers = await Promise.all(Array.from({ length: 50 }, () => subject.store.read(requestFor(zipKey))));
    expect(reads).toBe(1);
    expect(new Set(answers).size).toBe(1);
  });
});

it("a file that comes back different stands when a scrub looks at it before it was kept to the end", async () => {
  let scrub = async (): Promise<void> => undefined;
  await start({
    blobs: async (parts) => {
      const disk = await diskBlobs(parts);
      return {
        ...passOnBlobs(disk, () => undefined),
        async create(key, content) {
          const outcome = await disk.create(key, content);
          await scrub();
          return outcome;
        },
      };
    },
  });
  await keepGood(subject, infoKey);
  await restart();
  const { store, ledger, blobs, events } = subject;
  await blobs.delete(infoKey);
  scrub = async () => {
    const found = await sha256OfStored(blobs, infoKey);
    if (found !== (await ledger.facts(infoKey))?.sha256) await blobs.setAside(infoKey);
  };
  const other = variantOf(infoKey, 3);
  await store.keep(requestFor(infoKey), { bytes: other }, factsOf(infoKey, other));
  expect(await sha256OfStored(blobs, infoKey)).toBe(sha256(other));
  expect(events.of("file_stored")).toHaveLength(2);
});

async function sha256OfStored(blobs: BlobStore, key: string): Promise<string | undefined> {
  const blob = await blobs.get(key);
  return blob && sha256(Buffer.from(await blob.read()));
}

describe.each([modKey, zipKey])("another node's file that was first: %s", (key) => {
  const theirs = { key, ...factsOf(key, variantOf(key, 1)), firstSeenAt: 1 };
  const giveWay = (h1: H1 | undefined, during: () => Promise<void> = () => Promise.resolve()): Promise<void> => {
    if (h1 === undefined) throw new TypeError(`${key} has no h1`);
    const settle = async (): Promise<void> => {
      await during();
      await subject.ledger.removeFacts(key);
      await subject.ledger.addFacts(theirs);
    };
    return subject.store.giveWay(requestFor(key), { reason: "another node was first", h1, settle });
  };

  beforeEach(async () => {
    await start();
    await keepGood(subject, key);
    await restart();
  });

  it("takes the place of ours, which is neither read nor kept meanwhile", async () => {
    const asked = Promise.withResolvers<void>();
    const known = Promise.withResolvers<void>();
    const given = giveWay(h1Of(key, contentOf(key)), () => {
      asked.resolve();
      return known.promise;
    });
    await asked.promise;
    const reading = subject.store.read(requestFor(key));
    const keeping = keepGood(subject, key);
    keeping.catch(() => undefined);
    known.resolve();
    await given;
    expect(await reading).toBeUndefined();
    await expect(keeping).rejects.toMatchObject({ code: "integrity" });
    expect(await subject.store.read(requestFor(key))).toBeUndefined();
    expect(subject.store.peek(key)).toBeUndefined();
    expect(await subject.blobs.stat(key)).toBeUndefined();
    expect(subject.events.of("file_corrupt")).toMatchObject([{ key, reason: "another node was first" }]);
    const kept = await subject.store.keep(requestFor(key), { bytes: variantOf(key, 1) }, theirs);
    expect(await readAll(kept)).toEqual(variantOf(key, 1));
  });

  it("stays where it stands, when ours was taken out before", async () => {
    await subject.ledger.removeFacts(key);
    await subject.blobs.delete(key);
    await subject.blobs.create(key, { bytes: variantOf(key, 1) });
    await giveWay(h1Of(key, contentOf(key)));
    expect(await readAll(await readStored(key))).toEqual(variantOf(key, 1));
    expect(subject.events.of("file_corrupt")).toEqual([]);
  });

  it("takes the place of ours on the disk, of which nothing is known", async () => {
    await subject.ledger.removeFacts(key);
    await giveWay(h1Of(key, contentOf(key)));
    expect(await subject.store.read(requestFor(key))).toBeUndefined();
    expect(await subject.blobs.stat(key)).toBeUndefined();
  });

  it("does not fail who reads while it cannot be recorded", async () => {
    const asked = Promise.withResolvers<void>();
    const given = giveWay(h1Of(key, contentOf(key)), async () => {
      await asked.promise;
      throw new SluiceError("storage_failed", "the disk does not answer");
    });
    const reading = subject.store.read(requestFor(key));
    asked.resolve();
    await expect(given).rejects.toMatchObject({ code: "storage_failed" });
    await reading;
    await giveWay(h1Of(key, contentOf(key)));
    expect(await subject.store.read(requestFor(key))).toBeUndefined();
  });

  it("is left alone when it stands already", async () => {
    await giveWay(h1Of(key, variantOf(key, 1)));
    expect(await readAll(await readStored(key))).toEqual(contentOf(key));
    expect(subject.events.of("file_corrupt")).toEqual([]);
  });
});

describe("a lost file that comes back different", () => {
  beforeEach(async () => {
    await start();
    for (const key of [infoKey, modKey, zipKey]) await keepGood(subject, key);
    for (const key of [infoKey, modKey, zipKey]) await subject.blobs.delete(key);
    await restart();
    subject.events.clear();
  });

  const keepVariant = (key: string, bytes: Buffer) =>
    subject.store.keep(requestFor(key), { bytes }, { ...factsOf(key, bytes), source: "https://other.example" });

  it.each([modKey, zipKey])("with another h1 is refused: %s", async (key) => {
    await expect(keepVariant(key, variantOf(key, 1))).rejects.toMatchObject({
      code: "integrity",
      message: expect.stringContaining("than the one served before"),
    });
    expect(subject.events.of("integrity_failed")).toMatchObject([
      { key, source: "https://other.example", reason: expect.stringContaining(h1Of(key, contentOf(key)) ?? "?") },
    ]);
    expect(await subject.blobs.stat(key)).toBeUndefined();
    expect(subject.store.peek(key)).toBeUndefined();
    expect(await readAll(await keepGood(subject, key))).toEqual(contentOf(key));
  });

  it("with the same h1, packed another way, takes its place, and operators are told", async () => {
    const entries = { "example.com/Upper/Case@v1.0.0/a.go": "package a\n" };
    const repacked = Buffer.from(
      buildZip({ ...entries, "example.com/Upper/Case@v1.0.0/go.mod": "module example.com/Upper/Case\n" }),
    );
    expect(repacked).not.toEqual(contentOf(zipKey));
    expect(h1Of(zipKey, repacked)).toBe(h1Of(zipKey, contentOf(zipKey)));
    await keepVariant(zipKey, repacked);
    expect(subject.events.of("file_corrupt")).toMatchObject([
      { key: zipKey, reason: expect.stringContaining("other bytes") },
    ]);
    expect(await subject.ledger.facts(zipKey)).toMatchObject({
      sha256: sha256(repacked),
      source: "https://other.example",
    });
    await restart();
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ sha256: sha256(repacked) });
  });

  it("takes its place when it is an .info, and operators are told", async () => {
    await keepVariant(infoKey, variantOf(infoKey, 3));
    expect(subject.events.of("file_corrupt")).toMatchObject([{ key: infoKey }]);
    await restart();
    expect(await subject.store.read(requestFor(infoKey))).toMatchObject({ sha256: sha256(variantOf(infoKey, 3)) });
  });

  it("keeps its first source and time when it comes back the same", async () => {
    const before = await subject.ledger.facts(zipKey);
    await subject.clock.advance(5000);
    await keepVariant(zipKey, contentOf(zipKey));
    expect(await subject.ledger.facts(zipKey)).toEqual(before);
  });
});

describe("while the ledger fails", () => {
  let isFailing = false;

  function failIfFailing(): void {
    if (isFailing) throw new SluiceError("storage_failed", "cannot use the ledger: broken for the test");
  }

  beforeEach(() => start({ wrapLedger: (ledger) => passOnLedger(ledger, failIfFailing) }));
  afterEach(() => {
    isFailing = false;
  });

  it("files are kept, checked and answered, and operators are told", async () => {
    await keepGood(subject, zipKey);
    isFailing = true;
    await keepGood(subject, modKey);
    await restart();
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ source: "adopted" });
    expect(await subject.store.read(requestFor(modKey))).toMatchObject({ source: "adopted" });
    expect(subject.events.of("store_failed")).toContainEqual(
      expect.objectContaining({ store: expect.stringContaining("sqlite") }),
    );
    isFailing = false;
    await restart();
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ source });
  });

  it("records are kept and answered, fresh from memory", async () => {
    isFailing = true;
    const kept = await subject.store.keepRecord(requestFor(listKey), Buffer.from("v1.0.0\n"), source);
    expect(await subject.store.readRecord(requestFor(listKey))).toBe(kept);
    await restart();
    expect(await subject.store.readRecord(requestFor(listKey))).toMatchObject({ checkedAt: 0 });
  });
});

describe("while the blobs fail", () => {
  let failing: ReadonlySet<string> = new Set();

  beforeEach(() => start({ blobs: async (parts) => passOnBlobs(await diskBlobs(parts), failIfAsked) }));
  afterEach(() => {
    failing = new Set();
  });

  function failIfAsked(operation: string): void {
    if (failing.has(operation)) {
      throw new SluiceError("storage_failed", `cannot ${operation} "x": broken for the test`, {
        details: { operation },
      });
    }
  }

  it.each(["bytes", "file"])("a file that comes as %s is not kept, but stays in memory", async (kind) => {
    failing = new Set(["create", "replace"]);
    const content = contentOf(zipKey);
    const file = await subject.store.stagingFile();
    if (kind === "file") await writeFile(file, content);
    const keeping = subject.store.keep(
      requestFor(zipKey),
      kind === "file" ? { file, size: content.length } : { bytes: content },
      factsOf(zipKey, content),
    );
    await expect(keeping).rejects.toMatchObject({ code: "storage_failed" });
    expect(subject.events.of("store_failed")).toMatchObject([
      { operation: "create", store: expect.stringContaining("disk:") },
    ]);
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ bytes: content, source });
    await restart();
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
  });

  it("a record stays in memory, and what was before is answered later", async () => {
    await subject.store.keepRecord(requestFor(listKey), Buffer.from("v1.0.0\n"), source);
    failing = new Set(["replace"]);
    const kept = await subject.store.keepRecord(requestFor(listKey), Buffer.from("v1.0.0\nv1.1.0\n"), source);
    expect(await subject.store.readRecord(requestFor(listKey))).toBe(kept);
    expect(subject.events.of("store_failed")).toMatchObject([{ operation: "replace" }]);
    await restart();
    expect(await subject.store.readRecord(requestFor(listKey))).toMatchObject({
      bytes: Buffer.from("v1.0.0\n"),
      checkedAt: 0,
    });
  });

  it("a file that cannot be read is not stored, for now", async () => {
    await keepGood(subject, zipKey);
    await restart();
    failing = new Set(["get"]);
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
    expect(subject.events.of("store_failed")).toMatchObject([{ operation: "get" }]);
    expect(subject.events.of("file_corrupt")).toEqual([]);
    failing = new Set();
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ source });
  });

  it("a broken file that cannot be moved is never answered, and what is fetched stays in memory", async () => {
    await keepGood(subject, zipKey);
    await flipInPlace(fileOf(zipKey), contentOf(zipKey).length >> 1);
    await restart();
    failing = new Set(["setAside"]);
    expect(await subject.store.read(requestFor(zipKey))).toBeUndefined();
    await expect(keepGood(subject, zipKey)).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("stands in the way"),
    });
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ bytes: contentOf(zipKey) });
  });
});

/** Wakes no new inode and no other size: as a disk does it. */
async function flipInPlace(file: string, at: number): Promise<void> {
  const handle = await open(file, "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte.writeUInt8(byte.readUInt8(0) ^ 1, 0);
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

describe("a file that nobody confirmed", () => {
  const unverified = { ...factsOf(modKey, contentOf(modKey)), unverified: "the log did not answer" };

  it("is remembered as such before it is visible, so that a crash in between forgets nothing", async () => {
    const order: string[] = [];
    await start({
      blobs: async (parts) => passOnBlobs(await diskBlobs(parts), (operation) => order.push(operation)),
      wrapLedger: (ledger) => passOnLedger(ledger, (operation) => order.push(operation)),
    });
    await subject.store.keep(requestFor(modKey), { bytes: contentOf(modKey) }, unverified);
    const writes = order.filter((operation) => ["create", "addFacts", "addUnverified"].includes(operation));
    expect(writes).toEqual(["addUnverified", "create", "addFacts"]);
  });

  it("is not kept where that cannot be remembered, and is answered all the same", async () => {
    await start({
      wrapLedger: (ledger) =>
        passOnLedger(ledger, (operation) => {
          if (operation === "addUnverified") throw new SluiceError("storage_failed", "the disk is full");
        }),
    });
    const kept = subject.store.keep(requestFor(modKey), { bytes: contentOf(modKey) }, unverified);
    await expect(kept).rejects.toMatchObject({ code: "storage_failed" });
    expect(subject.store.peek(modKey)?.bytes).toEqual(contentOf(modKey));
    expect(await subject.blobs.stat(modKey)).toBeUndefined();
  });

  it("stays so when another writer was first with other content, under the hash of that", async () => {
    await start();
    const other = variantOf(modKey, 1);
    await subject.store.keep(requestFor(modKey), { bytes: other }, { ...factsOf(modKey, other), unverified: "first" });
    await subject.store.keep(requestFor(modKey), { bytes: contentOf(modKey) }, factsOf(modKey, contentOf(modKey)));
    expect(await subject.store.listUnverified("", 10)).toMatchObject([{ key: modKey, h1: h1Of(modKey, other) }]);
  });
});
