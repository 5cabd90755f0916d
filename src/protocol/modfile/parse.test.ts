import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../error.ts";
import { maxParsedBytes, parseModFile } from "./index.ts";
import type { ModFile } from "./index.ts";

const everything = `// A module.

// Deprecated: use x.y/new
// instead.
module x.y/z // the old one

go 1.24.0

toolchain go1.26.0

godebug default=go1.21

require a.b/c v1.2.3 // indirect

require (
	// A comment.
	a.b/d/v2 v2.0.0-rc.1 // indirect; for tests

	"a.b/e" v1 // not indirect
	gopkg.in/f.v3 v3.0.0-20200101000000-abcdef123456
	a.b/g v2.0.0+incompatible
)

exclude a.b/c v1.2.4

replace (
	a.b/c => ../c
	a.b/d/v2 v2.0.0-rc.1 => a.b/fork v1.0.0
)

// Both are broken.
retract (
	v1.0.0
	[v1.1.0, v1.2.0] // badly
)

retract v1.3.0 // oops

tool a.b/c/cmd/t

ignore ./node_modules
`;

describe("parseModFile reads", () => {
  test("every directive of a main module", () => {
    expect(parseModFile(everything, { lax: false })).toEqual({
      module: "x.y/z",
      deprecated: "use x.y/new\ninstead.\nthe old one",
      go: "1.24.0",
      toolchain: "go1.26.0",
      requires: [
        { path: "a.b/c", version: "v1.2.3", indirect: true },
        { path: "a.b/d/v2", version: "v2.0.0-rc.1", indirect: true },
        { path: "a.b/e", version: "v1.0.0", indirect: false },
        { path: "gopkg.in/f.v3", version: "v3.0.0-20200101000000-abcdef123456", indirect: false },
        { path: "a.b/g", version: "v2.0.0+incompatible", indirect: false },
      ],
      excludes: [{ path: "a.b/c", version: "v1.2.4" }],
      replaces: [
        { oldPath: "a.b/c", newPath: "../c" },
        { oldPath: "a.b/d/v2", oldVersion: "v2.0.0-rc.1", newPath: "a.b/fork", newVersion: "v1.0.0" },
      ],
      retracts: [
        { low: "v1.0.0", high: "v1.0.0", rationale: "Both are broken." },
        { low: "v1.1.0", high: "v1.2.0", rationale: "badly" },
        { low: "v1.3.0", high: "v1.3.0", rationale: "oops" },
      ],
      tools: ["a.b/c/cmd/t"],
      ignores: ["./node_modules"],
      godebugs: [{ key: "default", value: "go1.21" }],
    });
  });

  test("of a dependency only what concerns others", () => {
    const { requires, ignores, retracts, ...lax } = parseModFile(Buffer.from(everything), { lax: true });
    expect([requires.length, ignores.length, retracts.length]).toEqual([5, 1, 3]);
    expect(lax).toMatchObject({ module: "x.y/z", go: "1.24.0", excludes: [], replaces: [], tools: [], godebugs: [] });
    expect(lax.toolchain).toBeUndefined();
  });

  test("an empty file", () => {
    expect(parseModFile("", { lax: false })).toMatchObject({ requires: [], retracts: [] });
    expect(parseModFile("", { lax: false }).module).toBeUndefined();
  });

  test.each<[string, string, object]>([
    [
      "CRLF",
      "module x.y/z\r\n\r\nrequire (\r\n\ta.b/c v1.0.0 // indirect\r\n)\r\n",
      { requires: [{ indirect: true }] },
    ],
    ["a quoted module path", String.raw`module "x.y\u002fz"`, { module: "x.y/z" }],
    ["an empty module path", 'module ""', { module: "" }],
    ["a module block", "module (\n\tx.y/z\n)", { module: "x.y/z" }],
    ["empty blocks", "require ()\nretract (\n)\nmodule x", { module: "x" }],
    ["no newline at the end", "module x.y/z", { module: "x.y/z" }],
    ["a comment right behind a word", "module x.y/z//c", { module: "x.y/z" }],
    ["a slash that is no comment", "module x.y/z/", { module: "x.y/z/" }],
    ["unicode", "module é☺", { module: "é☺" }],
  ])("%s", (_, text, expected) => {
    expect(parseModFile(text, { lax: false })).toMatchObject(expected);
    expect(parseModFile(text, { lax: true })).toMatchObject(expected);
  });
});

