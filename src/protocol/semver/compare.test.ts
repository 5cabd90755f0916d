import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonical, compareVersions, isValid, sortVersions } from "./index.ts";

// SPEC §10.2, 8, and lengths behind which a Number has lost its digits
const ascending = [
  "v1.0.0-alpha",
  "v1.0.0-alpha.1",
  "v1.0.0-alpha.beta",
  "v1.0.0-beta",
  "v1.0.0-beta.2",
  "v1.0.0-beta.11",
  "v1.0.0-rc.1",
  "v1.0.0",
  "v1.0.1",
  "v1.2.99999999999999998",
  "v1.2.99999999999999999",
  "v1.2.100000000000000000",
  "v1.10.0",
  "v2.0.0-20060102150405-hash",
  "v2.0.0-a",
];

test("precedence follows the specification", () => {
  for (const [lower, a] of ascending.entries()) {
    for (const [higher, b] of ascending.entries()) {
      expect(Math.sign(compareVersions(a, b)), `${a} to ${b}`).toBe(Math.sign(lower - higher));
    }
  }
});

test.each([
  ["v1", "v1.0.0"],
  ["v1.2", "v1.2.0"],
  ["v1.0.0+a", "v1.0.0+b"],
  ["v1.0.0-pre+a", "v1.0.0-pre"],
  ["bad", "also bad"],
])("%s and %s are equal", (a, b) => {
  expect(compareVersions(a, b)).toBe(0);
});

test("an invalid version is lower than the lowest valid one", () => {
  expect(compareVersions("1.0.0", "v0.0.0-0")).toBeLessThan(0);
  expect(compareVersions("v0.0.0-0", "")).toBeGreaterThan(0);
});

test("sorting puts equals in byte order and leaves the given list alone", () => {
  const given = ["v1.10.0", "v1.9.0", "v1.0.0+b", "v1", "v1.0.0+a", "x", "\u{ff5e}", "\u{1f600}", "v1.0.0"];
  const copy = [...given];
  expect(sortVersions(given)).toEqual([
    "x",
    "\u{ff5e}",
    "\u{1f600}",
    "v1",
    "v1.0.0",
    "v1.0.0+a",
    "v1.0.0+b",
    "v1.9.0",
    "v1.10.0",
  ]);
  expect(given).toEqual(copy);
});

describe("for any versions", () => {
  const integer = fc.oneof(fc.constantFrom("0", "1", "2", "10", "99999999999999999999"), fc.nat().map(String));
  const identifier = fc.oneof(integer, fc.stringMatching(/^[0-9A-Za-z-]{0,4}[A-Za-z-]$/));
  const identifiers = fc.array(identifier, { minLength: 1, maxLength: 3 }).map((list) => list.join("."));
  const suffix = (mark: string) =>
    fc.option(identifiers, { nil: undefined }).map((text) => (text === undefined ? "" : mark + text));
  const valid = fc
    .tuple(integer, integer, integer, suffix("-"), suffix("+"))
    .map(([a, b, c, prerelease, build]) => `v${a}.${b}.${c}${prerelease}${build}`);
  const version = fc.oneof({ weight: 5, arbitrary: valid }, { weight: 1, arbitrary: fc.string() });

  test("the generated ones are valid", () => {
    fc.assert(
      fc.property(valid, (v) => {
        expect(isValid(v)).toBe(true);
      }),
    );
  });

  test("the order is antisymmetric", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
      }),
    );
  });

  test("the order is transitive", () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        fc.pre(compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0);
        expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("equal means the same canonical form", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(compareVersions(a, b) === 0).toBe(canonical(a) === canonical(b));
      }),
    );
  });

  test("sorting does not depend on the order given", () => {
    fc.assert(
      fc.property(fc.array(version), (list) => {
        expect(sortVersions(list.toReversed())).toEqual(sortVersions(list));
      }),
    );
  });
});
