import { expect, test } from "vitest";
import { goQuote, goQuoteChar, isPrintable } from "./quote.ts";

// What strconv.Quote of Go answers.
test.each([
  ["", `""`],
  ["a'b", `"a'b"`],
  ['say "\\"', String.raw`"say \"\\\""`],
  ["\u0007\b\f\n\r\t\v", String.raw`"\a\b\f\n\r\t\v"`],
  ["\u0000\u007f", String.raw`"\x00\x7f"`],
  ["☺é日𝒜", `"☺é日𝒜"`],
  ["\u00a0\u200b\ue000", String.raw`"\u00a0\u200b\ue000"`],
  ["\u{10ffff}", String.raw`"\U0010ffff"`],
  ["\ud800", `"\u{fffd}"`],
])("%j is quoted as %s", (text, quoted) => {
  expect(goQuote(text)).toBe(quoted);
});

test.each([
  ["x", "'x'"],
  ["'", String.raw`'\''`],
  ['"', `'"'`],
  ["\\", String.raw`'\\'`],
  ["\n", String.raw`'\n'`],
  ["☺", "'☺'"],
])("the character %j is quoted as %s", (char, quoted) => {
  expect(goQuoteChar(char)).toBe(quoted);
});

test.each([
  ["a", true],
  [" ", true],
  ["é", true],
  ["☺", true],
  ["\u00a0", false],
  ["\ufeff", false],
  ["\0", false],
  ["\n", false],
])("isPrintable(%j) is %s", (character, expected) => {
  expect(isPrintable(character)).toBe(expected);
});
