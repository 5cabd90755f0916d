import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BlobStore } from "../../src/core/ports.ts";

export interface BlobStoreUnderTest {
  readonly store: BlobStore;
  /** What the store has made and should have removed: temporary files, open handles. */
  readonly leftovers: () => Promise<readonly string[]>;
  readonly remove: () => Promise<void>;
}

/** A store whose medium refuses writes after `failWrites`, until the test ends. */
export interface FailingBlobStoreUnderTest extends BlobStoreUnderTest {
  readonly failWrites: () => Promise<void>;
}

/** What every `BlobStore` promises. `open` makes an empty one that takes blobs of at least 4 MiB. */
export function blobStoreSuite(name: string, open: () => Promise<BlobStoreUnderTest>): void {
  describe(`${name} as a blob store`, () => {
    let subject: BlobStoreUnderTest;
    let store: BlobStore;
    let folder: string;
    let fileCount: number;

    beforeEach(async () => {
      subject = await open();
      ({ store } = subject);
      folder = await mkdtemp(path.join(tmpdir(), "sluice-suite-"));
      fileCount = 0;
    });

    afterEach(async () => {
      try {
        // A stream that was left closes its handle a moment later.
        await vi.waitFor(async () => expect(await subject.leftovers()).toEqual([]));
      } finally {
        await store.close();
        await subject.remove();
        await rm(folder, { recursive: true, force: true });
      }
    });

    async function fileOf(content: Uint8Array): Promise<string> {
      const file = path.join(folder, `content-${++fileCount}`);
      await writeFile(file, content);
      return file;
    }

    describe("a key nobody wrote", () => {
      it("is undefined or false, never an error", async () => {
        expect(await store.stat("a/b")).toBeUndefined();
        expect(await store.get("a/b")).toBeUndefined();
        expect(await store.delete("a/b")).toBe(false);
        expect(await store.setAside("a/b")).toBe(false);
        expect(await keysOf(store, "")).toEqual([]);
      });

      it("may be a folder, or below a blob", async () => {
        await store.create("a/b", { bytes: Buffer.from("x") });
        expect(await store.get("a")).toBeUndefined();
        expect(await store.stat("a")).toBeUndefined();
        expect(await store.delete("a")).toBe(false);
        expect(await store.setAside("a")).toBe(false);
        expect(await store.delete("a/b/c")).toBe(false);
        expect(await store.get("a/b/c")).toBeUndefined();
        expect(await store.stat(`a/${"x".repeat(5000)}`)).toBeUndefined();
      });
    });

    describe("what was created", () => {
      const sizes = [0, 1, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024 + 7];

      it.each(sizes)("from %i bytes is read whole and as a stream", async (size) => {
        const content = randomBytes(size);
        expect(await store.create("a/b", { bytes: content })).toBe("created");
        expect(await store.stat("a/b")).toMatchObject({ size });
        expect(same(await readKey(store, "a/b"), content)).toBe(true);
        expect(same(await streamKey(store, "a/b"), content)).toBe(true);
      });

      it.each(sizes)("from a file of %i bytes is read whole, and the file is taken over", async (size) => {
        const content = randomBytes(size);
        const file = await fileOf(content);
        expect(await store.create("a/b", { file, size })).toBe("created");
        expect(same(await readKey(store, "a/b"), content)).toBe(true);
        await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
      });

      it("does not change when the caller changes the bytes later", async () => {
        const bytes = Buffer.from("before");
        await store.create("a", { bytes });
        await store.replace("b", bytes);
        bytes.fill("x");
        expect(String(await readKey(store, "a"))).toBe("before");
        expect(String(await readKey(store, "b"))).toBe("before");
      });

      it("stands against whoever comes later, and their file stays theirs", async () => {
        await store.create("a/b", { bytes: Buffer.from("first") });
        const file = await fileOf(Buffer.from("third"));
        expect(await store.create("a/b", { bytes: Buffer.from("second") })).toBe("exists");
        expect(await store.create("a/b", { file, size: 5 })).toBe("exists");
        expect(String(await readKey(store, "a/b"))).toBe("first");
        expect(String(await readFile(file))).toBe("third");
      });

      it("can be created anew after it was deleted", async () => {
        await store.create("a/b", { bytes: Buffer.from("old") });
        expect(await store.delete("a/b")).toBe(true);
        expect(await store.get("a/b")).toBeUndefined();
        expect(await store.create("a/b", { bytes: Buffer.from("new") })).toBe("created");
        expect(String(await readKey(store, "a/b"))).toBe("new");
      });

      it.each([
        "github.com/!azure/go-autorest/@v/v14.2.0+incompatible.zip",
        "rsc.io/quote/@latest",
        "example.com/x~y/@v/v1.0.0-rc.1.info",
        "a/.b",
        "a/b c/ü",
      ])("keeps its name %s", async (key) => {
        await store.create(key, { bytes: Buffer.from(key) });
        expect(await keysOf(store, "")).toEqual([key]);
        expect(String(await readKey(store, key))).toBe(key);
      });
    });

    describe("several writers at once", () => {
      it.each(["bytes", "files"])("create one blob from %s, whole, and one of them is told so", async (kind) => {
        const contents = Array.from({ length: 16 }, (_, index) => Buffer.alloc(100_000, index));
        const outcomes = await Promise.all(
          contents.map(async (bytes) =>
            store.create("a/b/c", kind === "bytes" ? { bytes } : { file: await fileOf(bytes), size: bytes.length }),
          ),
        );
        expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
        const winner = contents[outcomes.indexOf("created")];
        expect(winner !== undefined && same(await readKey(store, "a/b/c"), winner)).toBe(true);
      });

      it("replace a record, and every reader sees one of the records whole", async () => {
        await store.replace("a", Buffer.alloc(300_000, 0));
        const writing = new AbortController();
        const writers = [1, 2, 3].map(async (writer) => {
          for (let round = 0; round < 15; round++)
            await store.replace("a", Buffer.alloc(200_000 + writer * 1000, writer));
        });
        const torn: number[] = [];
        const reader = (async () => {
          while (!writing.signal.aborted) {
            // A store in memory answers without a turn of the event loop, which the writers need.
            await setImmediate();
            const bytes = await readKey(store, "a");
            if (!bytes.every((byte) => byte === bytes[0])) torn.push(bytes.length);
          }
        })();
        await Promise.all(writers);
        writing.abort();
        await reader;
        expect(torn).toEqual([]);
        expect(same(await readKey(store, "a"), await streamKey(store, "a"))).toBe(true);
      });

      it("make different blobs in one new folder", async () => {
        const keys = Array.from({ length: 20 }, (_, index) => `new/deep/folder/${index}`);
        await Promise.all(keys.map((key) => store.create(key, { bytes: Buffer.from(key) })));
        expect(await keysOf(store, "new/deep")).toEqual(keys.toSorted());
      });
    });

    describe("a range", () => {
      const small = Buffer.from("0123456789");
      const large = randomBytes(2 * 1024 * 1024 + 3);
      const cases = [small, large].flatMap((content) => {
        const { length: size } = content;
        const ranges = [
          [0, 0],
          [0, 1],
          [3, 7],
          [size - 1, size],
          [size, size],
          [0, size],
          [size - 2, size + 10],
          [size + 5, size + 10],
        ] as const;
        return ranges.map(([start, end]) => ({ size, start, end, content }));
      });

      it.each(cases)("$start to $end of $size bytes is what there is of it", async ({ content, start, end }) => {
        await store.create("a", { bytes: content });
        expect(same(await streamKey(store, "a", { start, end }), content.subarray(start, end))).toBe(true);
      });
    });

    describe("an open blob", () => {
      it("keeps its content while the key gets another one", async () => {
        const old = randomBytes(2 * 1024 * 1024);
        await store.replace("a", old);
        const blob = await store.get("a");
        await store.replace("a", Buffer.from("new"));
        expect(blob && same(await blob.read(), old)).toBe(true);
      });

      it("can be discarded twice, and after reading, and left in the middle", async () => {
        await store.create("a", { bytes: randomBytes(3 * 1024 * 1024) });
        const unread = await store.get("a");
        unread?.discard();
        unread?.discard();
        const read = await store.get("a");
        await read?.read();
        read?.discard();
        const stream = (await store.get("a"))?.stream();
        for await (const chunk of stream ?? []) {
          expect(chunk).toBeDefined();
          break;
        }
      });

      it("has the revision that stat tells, until the content changes", async () => {
        await store.replace("a", Buffer.from("one"));
        const first = await store.stat("a");
        expect((await openAndDiscard(store, "a"))?.revision).toBe(first?.revision);
        expect((await store.stat("a"))?.revision).toBe(first?.revision);
        await store.replace("a", Buffer.from("two"));
        expect((await store.stat("a"))?.revision).not.toBe(first?.revision);
      });
    });

    describe("setting aside", () => {
      it("takes the blob out of the store", async () => {
        await store.create("a/b", { bytes: Buffer.from("broken") });
        expect(await store.setAside("a/b")).toBe(true);
        expect(await store.get("a/b")).toBeUndefined();
        expect(await keysOf(store, "")).toEqual([]);
        expect(await store.create("a/b", { bytes: Buffer.from("good") })).toBe("created");
      });

      it("leaves a blob that is not the one that was found broken", async () => {
        await store.replace("a", Buffer.from("broken"));
        const broken = await store.stat("a");
        await store.replace("a", Buffer.from("good"));
        expect(await store.setAside("a", broken?.revision)).toBe(false);
        expect(String(await readKey(store, "a"))).toBe("good");
        expect(await store.setAside("a", (await openAndDiscard(store, "a"))?.revision)).toBe(true);
      });
    });

    describe("a list", () => {
      it("has whole path elements as its prefix: a/b is not a/bc", async () => {
        const keys = ["a/b/c", "a/b/d/e", "a/bc", "a/b.c", "ab/c", "b"];
        await Promise.all(keys.map((key) => store.create(key, { bytes: Buffer.from(key) })));
        expect(await keysOf(store, "a/b")).toEqual(["a/b/c", "a/b/d/e"]);
        expect(await keysOf(store, "a")).toEqual(["a/b.c", "a/b/c", "a/b/d/e", "a/bc"]);
        expect(await keysOf(store, "")).toEqual(keys.toSorted());
        expect(await keysOf(store, "a/x")).toEqual([]);
        expect(await keysOf(store, "b")).toEqual([]);
      });

      it("may be left early", async () => {
        for (const key of ["a/1", "a/2", "a/3"]) await store.create(key, { bytes: Buffer.from(key) });
        for await (const key of store.list("a")) {
          expect(key).toMatch(/^a\/[123]$/);
          break;
        }
      });
    });

    describe("a key that is not relative and clean", () => {
      const keys = [
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../../b",
        "./a",
        "a/./b",
        "a\\..\\b",
        "a\0b",
        "a/\uD800",
      ];

      it.each(["", ...keys].map((key) => [JSON.stringify(key), key] as const))("%s is refused", async (_, key) => {
        const refusal = { code: "malformed_request" };
        await expect(store.stat(key)).rejects.toMatchObject(refusal);
        await expect(store.get(key)).rejects.toMatchObject(refusal);
        await expect(store.create(key, { bytes: Buffer.from("x") })).rejects.toMatchObject(refusal);
        await expect(store.replace(key, Buffer.from("x"))).rejects.toMatchObject(refusal);
        await expect(store.delete(key)).rejects.toMatchObject(refusal);
        await expect(store.setAside(key)).rejects.toMatchObject(refusal);
        expect(await keysOf(store, "")).toEqual([]);
      });

      it.each(keys.map((key) => [JSON.stringify(key), key] as const))(
        "%s is refused as a prefix",
        async (_, prefix) => {
          await expect(keysOf(store, prefix)).rejects.toMatchObject({ code: "malformed_request" });
        },
      );
    });

    describe("content that is not there", () => {
      it("is refused when the file is missing", async () => {
        const content = { file: path.join(folder, "missing"), size: 1 };
        await expect(store.create("a/b", content)).rejects.toMatchObject({ code: "storage_failed" });
        expect(await keysOf(store, "")).toEqual([]);
      });

      it.each([3, 5])("is refused when the file has 4 bytes and was said to have %i", async (size) => {
        const content = { file: await fileOf(Buffer.from("four")), size };
        await expect(store.create("a/b", content)).rejects.toMatchObject({ code: "storage_failed" });
        expect(await keysOf(store, "")).toEqual([]);
      });
    });

    it("can be written, says check", async () => {
      await expect(store.check()).resolves.toBeUndefined();
    });
  });
}

