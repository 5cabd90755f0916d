import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { passOnBlobs } from "../../test/support/pass-on.ts";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import { blobStoreSuite, keysOf, readKey } from "../../test/suites/blob-store.ts";
import { SluiceError } from "../core/errors.ts";
import type { BlobStore } from "../core/ports.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { createMemoryBlobStore, type MemoryBlobStore } from "./blob/memory.ts";
import { createTieredBlobStore, type UpperTier } from "./tiered.ts";

const mib = 1024 * 1024;

blobStoreSuite("memory over disk", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-tiered-"));
  const upper = [createMemoryBlobStore({ maxBytes: 8 * mib, maxBlobBytes: 2 * mib })];
  const store = createTieredBlobStore({ upper, home: await openHome(folder), events: recordEvents() });
  return {
    store,
    leftovers: () => readdir(path.join(folder, "staging")),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
});

describe("tiers", () => {
  let folder: string;
  let events: RecordedEvents;
  let home: BlobStore;
  let small: MemoryBlobStore;
  let large: MemoryBlobStore;
  let store: BlobStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-tiered-"));
    events = recordEvents();
    home = await openHome(folder);
    small = createMemoryBlobStore({ maxBytes: mib, maxBlobBytes: 100 });
    large = createMemoryBlobStore({ maxBytes: mib, maxBlobBytes: 10_000 });
    store = createTieredBlobStore({ upper: [small, large], home, events });
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("above get what is written, where it fits", async () => {
    await store.create("a", { bytes: Buffer.alloc(100) });
    await store.replace("b", Buffer.alloc(1000));
    await store.create("c", { bytes: Buffer.alloc(20_000) });
    expect(await keysOf(small, "")).toEqual(["a"]);
    expect(await keysOf(large, "")).toEqual(["a", "b"]);
    expect(await keysOf(home, "")).toEqual(["a", "b", "c"]);
  });

  it("above get what is read, where it fits, and are asked first then", async () => {
    await home.create("a", { bytes: Buffer.from("content") });
    await home.create("b", { bytes: Buffer.alloc(1000, 1) });
    expect(String(await readKey(store, "a"))).toBe("content");
    expect(await readKey(store, "b")).toHaveLength(1000);
    expect(await keysOf(small, "")).toEqual(["a"]);
    expect(await keysOf(large, "")).toEqual(["a", "b"]);
    await home.delete("a");
    expect(String(await readKey(store, "a"))).toBe("content");
  });

  it("above are filled from one below that has it", async () => {
    await store.create("a", { bytes: Buffer.from("content") });
    await small.delete("a");
    expect(String(await readKey(store, "a"))).toBe("content");
    expect(await keysOf(small, "")).toEqual(["a"]);
  });

  it("never answer an old record after it was replaced, deleted or set aside", async () => {
    await store.replace("a", Buffer.from("old"));
    await store.replace("a", Buffer.alloc(20_000));
    expect(await readKey(store, "a")).toHaveLength(20_000);
    await store.replace("a", Buffer.from("small again"));
    expect(await store.delete("a")).toBe(true);
    expect(await store.get("a")).toBeUndefined();
    await store.replace("a", Buffer.from("broken"));
    expect(await store.setAside("a", (await store.get("a"))?.revision)).toBe(true);
    expect(await store.get("a")).toBeUndefined();
    expect([await keysOf(small, ""), await keysOf(large, ""), await keysOf(home, "")]).toEqual([[], [], []]);
  });

  it("agree after many reads and writes at once", async () => {
    await store.replace("a", Buffer.from("0"));
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        index % 3 === 0
          ? store.replace("a", Buffer.from(`${index}`))
          : index % 50 === 1
            ? store.delete("a")
            : store.get("a"),
      ),
    );
    const expected = (await home.get("a"))?.bytes;
    expect((await store.get("a"))?.bytes).toEqual(expected);
  });

  it("say who was first only by the home", async () => {
    await home.create("a", { bytes: Buffer.from("home") });
    expect(await store.create("a", { bytes: Buffer.from("other") })).toBe("exists");
    expect(String(await readKey(store, "a"))).toBe("home");
  });

  describe("with a broken one above", () => {
    beforeEach(() => {
      store = createTieredBlobStore({ upper: [breakable(small), large], home, events });
    });

    let isBroken = false;
    afterEach(() => {
      isBroken = false;
    });

    it("work all the same, and tell", async () => {
      await store.replace("a", Buffer.from("before"));
      isBroken = true;
      expect(String(await readKey(store, "a"))).toBe("before");
      await store.replace("a", Buffer.from("after"));
      expect(String(await readKey(store, "a"))).toBe("after");
      expect(await store.create("b", { bytes: Buffer.from("new") })).toBe("created");
      expect(await store.delete("b")).toBe(true);
      expect(await store.get("b")).toBeUndefined();
      expect(events.of("store_failed")).not.toEqual([]);
    });

    it("do not answer from it what it failed to forget", async () => {
      await store.replace("a", Buffer.from("before"));
      isBroken = true;
      await store.replace("a", Buffer.from("after"));
      isBroken = false;
      expect(String(small.peek("a")?.bytes)).toBe("before");
      expect(String(await readKey(store, "a"))).toBe("after");
      expect(String(small.peek("a")?.bytes)).toBe("after");
    });

    function breakable(tier: MemoryBlobStore): UpperTier {
      const fail = (): void => {
        if (isBroken) throw new SluiceError("storage_failed", `cannot use "memory": broken for the test`);
      };
      return {
        ...passOnBlobs(tier, fail),
        maxBlobBytes: tier.maxBlobBytes,
      };
    }
  });

  it("fail when the home does, and leave no copy above", async () => {
    await home.replace("a", Buffer.from("home"));
    const broken = createTieredBlobStore({ upper: [small], home: passOnBlobs(home, failAlways), events });
    const failure = { code: "storage_failed" };
    await expect(broken.create("b", { bytes: Buffer.from("x") })).rejects.toMatchObject(failure);
    await expect(broken.replace("b", Buffer.from("x"))).rejects.toMatchObject(failure);
    await expect(broken.check()).rejects.toMatchObject(failure);
    expect(await keysOf(small, "")).toEqual([]);
  });
});

function failAlways(): void {
  throw new SluiceError("storage_failed", `cannot use "home": broken for the test`);
}

function openHome(folder: string): Promise<BlobStore> {
  return createDiskBlobStore({
    root: path.join(folder, "modules"),
    stagingDir: path.join(folder, "staging"),
    quarantineDir: path.join(folder, "quarantine"),
  });
}
