import { describe, expect, test } from "vitest";
import { checkFiles, type SourceFile } from "./check-files.ts";

const mib = 1024 * 1024;

function file(path: string, content: string | Uint8Array = "x"): SourceFile {
  return { path, content: Buffer.from(content) };
}

function tree(goMod: string | undefined, ...paths: string[]): SourceFile[] {
  const root = goMod === undefined ? [] : [file("go.mod", goMod)];
  return [...root, ...paths.map((path) => file(path))];
}

function validPaths(files: readonly SourceFile[]): string[] {
  return checkFiles(files).valid.map(({ path }) => path);
}

describe("keeps, in the order given", () => {
  test.each([
    [["b.go", "a.go", ".gitignore", ".github/x.yml", "a b.txt", "日本.go", "go.sum", "LICENSE"]],
    [["go.mod/a.go"]],
    [["sub/go.mod/a.go", "sub/b.go"]],
    [["vendor/x.go", "vendored/a/b.go", "myvendor/a/b.go"]],
    [["x/.hg_archival.txt"]],
  ])("%j", (paths) => {
    expect(validPaths(tree(undefined, ...paths))).toEqual(paths);
  });
});

describe("leaves out", () => {
  const cases: [string, SourceFile[], string][] = [
    ["vendor/a/x.go", tree(undefined, "vendor/a/x.go"), "file is in vendor directory"],
    ["a/vendor/b/x.go", tree(undefined, "a/vendor/b/x.go"), "file is in vendor directory"],
    ["sub/x.go", tree(undefined, "sub/go.mod", "sub/x.go"), "file is in another module"],
    ["sub/a/b/x.go", tree(undefined, "sub/a/b/x.go", "sub/GO.mod"), "file is in another module"],
    ["sub/bad'.go", tree(undefined, "sub/go.mod", "sub/bad'.go"), "file is in another module"],
    [".hg_archival.txt", tree(undefined, ".hg_archival.txt"), "file is inserted by 'hg archive' and is always omitted"],
    ["link", [{ ...file("link"), kind: "symlink" }], "file is a symbolic link"],
    ["pipe", [{ ...file("pipe"), kind: "irregular" }], "not a regular file"],
    ["folder", [{ ...file("folder"), kind: "directory" }], "not a regular file"],
  ];
  test.each(cases)("%s", (path, files, reason) => {
    const checked = checkFiles(files);
    expect(checked.omitted).toContainEqual({ path, reason });
    expect(checked.invalid).toEqual([]);
    expect(checked.valid.map((valid) => valid.path)).not.toContain(path);
  });
});

describe("vendored packages by the go line of the module's own go.mod", () => {
  const paths = ["vendor/modules.txt", "vendor/x.go", "vendor/a/x.go", "pkg/vendor/x.go", "pkg/vendor/a/x.go"];
  const before124 = ["vendor/modules.txt", "vendor/x.go"];
  const since124 = ["vendor/x.go", "pkg/vendor/x.go"];
  test.each([
    [undefined, before124],
    ["", before124],
    ["module m\n", before124],
    ["module m\ngo 1.13\n", before124],
    ["module m\ngo 1.23.9\n", before124],
    ["module m\ngo 1.24\n", since124],
    ["module m\ngo 1.24.3\n", since124],
    ["module m\ngo 1.24rc1\n", since124],
    ["module m\ngo 1.100\n", since124],
    ["module m\ngo 2.0\n", since124],
    ["module m\ngo v1.24.x\n", since124],
    ["module m\ngo 1.24.beta1\n", since124],
    ["module m\ngo 1.24.1rc1\n", before124],
    ["module m\ngo 1.24rc01\n", before124],
    ["module m\ngo 1\n", before124],
    ["module m\ngo 1.24\nrequire x.y/z master\n", before124],
    ["module m\ngo 1.24\nno such verb\n", since124],
    ["module m\ngo 1.24\nrequire (\n", before124],
  ])("%j", (goMod, kept) => {
    expect(validPaths(tree(goMod, ...paths)).filter((path) => path !== "go.mod")).toEqual(kept);
  });

  test("a go.mod that is a link has no say", () => {
    const files = [{ ...file("go.mod", "go 1.24\n"), kind: "symlink" } as const, ...tree(undefined, ...paths)];
    expect(validPaths(files)).toEqual(before124);
  });
});

describe("refuses", () => {
  const cases: [SourceFile[], string, string][] = [
    [tree(undefined, ""), "", "file path is not clean"],
    [tree(undefined, "./a"), "./a", "file path is not clean"],
    [tree(undefined, "a/../b"), "a/../b", "file path is not clean"],
    [tree(undefined, "a/"), "a/", "file path is not clean"],
    [tree(undefined, "/a"), "/a", "file path is not relative"],
    [tree(undefined, "../a"), "../a", 'malformed file path "../a": invalid path element ".."'],
    [tree(undefined, "."), ".", 'malformed file path ".": invalid path element "."'],
    [tree(undefined, "bad.go'"), "bad.go'", `malformed file path "bad.go'": invalid char '\\''`],
    [tree(undefined, "a\ud800"), "a\ud800", 'malformed file path "a\ufffd": invalid UTF-8'],
    [tree(undefined, "GO.MOD"), "GO.MOD", "go.mod files must have lowercase names"],
    [tree(undefined, "m.go", "M.GO"), "M.GO", 'case-insensitive file name collision: "m.go" and "M.GO"'],
    [tree(undefined, "dup.go", "dup.go"), "dup.go", 'multiple entries for file "dup.go"'],
    [tree(undefined, "a.go", "a.go/b.go"), "a.go/b.go", 'entry "a.go" is both a file and a directory'],
    [
      [{ ...file("m.go"), kind: "symlink" }, file("M.GO")],
      "M.GO",
      'case-insensitive file name collision: "m.go" and "M.GO"',
    ],
    [[file("go.mod", Buffer.alloc(16 * mib + 1))], "go.mod", "go.mod file too large (max size is 16777216 bytes)"],
    [[file("LICENSE", Buffer.alloc(16 * mib + 1))], "LICENSE", "LICENSE file too large (max size is 16777216 bytes)"],
  ];
  test.each(cases.map(([files, path, reason]) => ({ files, path, reason })))(
    "$path: $reason",
    ({ files, path, reason }) => {
      expect(checkFiles(files).invalid).toEqual([{ path, reason }]);
    },
  );

  test("names only the first problem of a path", () => {
    expect(checkFiles(tree(undefined, "a", "a", "a")).invalid).toHaveLength(1);
  });

  test("more than 500 MiB of files that would be kept", () => {
    const content = Buffer.alloc(100 * mib);
    const paths = ["1", "2", "3", "4", "5"];
    const most = [...paths.map((path) => ({ path, content })), { path: "vendor/a/x", content }];
    expect(checkFiles(most).sizeProblem).toBeUndefined();
    expect(checkFiles([...most, file("6")]).sizeProblem).toBe(
      "module source tree too large (max size is 524288000 bytes)",
    );
  });
});
