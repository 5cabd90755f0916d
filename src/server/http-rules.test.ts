import { describe, expect, test } from "vitest";
import { acceptRequestId, isRangeWanted, matchesEtag, parseRange } from "./http-rules.ts";

describe("parseRange", () => {
  test.each([
    ["bytes=0-9", 100, { start: 0, end: 10 }],
    ["bytes=90-", 100, { start: 90, end: 100 }],
    ["bytes=90-500", 100, { start: 90, end: 100 }],
    ["bytes=-10", 100, { start: 90, end: 100 }],
    ["bytes=-500", 100, { start: 0, end: 100 }],
    ["bytes=99-99", 100, { start: 99, end: 100 }],
    ["bytes=100-", 100, "unsatisfiable"],
    ["bytes=-0", 100, "unsatisfiable"],
    ["bytes=0-", 0, "unsatisfiable"],
    ["bytes=9-3", 100, undefined],
    ["bytes=-", 100, undefined],
    ["bytes=0-1,5-6", 100, undefined],
    ["lines=0-1", 100, undefined],
    ["bytes=a-b", 100, undefined],
    [undefined, 100, undefined],
  ] as const)("%s of %i bytes", (header, size, expected) => {
    expect(parseRange(header, size)).toEqual(expected);
  });
});

describe("validators", () => {
  test.each([
    ['"abc"', true],
    ['W/"abc"', true],
    ['"x", "abc"', true],
    ["*", true],
    ['"x"', false],
    ["abc", false],
  ])("If-None-Match: %s", (header, expected) => {
    expect(matchesEtag(header, '"abc"')).toBe(expected);
  });

  test.each([
    [undefined, true],
    ['"abc"', true],
    ['W/"abc"', false],
    ["Sat, 21 Nov 2026 08:00:00 GMT", false],
  ])("If-Range: %s", (header, expected) => {
    expect(isRangeWanted(header, '"abc"')).toBe(expected);
  });
});

test.each([
  ["a1-b2.c_3", "a1-b2.c_3"],
  ['x","level":50', undefined],
  ["", undefined],
  ["x".repeat(65), undefined],
  [["a", "b"], undefined],
  [undefined, undefined],
])("a request id from outside is taken only when it is harmless: %s", (header, expected) => {
  expect(acceptRequestId(header)).toBe(expected);
});
