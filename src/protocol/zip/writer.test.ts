import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { filesOf, root, sampleModule, strictAccess } from "../../../test/support/zip-sample.ts";
import { ProtocolError } from "../error.ts";
import type { SourceFile } from "./check-files.ts";
import { hash1, hashZip } from "./hash.ts";
import { readZip } from "./reader.ts";
import { createHashedZip, createZip } from "./writer.ts";

function files(contents: Readonly<Record<string, string>>): SourceFile[] {
  return Object.entries(contents).map(([path, content]) => ({ path, content: Buffer.from(content) }));
}

function h1Of(sources: readonly SourceFile[], module = sampleModule): string {
  return hashZip(strictAccess(createZip(sources, module)), module);
}

describe("h1 of the zips go makes", () => {
  const vendored = {
    "vendor/modules.txt": "included\nsee comment in isVendoredPackage and golang.org/issue/31562.\n",
    "vendor/example.com/x/x.go": "excluded\n",
    "sub/vendor/sub.txt": "excluded\n",
  };
  const pkgVendored = "see comment in isVendoredPackage and golang.org/issue/37397\n";
  test.each([
    ["nothing", {}, "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
    [
      "a nested module, with a name that no module may have",
      {
        "go.mod": "module example.com/m\n\ngo 1.13\n",
        "sub/go.mod": "module example.com/m/sub\n",
        "sub/x.go'": "invalid name, but this shouldn't be read\n",
      },
      "h1:XduFAgX/GaspZa8Jv4pfzoGEzNaU/r88PiCunijw5ok=",
    ],
    [
      "a nested module with its go.mod in capitals",
      { "a.go": "package a\n", "b/GO.MOD": "MODULE EXAMPLE.COM/M/B\n", "b/b.go": "package b\n" },
      "h1:xctQQey8/y7IcBjFZDP/onWLSXhlqcsC3i1fgSdpMHk=",
    ],
    ["a folder named go.mod", { "go.mod/a.go": "package a\n" }, "h1:Mun5l9cBlDnnV6JasTpio2aZJSbFj++h+814mnKC/OM="],
    [
      "vendor folders before Go 1.24",
      {
        "go.mod": "module example.com/m\n\ngo 1.13\n",
        ...vendored,
        "pkg/vendor/vendor.go": `excluded\n${pkgVendored}`,
      },
      "h1:5u93LDLN0Me+NGfZtRpA5mHxY8svfykHpq4CMSaBZyc=",
    ],
    [
      "vendor folders since Go 1.24",
      {
        "go.mod": "module example.com/m\n\ngo 1.24\nmodules.txt is excluded in 1.24+. See golang.org/issue/63395\n",
        ...vendored,
        "vendor/modules.txt": "excluded\nsee comment in isVendoredPackage and golang.org/issue/31562.\n",
        "pkg/vendor/vendor.go": `included\n${pkgVendored}`,
      },
      "h1:mJR1q75yiMK6+CDw6DuhMS4v4hNoLXqkyk2Cph4VS8Q=",
    ],
  ])("%s", (_, contents, h1) => {
    expect(h1Of(files(contents))).toBe(h1);
  });
});

describe("refuses", () => {
  test.each([
    [{ "m.go": "", "M.GO": "" }, 'create zip: M.GO: case-insensitive file name collision: "m.go" and "M.GO"'],
    [{ "a.go": "", "a.go/b.go": "" }, 'create zip: a.go/b.go: entry "a.go" is both a file and a directory'],
    [{ "GO.MOD": "" }, "create zip: GO.MOD: go.mod files must have lowercase names"],
    [{ "bad.go'": "" }, `create zip: bad.go': malformed file path "bad.go'": invalid char '\\''`],
    [{ "a\nb": "" }, `create zip: "a\\nb": malformed file path "a\\nb": invalid char '\\n'`],
    [
      { "1:": "", "2:": "", "3:": "", "4:": "", "5:": "" },
      /^create zip: 1:: malformed.*; 2:: malformed.*; 3:: malformed.*; and 2 more invalid files$/,
    ],
  ])("%j", (contents, message) => {
    expect(() => createZip(files(contents), sampleModule)).toThrow(message);
    expect(() => createZip(files(contents), sampleModule)).toThrow(ProtocolError);
  });

  test("a file that comes twice", () => {
    const twice = [...files({ "dup.go": "1" }), ...files({ "dup.go": "2" })];
    expect(() => createZip(twice, sampleModule)).toThrow('create zip: dup.go: multiple entries for file "dup.go"');
  });

  test.each([
    [
      "cache",
      "v1.0.0",
      "malformed_path",
      'create zip: malformed module path "cache": missing dot in first path element',
    ],
    ["example.com/m", "v2.0.0", "malformed_version", /^create zip: .*invalid version: should be v0 or v1, not v2$/],
    [
      "example.com/m",
      "v1.0.0+bad",
      "malformed_version",
      'create zip: version "v1.0.0+bad" is not canonical (should be "v1.0.0")',
    ],
  ])("the module %s %s", (modulePath, version, code, message) => {
    const create = () => createZip([], { modulePath, version });
    expect(create).toThrow(message);
    expect(create).toThrow(expect.objectContaining({ code }));
  });

  test("more than 500 MiB", () => {
    const content = Buffer.alloc(300 * 1024 * 1024);
    const create = () =>
      createZip(
        [
          { path: "a", content },
          { path: "b", content },
        ],
        sampleModule,
      );
    expect(create).toThrow("create zip: module source tree too large (max size is 524288000 bytes)");
    expect(create).toThrow(expect.objectContaining({ code: "zip_too_large" }));
  });

  test("a name that no client could unpack", () => {
    const path = `${"d/".repeat(2100)}f`;
    expect(() => createZip(files({ [path]: "" }), sampleModule)).toThrow(/name too long \(limit is 4096 bytes\)/);
  });
});

test("keeps the order of the files and the whole version", () => {
  const module = { modulePath: "example.com/m", version: "v3.0.0+incompatible" };
  const zip = createZip(files({ "b.go": "b", "a.go": "a" }), module);
  expect(readZip(strictAccess(zip), module).entries.map(({ name }) => name)).toEqual([
    "example.com/m@v3.0.0+incompatible/b.go",
    "example.com/m@v3.0.0+incompatible/a.go",
  ]);
});

test("deflates everything, has no times, and says UTF-8 only of names beyond ASCII", () => {
  const zip = Buffer.from(createZip(files({ empty: "", "日本.go": "package m\n" }), sampleModule));
  const { entries } = readZip(strictAccess(zip), sampleModule);
  expect(entries.map(({ method, flags }) => ({ method, flags }))).toEqual([
    { method: 8, flags: 0 },
    { method: 8, flags: 0x800 },
  ]);
  for (const { headerOffset } of entries) expect(zip.readUInt32LE(headerOffset + 10)).toBe(0);
});

test("makes zip64 records for 65535 files", () => {
  const many = Array.from({ length: 0xffff }, (_, index) => ({ path: `f${index}`, content: Buffer.alloc(0) }));
  const zip = createZip(many, sampleModule);
  expect(readZip(strictAccess(zip), sampleModule).entries).toHaveLength(0xffff);
  expect(Buffer.from(zip).readUInt16LE(zip.length - 12)).toBe(0xffff);
  const fewer = createZip(many.slice(1), sampleModule);
  expect(readZip(strictAccess(fewer), sampleModule).entries).toHaveLength(0xfffe);
  expect(Buffer.from(fewer).readUInt16LE(fewer.length - 12)).toBe(0xfffe);
});

describe("for any files", () => {
  const element = fc.stringMatching(/^[a-z0-9_][a-zA-Z0-9_é日𝓐 -]{0,8}$/u).map((text) => `${text}_`);
  const path = fc.array(element, { minLength: 1, maxLength: 3 }).map((elements) => elements.join("/"));
  const content = fc
    .oneof(fc.string(), fc.uint8Array(), fc.constant("a".repeat(5000)))
    .map((data) => Buffer.from(data));
  const sources = fc.uniqueArray(fc.record({ path, content }), {
    maxLength: 6,
    selector: (file) => file.path.split("/", 1).join("").toLowerCase(),
  });

  test("what was written is what is read", () => {
    fc.assert(
      fc.property(sources, (given) => {
        const { zip, h1 } = createHashedZip(given, sampleModule);
        expect(filesOf(zip)).toEqual(Object.fromEntries(given.map((file) => [file.path, file.content.toString()])));
        const named = given.map((file) => ({ name: root + file.path, content: file.content }));
        expect(hashZip(strictAccess(zip), sampleModule)).toBe(hash1(named));
        expect(h1).toBe(hash1(named));
        expect(createZip(given, sampleModule)).toEqual(zip);
      }),
    );
  });

  test("a flipped bit is found, or changes nothing in any file", () => {
    const flipped = fc.record({ given: sources, at: fc.nat(), bit: fc.nat({ max: 7 }) });
    fc.assert(
      fc.property(flipped, ({ given, at, bit }) => {
        const zip = Buffer.from(createZip(given, sampleModule));
        const h1 = hashZip(strictAccess(zip), sampleModule);
        const position = at % zip.length;
        zip.writeUInt8(zip.readUInt8(position) ^ (1 << bit), position);
        expect(hashUnlessRefused(zip) ?? h1).toBe(h1);
      }),
      { numRuns: 3000 },
    );
  });

  test("every single bit of one zip", () => {
    const given = files({ "go.mod": "module example.com/m\n", "é/a.go": "package a // a a a a a a a\n", b: "" });
    const zip = Buffer.from(createZip(given, sampleModule));
    const h1 = hashZip(strictAccess(zip), sampleModule);
    let refused = 0;
    for (let bit = 0; bit < zip.length * 8; bit++) {
      const flipped = Buffer.from(zip);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const found = hashUnlessRefused(flipped);
      if (found === undefined) refused++;
      expect(found ?? h1).toBe(h1);
    }
    // The rest are times, versions and attributes, and the padding of the deflate streams.
    expect(refused).toBeGreaterThan(zip.length * 4);
  });
});

function hashUnlessRefused(zip: Uint8Array): string | undefined {
  try {
    return hashZip(strictAccess(zip), sampleModule);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