/** What every `BlobStore` on a medium that can fail promises besides. */
export function failingBlobStoreSuite(name: string, open: () => Promise<FailingBlobStoreUnderTest>): void {
  it(`${name} fails with storage_failed while its medium does, and keeps what it has`, async () => {
    const { store, failWrites, leftovers, remove } = await open();
    const folder = await mkdtemp(path.join(tmpdir(), "sluice-suite-"));
    try {
      const file = path.join(folder, "content");
      await writeFile(file, "file");
      await store.create("a/old", { bytes: Buffer.from("old") });
      await failWrites();
      const failure = { code: "storage_failed", message: expect.stringMatching(/^cannot [a-z ]+ ".*": ./) };
      await expect(store.check()).rejects.toMatchObject(failure);
      await expect(store.create("a/new", { bytes: Buffer.from("new") })).rejects.toMatchObject(failure);
      await expect(store.create("a/new", { file, size: 4 })).rejects.toMatchObject(failure);
      await expect(store.replace("a/old", Buffer.from("new"))).rejects.toMatchObject(failure);
      await expect(store.delete("a/old")).rejects.toMatchObject(failure);
      await expect(store.setAside("a/old")).rejects.toMatchObject(failure);
      expect(await store.create("a/old", { bytes: Buffer.from("other") })).toBe("exists");
      expect(await store.delete("a/new")).toBe(false);
      expect(String(await readFile(file))).toBe("file");
      expect(String(await readKey(store, "a/old"))).toBe("old");
      expect(await keysOf(store, "")).toEqual(["a/old"]);
      expect(await leftovers()).toEqual([]);
    } finally {
      await store.close();
      await remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** Sorted. */
export async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix))).toSorted();
}

export async function readKey(store: BlobStore, key: string): Promise<Uint8Array> {
  const blob = await store.get(key);
  if (blob === undefined) throw new Error(`${key} is not there`);
  return blob.read();
}

async function streamKey(store: BlobStore, key: string, range?: { start: number; end: number }): Promise<Uint8Array> {
  const blob = await store.get(key);
  if (blob === undefined) throw new Error(`${key} is not there`);
  const stream: Readable = blob.stream(range);
  return buffer(stream);
}

async function openAndDiscard(store: BlobStore, key: string) {
  const blob = await store.get(key);
  blob?.discard();
  return blob;
}

/** Without printing megabytes when it is not so. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
