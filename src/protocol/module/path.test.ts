import { describe, expect, test } from "vitest";
import { checkFilePath, checkImportPath, parseModulePath, tryParseModulePath } from "./index.ts";

// SPEC §10.1, 1
test.each([
  "x.y/z",
  "x.y",
  "x..y/z",
  "x.y-/z",
  "x.y/z.t",
  "x.y/z_",
  "x.y/z~",
  "x.y/prn2",
  "x.y/com",
  "x.y/com0",
  "x.y/com10",
  "x.y/a.aux",
  "x.y/z09~09z",
  "x.y/z.a~1",
  "x.y/z/v2",
  "x.y/v",
  "x.y/zv1",
  "gopkg.in/yaml.v0",
  "gopkg.in/yaml.v2-unstable",
  "github.com/Azure/go-autorest",
])("%s is a module path", (path) => {
  expect(parseModulePath(path)).toBe(path);
  expect(tryParseModulePath(path)).toBe(path);
});

// SPEC §10.1, 2
const badModulePaths = [
  ["", "empty string"],
  ["/x.y/z", "empty path element"],
  ["/", "trailing slash"],
  ["x./z", "trailing dot in path element"],
  [".x/z", "leading dot in path element"],
  ["x.y/../z", `invalid path element ".."`],
  ["x.y/.z", "leading dot in path element"],
  ["-x/z", "leading dash"],
  ["-x.y/z", "leading dash"],
  ["x.y//z", "double slash"],
  ["x.y/z/", "trailing slash"],
  ["x.y/z/v0", "invalid version"],
  ["x.y/z/v1", "invalid version"],
  ["x.y/z/v02", "invalid version"],
  ["x.y/z/v2.0", "invalid version"],
  ["gopkg.in/yaml", "invalid version"],
  ["gopkg.in/yaml.v01", "invalid version"],
  ["X.y/z", "invalid char 'X' in first path element"],
  ["_x.y/z", "invalid char '_' in first path element"],
  ["x.Y_/z", "invalid char 'Y' in first path element"],
  ["x.y+/z", "invalid char '+'"],
  ["x.y/a b", "invalid char ' '"],
  ["x.y/!a", "invalid char '!'"],
  ["x.y/aux.foo", `"aux" disallowed as path element component on Windows`],
  ["x.y/com1.txt", `"com1" disallowed as path element component on Windows`],
  ["x.y/Lpt9", `"Lpt9" disallowed as path element component on Windows`],
  ["x.y/z~0", "trailing tilde and digits in path element"],
  ["x.y/z~0.a", "trailing tilde and digits in path element"],
  ["x.y/z09~09z~09", "trailing tilde and digits in path element"],
  ["x☺y", "invalid char '☺'"],
  ["x.y/\u{1f600}", "invalid char '\u{1f600}'"],
  ["cache", "missing dot in first path element"],
  ["x.y/\ud800", "invalid UTF-8"],
  ["github.com/user/unicode/испытание", "invalid char 'и'"],
] as const;

test.each(badModulePaths)("%j is no module path: %s", (path, reason) => {
  expect(() => parseModulePath(path)).toThrow(
    expect.objectContaining({
      code: "malformed_path",
      message: `malformed module path "${path.replace("\ud800", "\u{fffd}")}": ${reason}`,
    }),
  );
  expect(tryParseModulePath(path)).toBeUndefined();
});

describe("other kinds of paths", () => {
  // SPEC §10.1, 3
  test.each([".x/z", "X.y/z", "_x.y/z", "x.y/z++", "x.y/z/v1", ".gitignore", "cache", "gopkg.in/yaml"])(
    "%s is an import path, but no module path",
    (path) => {
      checkImportPath(path);
      checkFilePath(path);
      expect(tryParseModulePath(path)).toBeUndefined();
    },
  );

  test.each([
    "-x/z",
    "!x.y/z",
    "x.y#/z",
    "x.y@/z",
    "x.y/z~0",
    "a b",
    "github.com/user/unicode/испытание",
    "\u{1d49c}/日",
  ])("%s is a file path, but no import path", (path) => {
    checkFilePath(path);
    expect(() => checkImportPath(path)).toThrow("malformed import path");
  });

  test.each([
    ["x.y:/z", "invalid char ':'"],
    ["x.y'/z", `invalid char '\\''`],
    ["x.y/prn", `"prn" disallowed as path element component on Windows`],
    ["x.y;/z", "invalid char ';'"],
    ["../x", `invalid path element ".."`],
    ["bad.go'", `invalid char '\\''`],
    ["a/b.", "trailing dot in path element"],
    ["/a", "empty path element"],
    ["a*", "invalid char '*'"],
    ["e\u0301", "invalid char '\u0301'"],
    ["٣", "invalid char '٣'"],
    ["\u{1f600}", "invalid char '\u{1f600}'"],
  ])("%s is no file path: %s", (path, reason) => {
    expect(() => checkFilePath(path)).toThrow(
      expect.objectContaining({ code: "malformed_path", message: `malformed file path "${path}": ${reason}` }),
    );
  });
});
