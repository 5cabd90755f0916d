import { expect, test } from "vitest";
import { isCleanPath } from "./clean-path.ts";

test.each([".", "..", "/", "a", "a/b", "/a", "../a", "../../a", "a..b", ".a", "..a/b", "...", "a/..."])(
  "%j is clean",
  (path) => {
    expect(isCleanPath(path)).toBe(true);
  },
);

test.each([
  "",
  "./a",
  "a/.",
  "a/",
  "//",
  "/a/",
  "a//b",
  "a/./b",
  "a/..",
  "a/../b",
  "../a/..",
  "/..",
  "/../a",
  "/.",
  "./.",
])("%j is not clean", (path) => {
  expect(isCleanPath(path)).toBe(false);
});