describe("the go directive", () => {
  test.each([
    ["1.13", "1.13"],
    ["1.21.0", "1.21.0"],
    ["1.21rc1", "1.21rc1"],
    ["1.21.0beta2", "1.21.0beta2"],
  ])("%s is read in both modes", (written, version) => {
    expect(parseModFile(`go ${written}`, { lax: false }).go).toBe(version);
    expect(parseModFile(`go ${written}`, { lax: true }).go).toBe(version);
  });

  // SPEC §10.6, 53
  test.each([
    ["1.2.beta1", "1.2"],
    ["v1.2.3", "1.2"],
    ["1.20-custom", "1.20"],
    ["1.2.3.4", "1.2"],
  ])("%s is read in lax mode only", (written, version) => {
    expect(parseModFile(`go ${written}`, { lax: true }).go).toBe(version);
    expect(() => parseModFile(`go ${written}`, { lax: false })).toThrow(
      `go.mod:1: invalid go version '${written}': must match format 1.23.0`,
    );
  });

  test.each([
    ["go 1", "go.mod:1: invalid go version '1': must match format 1.23.0"],
    ["go 1.01", "go.mod:1: invalid go version '1.01': must match format 1.23.0"],
    ["go v1.2", "go.mod:1: invalid go version 'v1.2': must match format 1.23.0"],
    ["go", "go.mod:1: go directive expects exactly one argument"],
    ["go 1.2 3.4", "go.mod:1: go directive expects exactly one argument"],
    ["go 1.20\ngo 1.20", "go.mod:2: repeated go statement"],
  ])("%j is refused in both modes", (text, message) => {
    expect(() => parseModFile(text, { lax: true })).toThrow(message);
    expect(() => parseModFile(text, { lax: false })).toThrow(message);
  });
});

describe("the deprecation notice", () => {
  test.each<[string, string | undefined]>([
    ["//Deprecated:blah\nmodule x", "blah"],
    ["// deprecated: x\nmodule x", undefined],
    ["// other\n// Deprecated: x\nmodule x", undefined],
    ["// other\n//\n// Deprecated: x\nmodule x", "x"],
    ["// Deprecated: x\n//\n// other\nmodule x", "x"],
    ["module x // Deprecated: y", "y"],
    ["// Deprecated: x\n\nmodule x", undefined],
    ["// Deprecated: x\nmodule (\n\tx\n)", "x"],
    ["// Deprecated: x\nmodule (\n\tx // own\n)", undefined],
    ["module (\n\t// Deprecated: y\n\tx\n)", "y"],
    ["module x\n// Deprecated: y", undefined],
    ["// Deprecated:\nmodule x", undefined],
    ["// Deprecated: a\n//\n// Deprecated: b\nmodule x", "a"],
  ])("of %j is %j", (text, deprecated) => {
    expect(parseModFile(text, { lax: true }).deprecated).toBe(deprecated);
  });
});

describe("retractions", () => {
  test.each<[string, ModFile["retracts"]]>([
    ["retract v1", [{ low: "v1", high: "v1", rationale: "" }]],
    ["retract bogus", [{ low: "bogus", high: "bogus", rationale: "" }]],
    ['retract ["v1.0.0", v1.1.0]', [{ low: "v1.0.0", high: "v1.1.0", rationale: "" }]],
    ["// a\nretract v1 // b", [{ low: "v1", high: "v1", rationale: "a\nb" }]],
    ["// a\nretract (\n\tv1\n)", [{ low: "v1", high: "v1", rationale: "a" }]],
    [
      "// a\nretract (\n\tv1\n\n\tv2\n)",
      [
        { low: "v1", high: "v1", rationale: "a" },
        { low: "v2", high: "v2", rationale: "" },
      ],
    ],
    ["retract ( // a\n\tv1 // b\n) // c", [{ low: "v1", high: "v1", rationale: "b" }]],
  ])("of %j", (text, retracts) => {
    expect(parseModFile(text, { lax: false }).retracts).toEqual(retracts);
  });

  test.each([
    ["retract", "expected '[' or version"],
    ["retract [", "expected version after '['"],
    ["retract [v1", "expected ',' after version"],
    ["retract [v1,", "expected version after ','"],
    ["retract [v1, v2", "expected ']' after version"],
    ["retract (v1)", "expected '[' or version"],
    ["retract 'v1", `retract: version "'v1" invalid: unquoted string cannot contain quote`],
  ])("%j are refused, and passed over in lax mode", (text, message) => {
    expect(() => parseModFile(text, { lax: false })).toThrow(`go.mod:1: ${message}`);
    expect(parseModFile(text, { lax: true }).retracts).toEqual([]);
  });

  test("may be followed by something only in lax mode", () => {
    expect(parseModFile("retract v1 soon", { lax: true }).retracts).toHaveLength(1);
    expect(() => parseModFile("retract v1 soon", { lax: false })).toThrow('unexpected token after version: "soon"');
  });
});

