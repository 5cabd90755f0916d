import { describe, expect, test } from "vitest";
import { emptyTreeHash, hashRow, nodeHash, recordHash } from "./hashes.ts";

describe("the hash above a row", () => {
  const hashes = Array.from({ length: 8 }, (_, n) => recordHash(`record ${n}\n`));

  test("is that of its nodes, and leaves the row as it is", () => {
    const row = Buffer.concat(hashes);
    const [a, b, c, d, e, f, g, h] = hashes.map((hash) => Buffer.from(hash));
    if (!a || !b || !c || !d || !e || !f || !g || !h) throw new Error("eight hashes are needed");
    const left = nodeHash(nodeHash(a, b), nodeHash(c, d));
    expect(hashRow(row)).toEqual(nodeHash(left, nodeHash(nodeHash(e, f), nodeHash(g, h))));
    expect(hashRow(row.subarray(0, 128))).toEqual(left);
    expect(row).toEqual(Buffer.concat(hashes));
  });

  test("of one hash is that hash, not copied", () => {
    expect(hashRow(emptyTreeHash)).toBe(emptyTreeHash);
  });

  test.each([0, 1, 31, 33, 48, 96, 127, 8191])("is refused for %i bytes", (length) => {
    expect(() => hashRow(new Uint8Array(length))).toThrow(`${length} bytes are no full row of hashes`);
  });
});
