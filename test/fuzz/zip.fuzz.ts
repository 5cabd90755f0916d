import assert from "node:assert/strict";
import { checkFiles, createHashedZip, hash1, hashZip, readZip } from "../../src/protocol/zip/index.ts";
import { rawDescriptor, rawExtra, rawZip, uint64 } from "../support/raw-zip.ts";
import { hello, helloFields, other, root, sampleModule, strictAccess } from "../support/zip-sample.ts";

export const name = "zip";

const max32 = 0xffff_ffff;
const open = { crc32: 0, compressedSize: 0, size: 0 };

export const seeds: readonly Uint8Array[] = [
  rawZip([]),
  rawZip([hello, other]),
  rawZip([{ ...hello, method: 0 }], { comment: "comment" }),
  rawZip([{ ...hello, flags: 8, local: open, descriptor: rawDescriptor(helloFields) }]),
  rawZip([
    { ...hello, flags: 8, local: open, descriptor: rawDescriptor(helloFields, { wide: true, signature: false }) },
  ]),
  rawZip([{ name: `${root}sub/`, method: 0 }, other]),
  rawZip([
    { name: `${root}go.mod`, content: "module example.com/m\n" },
    { name: `${root}é/日本.go`, content: "package é\n", flags: 0x800 },
  ]),
  rawZip([{ ...hello, central: { size: max32, extra: rawExtra(1, uint64(helloFields.size)) } }], {
    end64: {},
    end: { entries: 0xffff, entriesOnDisk: 0xffff, directoryBytes: max32, directoryOffset: max32 },
  }),
  rawZip([{ name: `${root}zeros`, content: Buffer.alloc(100_000) }]),
];

export const dictionary: readonly string[] = [
  "PK\u0001\u0002",
  "PK\u0003\u0004",
  "PK\u0005\u0006",
  "PK\u0006\u0006",
  "PK\u0006\u0007",
  "PK\u0007\u0008",
  root,
  "go.mod",
  "../",
  "\0\0",
  "\u0001\0\u0010\0",
];

/** A zip that is accepted holds files whose own zip has the same h1, and every read stays inside of it. */
export function fuzz(input: Uint8Array): void {
  const source = strictAccess(input);
  const zip = readZip(source, sampleModule);
  const files = zip.entries.map((entry) => ({ ...entry, content: zip.read(entry) }));
  for (const { content, size } of files) assert.equal(content.length, size);
  const h1 = hashZip(source, sampleModule);
  assert.equal(hash1(files), h1);
  if (files.some(({ isDirectory }) => isDirectory)) return;
  const { valid, invalid } = checkFiles(files);
  assert.deepEqual(invalid, []);
  // Some zips have files that we would leave out, such as vendored ones.
  if (valid.length < files.length) return;
  const made = createHashedZip(files, sampleModule);
  assert.equal(made.h1, h1);
  assert.equal(hashZip(strictAccess(made.zip), sampleModule), h1);
}
