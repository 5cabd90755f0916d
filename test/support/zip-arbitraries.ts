import * as fc from "fast-check";
import { createZip, type SourceFile } from "../../src/protocol/zip/index.ts";
import { rawDescriptor, rawExtra, rawZip, type RawEntry } from "./raw-zip.ts";
import { hello, helloFields, other, root, sampleModule } from "./zip-sample.ts";

// Source trees that run into every rule of module zips, and zips that are almost right.

const words = (list: string) => fc.constantFrom(...list.split("|"));

const goMod = fc.oneof(
  {
    weight: 8,
    arbitrary: words(
      "1.13|1.23|1.24|1.24|1.24.0|1.24.7|1.24rc1|1.24rc01|1.24.1rc1|1.25|1.9|1.100|2.0|v1.24.x|1.24.beta1|1.24x|1|1.24 1.25||x|1.23.99|1.024|3.1",
    ).map((version) => `module example.com/m\n\ngo ${version}\n`),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "",
      "module example.com/m\n",
      "go 1.24\n",
      "\ufeffmodule example.com/m\n\ngo 1.24\n",
      "module example.com/m\r\ngo 1.24\r\n",
      "go 1.24\ngo 1.24\n",
      "go (\n\t1.24\n)\n",
      "go 1.24 // comment\n",
      "// go 1.24\n",
      "go 1.24\nunknown verb\n",
      "go 1.24\n)\n",
      "go 1.24\n(\n",
      "go 1.24\nrequire (\n",
      "go 1.24\nrequire example.com/x master\n",
      "go 1.24\nrequire example.com/x v1.0.0\n",
      'go "1.24"\n',
      "go `1.24`\n",
      "go 1.24\nreplace nonsense\n",
      "go 1.24\nretract bad\n",
      "go 1.24\n/* */\n",
      "go 1.24\nmodule \ufffd\n",
    ),
  },
);

const plainElement = words(
  "a|b|c|sub|vendor|vendor|x.go|y.go|modules.txt|LICENSE|README.md|日本|é|a b|.git|.hg_archival.txt|vendored|testdata|go.sum|" +
    "𐐨|ǆ|σ|k|s|i|ß|-x|~1|a~1|com|auxiliary",
);
const oddElement = words(
  "A|B|SUB|Vendor|X.go|license|É|𐐀|ǅ|Ǆ|ς|Σ|\u212a|K|ſ|S|İ|ı|I|ẞ|ss|GO.MOD|Go.Mod|go.mod.|aux|con.txt|a'|a:b|a\\b|..|.||...|" +
    "e\u0301|٣|\u{1f600}|a\n|\0",
);

const kind = fc.oneof(
  { weight: 20, arbitrary: fc.constant("file" as const) },
  { weight: 1, arbitrary: fc.constantFrom("symlink" as const, "directory" as const, "irregular" as const) },
);

/** Files of a module; `oddity` is the percentage of path elements that may make trouble. */
function someFiles(oddity: number): fc.Arbitrary<SourceFile[]> {
  const element = fc.oneof(
    { weight: 100 - oddity, arbitrary: plainElement },
    { weight: oddity, arbitrary: oddElement },
  );
  const end = fc.oneof({ weight: 12, arbitrary: fc.constant("") }, { weight: 1, arbitrary: fc.constant("/go.mod") });
  const anyFile = fc.record({
    path: fc.tuple(fc.array(element, { minLength: 1, maxLength: 4 }), end).map(([path, last]) => path.join("/") + last),
    kind,
    content: fc.string({ maxLength: 20 }).map((text) => Buffer.from(text)),
  });
  const rootGoMod = fc.record({
    path: fc.oneof(
      { weight: 8, arbitrary: fc.constant("go.mod") },
      { weight: Math.floor(oddity / 10), arbitrary: fc.constantFrom("GO.mod", "./go.mod") },
    ),
    kind,
    content: goMod.map((text) => Buffer.from(text)),
  });
  const parts = fc.tuple(fc.array(rootGoMod, { maxLength: 1 }), fc.array(anyFile, { maxLength: 9 }), fc.boolean());
  return parts.map(([first, rest, isLate]) => {
    const files = isLate ? [...rest, ...first] : [...first, ...rest];
    return oddity > 20 ? files : files.filter((file, index) => !comesAgain(file.path, files.toSpliced(index, 1)));
  });
}

/** With few words, most trees would have some file twice, or below another file. */
function comesAgain(path: string, others: readonly SourceFile[]): boolean {
  return others.some((file) => file.path === path || file.path.startsWith(`${path}/`));
}

/** Some two thirds of these trees make a zip. */
export const sourceTree: fc.Arbitrary<SourceFile[]> = fc.oneof(
  { weight: 4, arbitrary: someFiles(0) },
  { weight: 3, arbitrary: someFiles(5) },
  { weight: 3, arbitrary: someFiles(50) },
);

const open = { crc32: 0, compressedSize: 0, size: 0 };
const wellFormedEntries = fc.constantFrom<readonly RawEntry[]>(
  [hello, other],
  [{ ...hello, method: 0 }, other],
  [{ ...hello, flags: 8, local: open, descriptor: rawDescriptor(helloFields) }, other],
  [{ ...hello, flags: 8, local: open, descriptor: rawDescriptor(helloFields, { signature: false, wide: true }) }],
  [{ ...hello, extra: rawExtra(0x5455, Buffer.from([1, 1, 2, 3, 4])) }, { name: `${root}sub/`, method: 0 }, other],
  [
    { name: `${root}go.mod`, content: "module example.com/m\n" },
    { ...hello, name: `${root}é.go`, flags: 0x800 },
  ],
);
const wellFormedZip = fc.oneof(
  wellFormedEntries.map((entries) => rawZip(entries)),
  wellFormedEntries.map((entries) => rawZip(entries, { comment: "0123456789" })),
  wellFormedEntries.map((entries) =>
    rawZip(entries, { end64: {}, end: { entries: 0xffff, entriesOnDisk: 0xffff, directoryOffset: 0xffff_ffff } }),
  ),
  fc
    .array(fc.string({ maxLength: 200 }), { maxLength: 4 })
    .map((texts) => texts.map((text, index) => ({ path: `${index}.txt`, content: Buffer.from(text) })))
    .map((files) => Buffer.from(createZip(files, sampleModule))),
);

type Damage = (zip: Buffer) => Buffer;

const flippedBit: fc.Arbitrary<Damage> = fc.tuple(fc.nat(), fc.nat({ max: 7 })).map(([at, bit]) => (zip) => {
  const flipped = Buffer.from(zip);
  if (zip.length > 0) flipped.writeUInt8(zip.readUInt8(at % zip.length) ^ (1 << bit), at % zip.length);
  return flipped;
});
const splice: fc.Arbitrary<Damage> = fc
  .tuple(fc.nat(), fc.uint8Array({ maxLength: 4 }), fc.nat({ max: 4 }))
  .map(([at, bytes, cut]) => (zip) => {
    const start = at % (zip.length + 1);
    return Buffer.concat([zip.subarray(0, start), bytes, zip.subarray(start + cut)]);
  });

/** Zips of which a bit or some bytes are not as they should be. Some of them are still right: not every byte counts. */
export const damagedZip: fc.Arbitrary<Buffer> = fc
  .tuple(
    wellFormedZip,
    fc.array(fc.oneof({ weight: 3, arbitrary: flippedBit }, { weight: 1, arbitrary: splice }), {
      minLength: 1,
      maxLength: 2,
    }),
  )
  .map(([zip, damages]) => damages.reduce((bytes, damage) => damage(bytes), zip));