describe("parseModFile refuses in both modes", () => {
  test.each([
    ["module x\nmodule y", "go.mod:2: repeated module statement"],
    ["module", "go.mod:1: usage: module module/path"],
    ["module x y", "go.mod:1: usage: module module/path"],
    ["module `x`", "go.mod:1: invalid quoted string: unquoted string cannot contain quote"],
    [String.raw`module "\q"`, "go.mod:1: invalid quoted string: invalid syntax"],
    ["ignore", "go.mod:1: ignore directive expects exactly one argument"],
    ["\nrequire a.b/c", "go.mod:2: usage: require module/path v1.2.3"],
    ["require a.b/c master", 'go.mod:1: require a.b/c: version "master" invalid: must be of the form v1.2.3'],
    ["require a.b/c/v2 v1.0.0", 'go.mod:1: require a.b/c/v2: version "v1.0.0" invalid: should be v2, not v1'],
    ["require a.b/c v2.0.0", 'go.mod:1: require a.b/c: version "v2.0.0" invalid: should be v0 or v1, not v2'],
    ["require a.b/c/v1 v1.0.0", "go.mod:1: invalid module path"],
    ["require (\n\ta.b/c x\n)", 'go.mod:2:2: require a.b/c: version "x" invalid: must be of the form v1.2.3'],
    ["module x\n/* c */", "go.mod:2: mod files must use // comments (not /* */ comments)"],
    ["module x/*c", "go.mod:1:9: mod files must use // comments (not /* */ comments)"],
    ["module \u0001", String.raw`go.mod:1:8: unexpected input character '\x01'`],
    ["\ufeffmodule x", String.raw`go.mod:1: unexpected input character '\ufeff'`],
    ['module "x', "go.mod:1:8: unexpected EOF in string"],
    ['module "x\ny"', "go.mod:1:10: unexpected newline in string"],
    ['module "x\\', "go.mod:1:8: unexpected EOF in string"],
    ["module x\nrequire (", "go.mod:2:10: syntax error (unterminated block started at go.mod:2:1)"],
    ["require (\n) x", "go.mod:2:4: syntax error (expected newline after closing paren)"],
  ])("%j", (text, message) => {
    for (const lax of [true, false]) {
      expect(() => parseModFile(text, { lax })).toThrow(
        expect.objectContaining({ name: "ProtocolError", code: "malformed_gomod", message }),
      );
    }
  });
});

