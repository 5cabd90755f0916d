import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSparseLog } from "../../../test/support/sparse-log.ts";
import { checkDataTile, formatDataTile } from "./data-tile.ts";
import { emptyTreeHash, recordHash } from "./hashes.ts";
import { storedHashCount, storedHashIndex } from "./stored-index.ts";
import { planTileCheck, planTileReads } from "./tile-plan.ts";
import { tilePath } from "./tile-path.ts";

const log = createSparseLog([0, 5, 700, 70_000]);
const tree = log.tree(100_000);

describe("a plan to read hashes", () => {
  test("begins with the right edge, then goes from each parent to its children", () => {
    const plan = planTileReads(tree, [storedHashIndex(0, 700), storedHashIndex(0, 5), storedHashIndex(9, 1)]);
    expect(plan.tiles.map(tilePath)).toEqual([
      "tile/8/2/000.p/1",
      "tile/8/1/001.p/134",
      "tile/8/0/390.p/160",
      "tile/8/1/000",
      "tile/8/0/002",
      "tile/8/0/000",
    ]);
    const hashes = plan.verify(plan.tiles.map((tile) => log.tileBytes(tile)));
    expect(hashes.slice(0, 2).map((hash) => Buffer.from(hash))).toEqual(["record 700\n", "record 5\n"].map(recordHash));
    expect(hashes[2]).toEqual(log.hashes([storedHashIndex(9, 1)])[0]);
  });

  test("copies no hash that stands in a tile", () => {
    const plan = planTileReads(tree, [storedHashIndex(0, 700)]);
    const bytes = plan.tiles.map((tile) => log.tileBytes(tile));
    expect(plan.verify(bytes)[0]?.buffer).toBe(bytes.at(-1)?.buffer);
  });

  test("needs no tiles in an empty tree", () => {
    expect(planTileReads({ size: 0, hash: emptyTreeHash }, []).verify([])).toEqual([]);
    expect(() => planTileReads({ size: 0, hash: recordHash("") }, []).verify([])).toThrow("the tree of 0 records");
  });

  test.each([300, 299, 257, 1])("does not reach beyond a tree of %i records", (size) => {
    const index = storedHashCount(size);
    expect(() => planTileReads(log.tree(size), [index])).toThrow(`the tree of ${size} records has no hash at ${index}`);
  });

  test("refuses tiles of wrong number or length", () => {
    const plan = planTileReads(log.tree(300), [0]);
    const bytes = plan.tiles.map((tile) => log.tileBytes(tile));
    expect(() => plan.verify(bytes.slice(1))).toThrow("2 tiles were given where 3 are needed");
    expect(() => plan.verify(bytes.with(1, log.tileBytes({ height: 8, level: 0, index: 1, width: 45 })))).toThrow(
      "tile/8/0/001.p/44 has 1440 bytes instead of 1408",
    );
  });

  test("refuses tiles of another tree of the same size", () => {
    const forked = createSparseLog([6]);
    const plan = planTileReads(log.tree(300), [0]);
    expect(() => plan.verify(plan.tiles.map((tile) => forked.tileBytes(tile)))).toThrow(
      "the tiles do not lead to the hash of the tree of 300 records",
    );
  });

  // CVE-2026-56865: several versions of go passed over the first tiles behind the edge.
  test("refuses any one tile that is wrong, wherever it stands", () => {
    const plan = planTileReads(tree, [storedHashIndex(0, 700), storedHashIndex(0, 70_000)]);
    const bytes = plan.tiles.map((tile) => log.tileBytes(tile));
    for (const [position, tile] of bytes.entries()) {
      const forged = Buffer.from(tile);
      forged.set(recordHash("forged\n"), forged.length - 32);
      expect(() => plan.verify(bytes.with(position, forged))).toThrow(
        expect.objectContaining({ code: "invalid_proof" }),
      );
    }
  });

  test("of any tree and height proves the right hashes, and notices any changed bit", () => {
    const cases = fc.record({
      height: fc.constantFrom(1, 2, 3, 8),
      bits: fc.integer({ min: 0, max: 52 }),
      a: fc.maxSafeNat(),
      picks: fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 4 }),
      place: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(cases, ({ height, bits, a, picks, place }) => {
        const size = 1 + (a % 2 ** bits);
        const indexes = picks.map((pick) => pick % storedHashCount(size));
        const log = createSparseLog([size - 1, place % size]);
        const plan = planTileReads(log.tree(size), indexes, height);
        const bytes = plan.tiles.map((tile) => log.tileBytes(tile));
        expect(plan.verify(bytes).map((hash) => Buffer.from(hash))).toEqual(log.hashes(indexes));
        const tile = place % bytes.length;
        const changed = Buffer.from(bytes[tile] ?? []);
        changed[a % changed.length] = (changed[a % changed.length] ?? 0) ^ (1 << (place % 8));
        expect(() => plan.verify(bytes.with(tile, changed))).toThrow(
          /^the tiles do not lead|does not belong to the tree/,
        );
      }),
    );
  });
});

describe("a plan to prove a tile", () => {
  test("proves records by the hashes at their place", () => {
    const tile = { height: 8, level: -1, index: 2, width: 256 };
    const plan = planTileCheck(tree, tile);
    expect(plan.tiles.map(tilePath)).toContain("tile/8/0/002");
    const hashes = plan.verify(plan.tiles.map((tile) => log.tileBytes(tile)));
    const texts = Array.from({ length: 256 }, (_, entry) => log.record(512 + entry));
    expect(checkDataTile(formatDataTile(texts), hashes)).toEqual(texts);
    expect(() => checkDataTile(formatDataTile(texts.toReversed()), hashes)).toThrow(
      "record 67 of the tile is not the one in the tree",
    );
    expect(() => checkDataTile(formatDataTile(texts.slice(1)), hashes)).toThrow("255 records where the tree has 256");
  });

  test("proves a part of a tile by all of it", () => {
    const plan = planTileCheck(log.tree(300), { height: 8, level: 0, index: 1, width: 3 });
    expect(plan.tiles.map(tilePath)).toContain("tile/8/0/001.p/44");
    const hashes = plan.verify(plan.tiles.map((tile) => log.tileBytes(tile)));
    expect(Buffer.concat(hashes)).toEqual(log.tileBytes({ height: 8, level: 0, index: 1, width: 3 }));
  });

  test.each([
    { height: 8, level: 0, index: 1, width: 45 },
    { height: 8, level: 0, index: 2, width: 1 },
    { height: 8, level: -1, index: 2, width: 1 },
    { height: 8, level: 1, index: 0, width: 2 },
    { height: 8, level: 9, index: 0, width: 1 },
  ])("refuses one that is not in the tree: %j", (tile) => {
    expect(() => planTileCheck(log.tree(300), tile)).toThrow(`${tilePath(tile)} is not in the tree of 300 records`);
  });
});
