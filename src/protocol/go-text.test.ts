import { describe, expect, test } from "vitest";
import { decodeText, fields, hasText, quoteShort, trimSpace } from "./go-text.ts";

describe("trimSpace", () => {
  test.each([
    ["  a b\t\r\n", "a b"],
    ["\u0085a\u3000", "a"],
    ["\ufeffa", "\ufeffa"],
    [" \v\f ", ""],
    ["", ""],
  ])("of %j is %j", (text, trimmed) => {
    expect(trimSpace(text)).toBe(trimmed);
  });
});

describe("fields", () => {
  test.each([
    ["v1.0.0 2020-01-01T00:00:00Z\r", ["v1.0.0", "2020-01-01T00:00:00Z"]],
    ["\u00a0a\u2003b\ufeff", ["a", "b\ufeff"]],
    [" \t", []],
  ])("of %j are %j", (text, words) => {
    expect(fields(text)).toEqual(words);
    expect(hasText(text)).toBe(words.length > 0);
  });
});

test("decodeText keeps a byte order mark and replaces what is no UTF-8", () => {
  expect(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xff))).toBe("\ufeffa\ufffd");
});

describe("quoteShort", () => {
  test("escapes as go does", () => expect(quoteShort('a"\u001b[0m\u2028')).toBe(String.raw`"a\"\x1b[0m\u2028"`));
  test("shows no more than the limit", () => expect(quoteShort("x".repeat(81))).toBe(`"${"x".repeat(80)}"...`));
  test("does not cut a character in half", () => expect(quoteShort("ab😀", 3)).toBe('"ab\ufffd"...'));
});
