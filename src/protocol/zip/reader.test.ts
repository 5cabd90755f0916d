import { describe, expect, test } from "vitest";
import { rawDescriptor, rawExtra, rawZip, uint32, uint64, type RawEntry } from "../../../test/support/raw-zip.ts";
import {
  filesOf,
  hello,
  helloFields,
  junk,
  mib,
  other,
  root,
  sampleModule,
  strictAccess,
} from "../../../test/support/zip-sample.ts";
import { hash1, hashZip } from "./hash.ts";
import { readZip } from "./reader.ts";

const descriptorFlag = 8;
const helloFiles = { "hello.go": hello.content };

describe("takes what writers of module zips really make", () => {
  const zip64Sizes = Buffer.concat([uint64(helloFields.size), uint64(helloFields.compressedSize)]);
  const max32 = 0xffff_ffff;
  const withDescriptor = (form: { signature?: boolean; wide?: boolean }, local = {}): RawEntry => ({
    ...hello,
    flags: descriptorFlag,
    local: { crc32: 0, compressedSize: 0, size: 0, ...local },
    descriptor: rawDescriptor(helloFields, form),
  });
  const cases: Record<string, Buffer> = {
    "deflated entries": rawZip([hello]),
    "stored entries": rawZip([{ ...hello, method: 0 }]),
    "a data descriptor": rawZip([withDescriptor({})]),
    "a data descriptor without its signature": rawZip([withDescriptor({ signature: false })]),
    "a data descriptor with sizes of 8 bytes": rawZip([withDescriptor({ wide: true })]),
    "a data descriptor with sizes of 8 bytes and no signature": rawZip([
      withDescriptor({ wide: true, signature: false }),
    ]),
    "a data descriptor and the same numbers in the local header": rawZip([withDescriptor({}, helloFields)]),
    "a data descriptor and a zip64 extra field of zeros in the local header": rawZip([
      withDescriptor({ wide: true }, { compressedSize: max32, size: max32, extra: rawExtra(1, Buffer.alloc(16)) }),
    ]),
    "a stored entry with a data descriptor": rawZip([
      {
        ...hello,
        method: 0,
        flags: descriptorFlag,
        local: { crc32: 0, compressedSize: 0, size: 0 },
        descriptor: rawDescriptor({ ...helloFields, compressedSize: helloFields.size }),
      },
    ]),
    "flags that say how hard the deflater tried": rawZip([{ ...hello, flags: 6 }]),
    "a comment": rawZip([hello], { comment: "6d2ac7f4b2b5bb4d0b2a1e4fd5c5d0b9f0d1e2a3" }),
    "a comment of the largest size": rawZip([hello], { comment: "c".repeat(0xffff) }),
    "a comment on an entry": rawZip([{ ...hello, central: { comment: "entry" } }]),
    "extra fields, times for one": rawZip([
      { ...hello, extra: rawExtra(0x5455, Buffer.from([1, 1, 2, 3, 4])), central: { extra: rawExtra(0x5455, junk) } },
    ]),
    "an extra field that does not parse": rawZip([{ ...hello, extra: Buffer.from([9, 9, 99]) }]),
    attributes: rawZip([{ ...hello, central: { externalAttributes: 0xa1ff0000 } }]),
    "sizes and offset in a zip64 extra field": rawZip([
      {
        ...hello,
        local: { compressedSize: max32, size: max32, extra: rawExtra(1, zip64Sizes) },
        central: {
          compressedSize: max32,
          size: max32,
          offset: max32,
          extra: rawExtra(1, Buffer.concat([zip64Sizes, uint64(0)])),
        },
      },
    ]),
    "an offset in the zip64 extra field that did not need to be there": rawZip([
      {
        ...hello,
        central: {
          compressedSize: max32,
          size: max32,
          extra: rawExtra(1, Buffer.concat([zip64Sizes, uint64(0)])),
        },
      },
    ]),
    "a zip64 extra field that repeats everything": rawZip([
      {
        ...hello,
        local: { extra: rawExtra(1, zip64Sizes) },
        central: { extra: rawExtra(1, Buffer.concat([zip64Sizes, uint64(0), uint32(0)])) },
      },
    ]),
    "only the offset in a zip64 extra field": rawZip([
      { ...hello, central: { offset: max32, extra: rawExtra(1, uint64(0)) } },
    ]),
    "zip64 end records": rawZip([hello], {
      end64: {},
      end: { entries: 0xffff, entriesOnDisk: 0xffff, directoryBytes: max32, directoryOffset: max32 },
    }),
    "zip64 end records beside a complete end record": rawZip([hello], { end64: {} }),
  };
  test.each(Object.entries(cases))("%s", (_, zip) => {
    expect(filesOf(zip)).toEqual(helloFiles);
    expect(hashZip(strictAccess(zip), sampleModule)).toBe(hash1([{ ...hello, content: Buffer.from(hello.content) }]));
  });

  test("no entries at all", () => {
    expect(filesOf(rawZip([]))).toEqual({});
  });

  test("entries in another order than the central directory's", () => {
    const straight = rawZip([hello, other]);
    const secondOffset = straight.indexOf(uint32(0x04034b50), 4);
    const directoryAt = straight.indexOf(uint32(0x02014b50));
    const nextRecordAt = straight.indexOf(uint32(0x02014b50), directoryAt + 4);
    const endAt = straight.length - 22;
    const reordered = Buffer.concat([
      straight.subarray(0, directoryAt),
      straight.subarray(nextRecordAt, endAt),
      straight.subarray(directoryAt, nextRecordAt),
      straight.subarray(endAt),
    ]);
    const reader = readZip(strictAccess(reordered), sampleModule);
    expect(reader.entries.map((entry) => entry.headerOffset)).toEqual([0, secondOffset]);
    expect(filesOf(reordered)).toEqual({ "hello.go": hello.content, "sub/other.go": other.content });
  });

  test("names beyond ASCII, with and without the UTF-8 flag", () => {
    for (const flags of [0, 0x800]) {
      expect(filesOf(rawZip([{ ...hello, name: `${root}日本/é.go`, flags }]))).toEqual({ "日本/é.go": hello.content });
    }
  });

  test("a comment that holds another end record is a comment", () => {
    const inner = rawZip([]);
    expect(() => filesOf(rawZip([hello], { comment: inner.subarray(0, 21) }))).not.toThrow();
  });

  test("a go.mod and a LICENSE of 16 MiB", () => {
    const content = Buffer.alloc(16 * mib);
    const reader = readZip(
      strictAccess(
        rawZip([
          { name: `${root}go.mod`, content },
          { name: `${root}LICENSE`, content },
        ]),
      ),
      sampleModule,
    );
    expect(reader.unpackedBytes).toBe(32 * mib);
  });

  test("a folder named go.mod", () => {
    expect(filesOf(rawZip([{ ...hello, name: `${root}sub/go.mod/a.go` }]))).toEqual({
      "sub/go.mod/a.go": hello.content,
    });
  });

  // As go does: it unpacks such a zip, and dirhash.HashZip has a line for each entry. (`go mod verify` then finds that the
  // unpacked folder has another hash, as it has no such lines.)
  test("entries for folders, which then count for the h1", () => {
    const folders = [
      { name: root, method: 0 },
      { name: `${root}sub/`, method: 8 },
      { name: `${root}sub/empty/`, method: 8, packed: Buffer.alloc(0) },
    ];
    const zip = rawZip([...folders, other]);
    expect(filesOf(zip)).toEqual({ "": "", "sub/": "", "sub/empty/": "", "sub/other.go": other.content });
    const hashed = [
      ...folders.map(({ name }) => ({ name, content: Buffer.alloc(0) })),
      { ...other, content: Buffer.from(other.content) },
    ];
    expect(hashZip(strictAccess(zip), sampleModule)).toBe(hash1(hashed));
  });

  test("the content of an entry in pieces", async () => {
    const content = Buffer.from(Array.from({ length: mib }, (_, index) => (index * 7) % 251));
    for (const method of [0, 8]) {
      const reader = readZip(strictAccess(rawZip([{ name: `${root}big.bin`, content, method }])), sampleModule);
      const [entry] = reader.entries;
      if (entry === undefined) throw new Error("no entry");
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.stream(entry)) chunks.push(chunk);
      expect(chunks.length).toBeGreaterThan(1);
      expect(Buffer.concat(chunks).equals(content)).toBe(true);
    }
  });
});
