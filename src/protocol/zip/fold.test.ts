import { describe, expect, test } from "vitest";
import { foldName } from "./fold.ts";

describe("folds together what go's EqualFold does", () => {
  test.each([
    ["HELLO.go", "hello.GO"],
    ["K", "\u212a"],
    ["LICENSE/K", "license/\u212a"],
    ["ſ", "S"],
    ["ß", "ẞ"],
    ["Σσ", "ςΣ"],
    ["Å", "\u212b"],
    ["ǅ", "ǆ"],
    ["ᾀ", "ᾈ"],
    ["ꭰ", "Ꭰ"],
    ["𐐀", "𐐨"],
    ["ͅ", "ι"],
  ])("%s %s", (a, b) => {
    expect(foldName(a)).toBe(foldName(b));
  });
});

describe("keeps apart what go's EqualFold does", () => {
  test.each([
    ["ß", "ss"],
    ["İ", "i"],
    ["ı", "I"],
    ["ﬀ", "ff"],
    ["é", "e"],
    ["ŉ", "ʼn"],
    ["a/b", "a-b"],
    ["é", "e\u0301"],
  ])("%s %s", (a, b) => {
    expect(foldName(a)).not.toBe(foldName(b));
  });
});

test("leaves names as they are that have no case", () => {
  expect(foldName("a/b-c_0.go")).toBe("a/b-c_0.go");
  expect(foldName("日本/語.go")).toBe("日本/語.go");
});
