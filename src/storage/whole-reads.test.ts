import { describe, expect, it } from "vitest";
import type { Blob } from "../core/ports.ts";
import { bytesBlob } from "./blob/bytes-blob.ts";
import { WholeReads } from "./whole-reads.ts";

const mib = 1024 * 1024;

describe("reading whole", () => {
  it.each([
    { size: 10, maxFileBytes: 0, maxHeldBytes: 0, isWhole: true },
    { size: mib, maxFileBytes: 0, maxHeldBytes: 0, isWhole: true },
    { size: mib + 1, maxFileBytes: 0, maxHeldBytes: 0, isWhole: false },
    { size: 2 * mib, maxFileBytes: 2 * mib, maxHeldBytes: 2 * mib, isWhole: true },
    { size: 2 * mib, maxFileBytes: 2 * mib - 1, maxHeldBytes: 8 * mib, isWhole: false },
    { size: 2 * mib, maxFileBytes: 2 * mib, maxHeldBytes: 2 * mib - 1, isWhole: false },
  ])(
    "$size bytes with files up to $maxFileBytes and $maxHeldBytes held: $isWhole",
    async ({ size, isWhole, ...limits }) => {
      expect((await new WholeReads(limits).read(onDisk(size)))?.length).toBe(isWhole ? size : undefined);
    },
  );

  it("takes what is in memory already, whatever its size", async () => {
    const reads = new WholeReads({ maxFileBytes: 0, maxHeldBytes: 0 });
    expect(await reads.read(bytesBlob(Buffer.alloc(2 * mib), "1"))).toHaveLength(2 * mib);
  });

  it("stops while what was read is still held, also when it was read at the same time", async () => {
    const reads = new WholeReads({ maxFileBytes: 2 * mib, maxHeldBytes: 7 * mib });
    const held = await Promise.all(Array.from({ length: 6 }, () => reads.read(onDisk(2 * mib))));
    expect(held.filter((bytes) => bytes !== undefined)).toHaveLength(3);
    expect(await reads.read(onDisk(mib))).toHaveLength(mib);
  });

  it("does not count what could not be read", async () => {
    const reads = new WholeReads({ maxFileBytes: 2 * mib, maxHeldBytes: 2 * mib });
    const broken = { ...onDisk(2 * mib), read: () => Promise.reject(new Error("I/O")) };
    await expect(reads.read(broken)).rejects.toThrow("I/O");
    expect(await reads.read(onDisk(2 * mib))).toHaveLength(2 * mib);
  });
});

function onDisk(size: number): Blob {
  const { bytes: _, ...blob } = bytesBlob(Buffer.alloc(size), "1");
  return blob;
}
