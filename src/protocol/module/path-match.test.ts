import { expect, test } from "vitest";
import { pathMatch } from "./index.ts";

test.each([
  ["abc", "abc"],
  ["", ""],
  ["*", "abc"],
  ["*", ""],
  ["*c", "abc"],
  ["a*", "a"],
  ["a*/b", "abc/b"],
  ["a*b*c*d*e*/f", "axbxcxdxexxx/f"],
  ["a*b?c*x", "abxbbxdbxebxczzx"],
  ["ab[c]", "abc"],
  ["ab[b-d]", "abc"],
  ["ab[^e-g]", "abc"],
  ["a\\*b", "a*b"],
  ["a?b", "a☺b"],
  ["a[^a]b", "a☺b"],
  ["[a-ζ]*", "α"],
  ["[\\]a]", "]"],
  ["[\\-x]", "-"],
  ["[x\\-]", "x"],
  ["*x", "xxx"],
  ["[^a]", "/"],
  ["*??", "日"],
])("%s matches %s", (pattern, name) => {
  expect(pathMatch(pattern, name)).toBe(true);
});

test.each([
  ["abc", "ab"],
  ["ab", "abc"],
  ["", "a"],
  ["a*", "ab/c"],
  ["a*/b", "a/c/b"],
  ["a*b*c*d*e*/f", "axbxcxdxexxx/fff"],
  ["a*b?c*x", "abxbbxdbxebxczzy"],
  ["ab[e-g]", "abc"],
  ["ab[^c]", "abc"],
  ["a???b", "a☺b"],
  ["a[^a][^a]b", "a☺b"],
  ["*[a-ζ]", "A"],
  ["a?b", "a/b"],
  ["a*b", "a/b"],
  ["?", ""],
  ["[z-a]", "m"],
  ["*[^x]*", "a/b"],
  ["abc", "ABC"],
])("%s does not match %s", (pattern, name) => {
  expect(pathMatch(pattern, name)).toBe(false);
});

test.each([
  "[]a]",
  "[-]",
  "[x-]",
  "[-x]",
  "[a-b-c]",
  "[",
  "[^",
  "[^bc",
  "a[",
  "a\\",
  "[\\",
  "[a-",
  "[a-\\",
  "*[",
  "x*y[]",
])("%s is malformed, whatever it is matched with", (pattern) => {
  for (const name of ["", "a", "abc", "a/b"]) {
    expect(() => pathMatch(pattern, name)).toThrow(
      expect.objectContaining({
        code: "malformed_pattern",
        message: expect.stringContaining("syntax error in pattern"),
      }),
    );
  }
});

test("many stars cost no more than pattern times name", () => {
  // A matcher that lets every star grow again would not end.
  expect(pathMatch("a*".repeat(5000) + "b", "a".repeat(20_000))).toBe(false);
});
