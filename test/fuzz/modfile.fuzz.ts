import assert from "node:assert/strict";
import { parseModFile, scanModulePath } from "../../src/protocol/modfile/index.ts";

export const name = "modfile";

/** go.mod files with every directive and most of the syntax's corners. Also what the oracle test starts from. */
export const seeds: readonly Uint8Array[] = [
  `// A module.

// Deprecated: use x.y/new
// instead.
module x.y/z // the old one

go 1.24.0

toolchain go1.26.0

godebug (
	default=go1.21
	panicnil=1
)

require a.b/c v1.2.3 // indirect

require (
	// A comment.
	a.b/d/v2 v2.0.0-rc.1 // indirect; for tests

	"a.b/e" v1 // not indirect
	gopkg.in/f.v3 v3.0.0-20200101000000-abcdef123456
	a.b/g v2.0.0+incompatible // indirect

	// The end.
)

exclude a.b/c v1.2.4

replace (
	a.b/c => ../c // here
	a.b/d/v2 v2.0.0-rc.1 => a.b/fork v1.0.0
	a.b/e => "./with space"
)

// Both are broken.
retract (
	v1.0.0
	[v1.1.0, v1.2.0] // badly

	// Oops.
	v1.3.0
)

tool a.b/c/cmd/t

ignore (
	./node_modules
	static
)
`,
  "module x.y/z\r\n\r\ngo 1.13\r\n\r\nrequire (\r\n\ta.b/c v1.0.0 // indirect\r\n)\r\n",
  "module (\n\t// Deprecated: in a block.\n\tx.y/z\n)\ngo 1.20 // why\nretract [ v1.0.0 , v1.9.0 ] // all\n",
  '// Deprecated:\tone\n//\n// Deprecated: two\n//\nmodule "x.y\\u002fz" // Deprecated: three\nretract v1 // a // b\n',
  "module x // 1\n\n// c\n\n// d\nrequire a.b/c v1.0.0 //indirect\nrequire a.b/d v1.1 //  indirect ; x\nretract ( // e\n\tv1 // f\n) // g\n",
  "go v1.2.3\nmodule `x.y/z`\n",
  "go 1.2.beta1\nretract bogus soon\nretract [v1, v2\nfrobnicate x {y} [z]\nfuture (\n\tx ( y )\n)\nmodule x/\n",
  "require ()\nexclude ( ) // none\nretract (\n\n\n)\nmodule x\n",
  "module a\nmodule b\nrequire a.b/c master\nrequire (\n\ta.b/c/v2 v1.0.0\n\ta.b/c/v1 v1\n\ta.b/c\n)\nreplace a.b/c => x\nfoo bar\n",
  "replace a.b/c v1 => x v1.2\nreplace a.b/c => .\\x\nreplace a.b/c => x@v1\nreplace a.b/c => C:\\x v1.0.0\nreplace => x\ntoolchain 1.21\ngodebug x\n",
  'module "x\\\n" // c\n',
  "module x /* c */\n",
  "\ufeffmodule x\n",
  "unknown \"é☺\\\ny\" 'z' // c\n// Deprecated: d\nmodule é☺//e\n",
  "",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  "module ",
  "go ",
  "toolchain ",
  "godebug ",
  "require ",
  "exclude ",
  "replace ",
  "retract ",
  "tool ",
  "ignore ",
  "a.b/c",
  "a.b/c/v2",
  "gopkg.in/f.v3",
  "v1",
  "v1.2.3",
  "v2.0.0+incompatible",
  "1.21",
  "go1.21",
  " => ",
  "./x",
  "[v1, v2]",
  " (\n",
  "\n)\n",
  "()",
  "\n\n",
  "\r\n",
  "\t",
  "\n//\n",
  "// Deprecated: x\n",
  "// indirect",
  " // c\n",
  "/*",
  '"',
  "`",
  "\\",
  '"\\x41"',
  "'",
  "a=b",
];

export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  assert.equal(scanModulePath(input), scanModulePath(text));
  const lax = parseModFile(input, { lax: true });
  assert.deepEqual(parseModFile(text, { lax: true }), lax);
  // What is right for a main module says the same of it as a dependency.
  const { requires, retracts, ignores, ...strict } = parseModFile(input, { lax: false });
  assert.deepEqual(
    [requires, retracts, ignores, strict.module, strict.deprecated, strict.go],
    [lax.requires, lax.retracts, lax.ignores, lax.module, lax.deprecated, lax.go],
  );
}
