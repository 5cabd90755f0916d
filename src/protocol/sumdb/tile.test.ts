import { describe, expect, test } from "vitest";
import { createSparseLog } from "../../../test/support/sparse-log.ts";
import { storedHashIndex } from "./stored-index.ts";
import { hashFromTile, newTiles, tileForIndex, tileHashIndexes, tileOfTree } from "./tile.ts";
import { parseTilePath, tilePath } from "./tile-path.ts";

describe("the path of a tile", () => {
  test.each([
    ["tile/4/0/001", { height: 4, level: 0, index: 1, width: 16 }],
    ["tile/4/0/001.p/5", { height: 4, level: 0, index: 1, width: 5 }],
    ["tile/3/5/x123/x456/078", { height: 3, level: 5, index: 123456078, width: 8 }],
    ["tile/3/5/x123/x456/078.p/2", { height: 3, level: 5, index: 123456078, width: 2 }],
    ["tile/1/0/x003/x057/500", { height: 1, level: 0, index: 3057500, width: 2 }],
    ["tile/3/4/x001/x234/067.p/1", { height: 3, level: 4, index: 1234067, width: 1 }],
    ["tile/8/data/x002/000.p/255", { height: 8, level: -1, index: 2000, width: 255 }],
    ["tile/30/63/000", { height: 30, level: 63, index: 0, width: 2 ** 30 }],
    ["tile/8/0/x004/x503/x599/x627/x370/495", { height: 8, level: 0, index: 4503599627370495, width: 256 }],
  ])("%s", (path, tile) => {
    expect(parseTilePath(path)).toEqual(tile);
    expect(tilePath(tile)).toBe(path);
  });

  test.each([
    "",
    "tile",
    "tile/8/0",
    "/tile/8/0/000",
    "tile/8/0/000/",
    "tile/8/0/00",
    "tile/8/0/0000",
    "tile/8/0/x000/001",
    "tile/8/0/001/x002",
    "tile/8/0/001/002",
    "tile/8/0/x001",
    "tile/08/0/000",
    "tile/8/00/000",
    "tile/8/-1/000",
    "tile/8/+1/000",
    "tile/8/64/000",
    "tile/8/Data/000",
    "tile/0/0/000",
    "tile/31/0/000",
    "tile/8/0/000.p/0",
    "tile/8/0/000.p/01",
    "tile/8/0/000.p/256",
    "tile/8/0/000.p/257",
    "tile/8/0/000.p/-1",
    "tile/8/0/000.p",
    "tile/8/0/000.p/",
    "tile/8/0/x004/x503/x599/x627/x370/496",
    "tile/8/0/x999/x999/x999/x999/x999/x999/x999/999",
    "tile/8/0/000\n",
    "tile/8/0/٠٠٠",
  ])("is not %j", (path) => {
    expect(() => parseTilePath(path)).toThrow("malformed tile path");
  });
});

describe("tiles", () => {
  test.each([
    [0, 1, ["0/000.p/1"]],
    [1, 1, []],
    [100, 101, ["0/000.p/101"]],
    [1023, 1025, ["0/000", "0/001.p/1", "1/000.p/1"]],
    [1024, 1025, ["0/001.p/1"]],
    [1030, 3000, ["0/001", "0/002.p/952", "1/000.p/2"]],
  ])("new from %i to %i records of height 10", (oldSize, newSize, paths) => {
    expect(newTiles(10, oldSize, newSize).map(tilePath)).toEqual(paths.map((path) => `tile/10/${path}`));
  });

  test("new from 1030 to 10000 records of height 10 are ten", () => {
    expect(newTiles(10, 1030, 10000)).toHaveLength(10);
  });

  test.each([
    [0, 0, 0, undefined],
    [1, 0, 0, 1],
    [256, 0, 0, 256],
    [256, 0, 1, undefined],
    [256, 1, 0, 1],
    [255, 1, 0, undefined],
    [300, 0, 1, 44],
    [300, -1, 1, 44],
    [300, -1, 2, undefined],
    [2 ** 52, 6, 0, 16],
    [2 ** 52, 5, 15, 256],
    [2 ** 52, 6, 1, undefined],
    [2 ** 52, 63, 0, undefined],
  ])("of a tree of %i records at level %i, number %i have width %s", (size, level, index, width) => {
    expect(tileOfTree(size, level, index)).toEqual(
      width === undefined ? undefined : { height: 8, level, index, width },
    );
  });

  test("have their hashes, and make those above", () => {
    const log = createSparseLog([3, 260, 299]);
    const nodes = [
      { level: 0, n: 299 },
      { level: 0, n: 256 },
      { level: 3, n: 32 },
      { level: 2, n: 73 },
      { level: 8, n: 0 },
    ];
    for (const { level, n } of nodes) {
      const index = storedHashIndex(level, n);
      const least = tileForIndex(8, index);
      const wider = tileOfTree(300, least.level, least.index) ?? least;
      for (const tile of [least, wider]) {
        expect(hashFromTile(tile, log.tileBytes(tile), index)).toEqual(log.hashes([index])[0]);
      }
    }
  });

  test("do not have what they lack", () => {
    const log = createSparseLog([]);
    const tile = { height: 8, level: 0, index: 1, width: 44 };
    const bytes = log.tileBytes(tile);
    for (const index of [storedHashIndex(0, 255), storedHashIndex(0, 300), storedHashIndex(8, 1)]) {
      expect(() => hashFromTile(tile, bytes, index)).toThrow(
        `the tile does not have the hash at stored index ${index}`,
      );
    }
    expect(() => hashFromTile(tile, bytes.subarray(1), storedHashIndex(0, 299))).toThrow("does not have the hash");
    expect(() => tileHashIndexes({ ...tile, level: -1 })).toThrow("level -8 is not a number from 0 to 52");
    expect(() => tileForIndex(0, 1)).toThrow("a tile has no height of 0");
    expect(() => tileForIndex(31, 1)).toThrow("tile height 31 is not a number from 0 to 30");
  });
});
