import { describe, expect, test } from "vitest";
import { recordHash } from "./hashes.ts";
import { formatTree, parseTree } from "./tree.ts";

const hash = recordHash("hello world");
const hash64 = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=";

describe("the note of a tree", () => {
  test("has its size and its hash", () => {
    const text = `go.sum database tree\n123456789012\n${hash64}\n`;
    expect(formatTree({ size: 123456789012, hash })).toBe(text);
    expect(parseTree(text)).toEqual({ size: 123456789012, hash });
    expect(parseTree(`${text}more\nlines\n`)).toEqual({ size: 123456789012, hash });
  });

  test("may have as many records as a log can", () => {
    const text = formatTree({ size: 2 ** 52, hash });
    expect(parseTree(text).size).toBe(2 ** 52);
    expect(() => formatTree({ size: 2 ** 52 + 1, hash })).toThrow("tree size 4503599627370497 is not a number");
    expect(() => formatTree({ size: 1, hash: hash.subarray(1) })).toThrow("a hash has 32 bytes, not 31");
  });

  test.each([
    ["another heading", `go.sum database tree v2\n1\n${hash64}\n`],
    ["an unended line", `go.sum database tree\n1\n${hash64}`],
    ["a missing line", "go.sum database tree\n1\n"],
    ["no size", `go.sum database tree\n\n${hash64}\n`],
    ["a negative size", `go.sum database tree\n-1\n${hash64}\n`],
    ["a sign", `go.sum database tree\n+1\n${hash64}\n`],
    ["a leading zero", `go.sum database tree\n01\n${hash64}\n`],
    ["a size beyond what is exact", `go.sum database tree\n4503599627370497\n${hash64}\n`],
    ["a short hash", "go.sum database tree\n1\nTszz\n"],
    ["a hash that is no base64", `go.sum database tree\n1\n${hash64.slice(0, -1)}\n`],
  ])("with %s is refused", (_, text) => {
    expect(() => parseTree(text)).toThrow("malformed tree note");
  });
});