describe("parseModFile refuses in strict mode and passes over in lax mode", () => {
  const usage =
    "go.mod:1: usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory";

  test.each([
    ["frobnicate x", "go.mod:1: unknown directive: frobnicate"],
    ["(", "go.mod:1: unknown directive: ("],
    ["frobnicate (\n\tx\n)", "go.mod:1: unknown block type: frobnicate"],
    ["require x (\n)", "go.mod:1: unknown block type: require x"],
    ["go (\n\t1.20\n)", "go.mod:1: unknown block type: go"],
    ["toolchain", "go.mod:1: toolchain directive expects exactly one argument"],
    ["toolchain 1.21", "go.mod:1: invalid toolchain version '1.21': must match format go1.23.0 or default"],
    ["toolchain default\ntoolchain go1", "go.mod:2: repeated toolchain statement"],
    ["godebug x", "go.mod:1: usage: godebug key=value"],
    ["godebug a=b c", "go.mod:1: usage: godebug key=value"],
    ["godebug a='b", "go.mod:1: usage: godebug key=value"],
    ["tool", "go.mod:1: tool directive expects exactly one argument"],
    ["exclude a.b/c", "go.mod:1: usage: exclude module/path v1.2.3"],
    ["exclude a.b/c v2.0.0", 'go.mod:1: exclude a.b/c: version "v2.0.0" invalid: should be v0 or v1, not v2'],
    ["replace a.b/c", usage],
    ["replace a.b/c => ", usage],
    ["replace a.b/c => x v1.0.0 y", usage],
    ["replace a.b/c/v1 => ./x", "go.mod:1: replace a.b/c/v1: invalid module path"],
    ["replace a.b/c x => ./x", 'go.mod:1: replace a.b/c: version "x" invalid: must be of the form v1.2.3'],
    ["replace a.b/c v2.0.0 => ./x", 'go.mod:1: replace a.b/c: version "v2.0.0" invalid: should be v0 or v1, not v2'],
    ["replace a.b/c => x@v1", "go.mod:1: replacement module must match format 'path version', not 'path@version'"],
    [
      "replace a.b/c => x",
      "go.mod:1: replacement module without version must be directory path (rooted or starting with . or ..)",
    ],
    [
      String.raw`replace a.b/c => .\x`,
      "go.mod:1: replacement directory appears to be Windows path (on a non-windows system)",
    ],
    ["replace a.b/c => ./x v1.0.0", 'go.mod:1: replacement module directory path "./x" cannot have version'],
    ["replace a.b/c => x master", 'go.mod:1: replace x: version "master" invalid: must be of the form v1.2.3'],
  ])("%j", (text, message) => {
    expect(() => parseModFile(text, { lax: false })).toThrow(
      expect.objectContaining({ name: "ProtocolError", code: "malformed_gomod", message }),
    );
    expect(parseModFile(text, { lax: true })).toMatchObject({ requires: [], replaces: [] });
  });
});

describe("messages", () => {
  test("have a line for each problem, in the file's order", () => {
    expect(() => parseModFile("module\nrequire (\n\tx y\n\tz\n)\nfoo", { lax: false })).toThrow(
      [
        "go.mod:1: usage: module module/path",
        'go.mod:3:2: require x: version "y" invalid: must be of the form v1.2.3',
        "go.mod:4:2: usage: require module/path v1.2.3",
        "go.mod:6: unknown directive: foo",
      ].join("\n"),
    );
  });

  test("stay short however much is wrong", () => {
    expect(messageOf("foo\n".repeat(1000)).split("\n")).toHaveLength(11);
    expect(messageOf("foo\n".repeat(1000))).toMatch(/\ngo\.mod: too many errors$/);
    expect(messageOf("x".repeat(maxParsedBytes)).length).toBeLessThan(2100);
  });

  test("carry nothing that a terminal would act on", () => {
    expect(messageOf('toolchain "\u001b[31m"')).toBe(
      `go.mod:1: invalid toolchain version '"\ufffd[31m"': must match format go1.23.0 or default`,
    );
  });
});

test("a file that is too large is refused, and one of the largest size is not too much", () => {
  expect(() => parseModFile("\n".repeat(maxParsedBytes + 1), { lax: true })).toThrow(
    expect.objectContaining({
      code: "malformed_gomod",
      message: "go.mod: 1048577 bytes are more than the 1048576 that are parsed",
    }),
  );
  for (const line of ["x\n", "retract\n", "(\n", "//\n"]) {
    expect(outcome(line.repeat(maxParsedBytes / line.length), true)).toMatch(/^(read|malformed_gomod)$/);
  }
});

test("any input is read or refused", () => {
  const pieces = fc.constantFrom(
    ...'module |go |require |retract |replace |exclude |x.y/z |v1.0.0 |=> |(|)|[|]|,|\n|\r\n|\t|// |/*|"|`|\\|1.20|é|\0'.split(
      "|",
    ),
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(pieces, fc.string({ unit: "binary" })), { maxLength: 60 }),
      fc.boolean(),
      (parts, lax) => {
        expect(outcome(parts.join(""), lax)).toMatch(/^(read|malformed_gomod)$/);
      },
    ),
    { numRuns: 3000 },
  );
});

function outcome(text: string, lax: boolean): string {
  try {
    parseModFile(text, { lax });
    return "read";
  } catch (error) {
    return error instanceof ProtocolError ? error.code : String(error);
  }
}

function messageOf(text: string): string {
  try {
    parseModFile(text, { lax: false });
  } catch (error) {
    if (error instanceof ProtocolError) return error.message;
    throw error;
  }
  throw new Error("was read");
}
