import { describe, expect, test } from "vitest";
import { tryUnquote } from "./unquote.ts";

describe("tryUnquote", () => {
  test.each([
    ['""', ""],
    ['"a b"', "a b"],
    [String.raw`"\a\b\f\n\r\t\v\\\""`, '\u0007\b\f\n\r\t\v\\"'],
    [String.raw`"\x41\101\u00e9\U0001F600"`, "AAé😀"],
    [String.raw`"\xc3\xa9"`, "é"],
    [String.raw`"\xff!"`, "\ufffd!"],
    ["`a\\nb`", "a\\nb"],
    ["`a\r\nb`", "a\nb"],
    ['`"`', '"'],
    ["`'`", "'"],
    [`"'"`, "'"],
  ])("reads %s", (text, value) => {
    expect(tryUnquote(text)).toBe(value);
  });

  test.each([
    "",
    '"',
    "`",
    "abc",
    "'a'",
    '"a',
    'a"',
    '"a"b"',
    '"a`',
    "`a`b`",
    '"a\nb"',
    String.raw`"\"`,
    String.raw`"\'"`,
    String.raw`"\x4"`,
    String.raw`"\x4g"`,
    String.raw`"\08"`,
    String.raw`"\400"`,
    String.raw`"\ud800"`,
    String.raw`"\U00110000"`,
    String.raw`"\u12"`,
    String.raw`"\q"`,
    String.raw`"\n"a"`,
  ])("refuses %s", (text) => {
    expect(tryUnquote(text)).toBeUndefined();
  });
});
