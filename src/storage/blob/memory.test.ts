import { describe, expect, it } from "vitest";
import { blobStoreSuite, keysOf } from "../../../test/suites/blob-store.ts";
import { createMemoryBlobStore, entryOverheadBytes } from "./memory.ts";

blobStoreSuite("memory", () => {
  const store = createMemoryBlobStore({ maxBytes: 64 * 1024 * 1024 });
  return Promise.resolve({ store, leftovers: () => Promise.resolve([]), remove: () => Promise.resolve() });
});

describe("memory's bounds", () => {
  it("forgets the blob unused for longest", async () => {
    const store = createMemoryBlobStore({ maxBytes: 3 * (1000 + entryOverheadBytes), maxBlobBytes: 1000 });
    for (const key of ["a", "b", "c"]) await store.create(key, { bytes: Buffer.alloc(1000) });
    expect(store.peek("a")?.size).toBe(1000);
    await store.create("d", { bytes: Buffer.alloc(1000) });
    expect(await keysOf(store, "")).toEqual(["a", "c", "d"]);
    await store.close();
  });

  it("refuses a blob larger than an eighth of it, in words", async () => {
    const store = createMemoryBlobStore({ maxBytes: 8000 });
    expect(store.maxBlobBytes).toBe(1000);
    const refusal = { code: "storage_failed", message: expect.stringContaining("up to 1000 bytes") };
    await expect(store.create("a", { bytes: Buffer.alloc(1001) })).rejects.toMatchObject(refusal);
    await expect(store.replace("a", Buffer.alloc(1001))).rejects.toMatchObject(refusal);
    await expect(store.create("a", { file: "/nonexistent", size: 1001 })).rejects.toMatchObject(refusal);
    expect(await keysOf(store, "")).toEqual([]);
    await store.close();
  });

  it("peeks without waiting, and finds nothing where nothing is", async () => {
    const store = createMemoryBlobStore({ maxBytes: 100_000 });
    await store.create("a", { bytes: Buffer.from("content") });
    expect(String(store.peek("a")?.bytes)).toBe("content");
    expect(store.peek("b")).toBeUndefined();
    await store.close();
  });

  it("does not keep alive the large buffer that a small blob was cut from", async () => {
    const store = createMemoryBlobStore({ maxBytes: 100_000 });
    await store.create("a", { bytes: Buffer.alloc(1_000_000).subarray(10, 20) });
    expect(store.peek("a")?.bytes?.buffer.byteLength).toBe(10);
    await store.close();
  });
});
