import { describe, expect, test } from "vitest";
import { rawZip } from "../../../test/support/raw-zip.ts";
import { refusalOf, type Refusal } from "../../../test/support/zip-refusal.ts";
import { hello, junk, mib, packedHello, root, sampleModule } from "../../../test/support/zip-sample.ts";
import { randomAccess, type RandomAccess } from "./random-access.ts";
import { readZip } from "./reader.ts";

const refusals: Record<string, Refusal> = {
  // Names.
  ...Object.fromEntries(
    (
      [
        ["/etc/passwd", /path does not have prefix "example\.com\/m@v1\.0\.0\/"/],
        ["../../etc/passwd", /path does not have prefix/],
        ["hello.go", /path does not have prefix/],
        ["", /path does not have prefix/],
        ["example.com/m@v1.0.1/hello.go", /path does not have prefix/],
        ["example.com/M@v1.0.0/hello.go", /path does not have prefix/],
        ["example.com/m@v1.0.0", /path does not have prefix/],
        ["example.com\\m@v1.0.0\\hello.go", /path does not have prefix/],
        [`${root}../hello.go`, /malformed file path "\.\.\/hello\.go": invalid path element "\.\."/],
        [`${root}sub/../hello.go`, /file path is not clean/],
        [`${root}./hello.go`, /file path is not clean/],
        [`${root}sub//hello.go`, /file path is not clean/],
        [`${root}/hello.go`, /malformed file path "\/hello\.go": empty path element/],
        [`${root}..`, /invalid path element "\.\."/],
        [`${root}sub\\hello.go`, /invalid char '\\\\'/],
        [`${root}c:hello.go`, /invalid char ':'/],
        [`${root}a\nb.go`, /@v1\.0\.0\/a\\nb\.go": malformed file path "a\\nb\.go": invalid char '\\n'/],
        [`${root}a\0b.go`, /invalid char '\\x00'/],
        [`${root}aux.go`, /"aux" disallowed as path element component on Windows/],
        [`${root}trailing./a.go`, /trailing dot in path element/],
        [`${root}\ufeffa.go`, /invalid char '\\ufeff'/],
        [`${root}GO.MOD`, /GO\.MOD": go\.mod files must have lowercase names/],
        [`${root}Go.mod`, /go\.mod files must have lowercase names/],
        [`${root}sub/go.mod`, /sub\/go\.mod": go\.mod file not in module root directory/],
        [`${root}sub/GO.mod`, /go\.mod file not in module root directory/],
        [`${root}${"d/".repeat(2100)}f`, /a name of \d+ bytes; limit is 4096 bytes/],
      ] satisfies [string, RegExp][]
    ).map(([name, message]): [string, Refusal] => [
      `the name ${JSON.stringify(name.slice(0, 60))}`,
      { zip: rawZip([{ ...hello, name }]), message },
    ]),
  ),
  "a name that is not UTF-8": {
    zip: rawZip([{ ...hello, name: Buffer.concat([Buffer.from(root), Buffer.from([0xe9, 0x2e, 0x67, 0x6f])]) }]),
    message: /its name is not UTF-8/,
  },
  "the same name twice": { zip: rawZip([hello, hello]), message: /multiple entries for file "hello\.go"/ },
  "the same folder twice": {
    zip: rawZip([
      { name: `${root}sub/`, method: 0 },
      { name: `${root}sub/`, method: 0 },
    ]),
    message: /sub\/": multiple entries for the directory/,
  },
  "a folder with content": {
    zip: rawZip([{ ...hello, name: `${root}sub/`, method: 0 }]),
    message: /sub\/": a directory of 42 bytes/,
  },
  "a folder with a deflate stream of something": {
    zip: rawZip([{ name: `${root}sub/`, packed: packedHello }]),
    message: /sub\/": its content has more than 0 bytes/,
  },
  ...Object.fromEntries(
    (
      [
        ["hello.go", "HELLO.GO"],
        ["a/x.go", "A/y.go"],
        ["straße/k.go", "STRAẞE/k.go"],
        ["k.go", "\u212a.go"],
        ["σ.go", "ς.go"],
        ["ſ/a", "S/b"],
      ] as const
    ).map(([first, second]): [string, Refusal] => [
      `${first} beside ${second}`,
      {
        zip: rawZip([
          { ...hello, name: root + first },
          { ...hello, name: root + second },
        ]),
        message: /case-insensitive file name collision: "[^"]+" and "[^"]+"/,
      },
    ]),
  ),
  "a file that is a folder for another": {
    zip: rawZip([
      { ...hello, name: `${root}a` },
      { ...hello, name: `${root}a/b` },
    ]),
    message: /entry "a" is both a file and a directory/,
  },
  "a folder that is a file for another": {
    zip: rawZip([
      { ...hello, name: `${root}a/b` },
      { ...hello, name: `${root}a` },
    ]),
    message: /entry "a" is both a file and a directory/,
  },

  // Sizes.
  "a go.mod larger than 16 MiB": {
    zip: rawZip([{ name: `${root}go.mod`, content: Buffer.alloc(16 * mib + 1) }]),
    message: /go\.mod file too large \(max size is 16777216 bytes\)/,
  },
  "a LICENSE larger than 16 MiB": {
    zip: rawZip([{ name: `${root}LICENSE`, content: Buffer.alloc(16 * mib + 1) }]),
    message: /LICENSE file too large \(max size is 16777216 bytes\)/,
  },
  "more folders than any module has": {
    zip: rawZip(
      Array.from({ length: 600 }, (_, index) => ({ name: `${root}${index}/${"d/".repeat(1900)}f`, method: 0 })),
    ),
    message: /module zip has too many files and folders \(limit is 1000000\)/,
    code: "zip_too_large",
  },
  "more than 500 MiB unpacked": {
    zip: rawZip(Array.from({ length: 6 }, (_, index) => ({ name: `${root}${index}`, packed: junk, size: 84 * mib }))),
    message: /total uncompressed size of module contents too large \(max size is 524288000 bytes\)/,
    code: "zip_too_large",
  },
};

describe("refuses a module with a wrong name or size", () => {
  test.each(Object.entries(refusals))("%s", async (_, { zip, message, code = "malformed_zip" }) => {
    const error = await refusalOf(zip);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  test("a file larger than 500 MiB, before reading anything of it", () => {
    const source: RandomAccess = { size: 500 * mib + 1, read: () => expect.unreachable("nothing is read") };
    expect(() => readZip(source, sampleModule)).toThrow(
      /module zip file is too large \(524288001 bytes; limit is 524288000 bytes\)/,
    );
  });

  test.each([
    ["cache", "v1.0.0", /malformed module path "cache": missing dot in first path element/],
    ["example.com/m", "v2.0.0", /invalid version: should be v0 or v1, not v2/],
    ["example.com/m", "v1.0.0+bad", /version "v1\.0\.0\+bad" is not canonical \(should be "v1\.0\.0"\)/],
    ["example.com/m", "v1", /version "v1" is not canonical \(should be "v1\.0\.0"\)/],
    ["example.com/m", "master", /version "master" is not canonical \(should be ""\)/],
  ])("the module %s %s", (modulePath, version, message) => {
    expect(() => readZip(randomAccess(rawZip([])), { modulePath, version })).toThrow(message);
  });

  test("a long name, shown in part and without half a character", async () => {
    const zip = rawZip([{ ...hello, name: `${root}${"😀".repeat(200)}` }]);
    const { message } = await refusalOf(zip);
    expect(message).toMatch(/entry "example\.com\/m@v1\.0\.0\/(😀){80,90}\ufffd?"…: malformed file path/u);
  });
});
