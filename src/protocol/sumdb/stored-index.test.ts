import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitStoredHashIndex, storedHashCount, storedHashIndex } from "./stored-index.ts";

describe("stored hash indexes", () => {
  test("are dense: behind each record stand the subtrees that it completes", () => {
    let next = 0;
    for (let n = 0; n < 1000; n++) {
      expect(storedHashCount(n)).toBe(next);
      for (let level = 0; level === 0 || (n + 1) % 2 ** level === 0; level++) {
        const node = { level, n: Math.floor(n / 2 ** level) };
        expect(storedHashIndex(level, node.n)).toBe(next);
        expect(splitStoredHashIndex(next)).toEqual(node);
        next++;
      }
    }
  });

  test("are exact up to the last of the largest log", () => {
    const lastRecord = 2 ** 52 - 1;
    expect(storedHashCount(2 ** 52)).toBe(Number.MAX_SAFE_INTEGER);
    expect(storedHashIndex(52, 0)).toBe(Number.MAX_SAFE_INTEGER - 1);
    expect(splitStoredHashIndex(Number.MAX_SAFE_INTEGER - 1)).toEqual({ level: 52, n: 0 });
    expect(BigInt(storedHashIndex(0, lastRecord))).toBe(2n ** 53n - 2n - 52n);
    expect(splitStoredHashIndex(storedHashIndex(0, lastRecord))).toEqual({ level: 0, n: lastRecord });
  });

  test("are as computed without rounding", () => {
    const node = fc
      .integer({ min: 0, max: 52 })
      .chain((level) => fc.tuple(fc.constant(level), fc.bigInt({ min: 0n, max: 2n ** BigInt(52 - level) - 1n })));
    fc.assert(
      fc.property(node, ([level, n]) => {
        let index = BigInt(level);
        for (let rest = (n + 1n) * 2n ** BigInt(level) - 1n; rest > 0n; rest /= 2n) index += rest;
        expect(BigInt(storedHashIndex(level, Number(n)))).toBe(index);
        expect(splitStoredHashIndex(Number(index))).toEqual({ level, n: Number(n) });
      }),
    );
  });

  test.each([
    [() => storedHashIndex(0, 2 ** 52), "number of a hash at level 0 4503599627370496 is not a number from 0 to"],
    [() => storedHashIndex(52, 1), "number of a hash at level 52 1 is not a number from 0 to 0"],
    [() => storedHashIndex(53, 0), "level 53 is not a number from 0 to 52"],
    [() => storedHashIndex(-1, 0), "level -1"],
    [() => storedHashIndex(0, -1), "level 0 -1"],
    [() => storedHashIndex(0, 0.5), "level 0 0.5"],
    [() => storedHashIndex(0, Number.NaN), "level 0 NaN"],
    [() => splitStoredHashIndex(Number.MAX_SAFE_INTEGER), "stored hash index 9007199254740991"],
    [() => splitStoredHashIndex(-1), "stored hash index -1"],
    [() => storedHashCount(2 ** 52 + 1), "tree size 4503599627370497"],
  ])("refuse what no log has: %s", (ask, problem) => {
    expect(ask).toThrow(problem);
  });
});
