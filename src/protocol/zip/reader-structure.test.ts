import { describe, expect, test } from "vitest";
import { rawDescriptor, rawExtra, rawZip, uint64 } from "../../../test/support/raw-zip.ts";
import { refusalOf, type Refusal } from "../../../test/support/zip-refusal.ts";
import { hello, helloFields, junk, mib, other, packedHello, root } from "../../../test/support/zip-sample.ts";

const max32 = 0xffff_ffff;
const descriptorFlag = 8;

const refusals: Record<string, Refusal> = {
  // The file as a whole.
  "an empty file": { zip: Buffer.alloc(0), message: /no end of central directory record/ },
  "something else": {
    zip: Buffer.from("<html>Sign in</html>".repeat(20)),
    message: /no end of central directory record/,
  },
  "a file that was cut short": { zip: rawZip([hello]).subarray(0, -23), message: /no end of central directory record/ },
  "bytes before the first entry": {
    zip: rawZip([{ ...hello, before: junk }]),
    message: /4 bytes before the first entry/,
  },
  "bytes before the first entry, offsets not counting them": {
    zip: Buffer.concat([junk, rawZip([hello])]),
    message: /central directory ends at \d+ by the end record, expected \d+/,
  },
  "bytes between entries": {
    zip: rawZip([hello, { ...other, before: junk }]),
    message: /hello\.go": 4 bytes behind its data that belong to no entry/,
  },
  "bytes between the last entry and the central directory": {
    zip: rawZip([hello], { beforeDirectory: junk }),
    message: /hello\.go": 4 bytes behind its data that belong to no entry/,
  },
  "a local file that the central directory does not name": {
    zip: rawZip([hello], { beforeDirectory: rawZip([other]).subarray(0, 70) }),
    message: /hello\.go": 70 bytes behind its data that belong to no entry/,
  },
  "bytes in front of an empty central directory": {
    zip: rawZip([], { beforeDirectory: junk }),
    message: /4 bytes before the first entry/,
  },
  "bytes between the central directory and its end record": {
    zip: rawZip([hello], { afterDirectory: junk }),
    message: /central directory ends at \d+ by the end record, expected \d+/,
  },
  "bytes behind the end record": {
    zip: rawZip([hello], { afterEnd: junk }),
    message: /4 bytes behind the end record, which announces a comment of 0/,
  },
  "bytes behind the comment": {
    zip: rawZip([hello], { comment: "abc", afterEnd: junk }),
    message: /7 bytes behind the end record, which announces a comment of 3/,
  },
  "a comment that is shorter than announced": {
    zip: rawZip([hello], { comment: "abc", end: { commentBytes: 4 } }),
    message: /3 bytes behind the end record, which announces a comment of 4/,
  },
  "a whole other zip in the comment": {
    zip: rawZip([hello], { comment: rawZip([other]) }),
    message: /central directory ends at \d+ by the end record, expected \d+/,
  },
  "a split archive": { zip: rawZip([hello], { end: { disk: 1 } }), message: /several disks/ },
  "a split archive, by the number of entries": {
    zip: rawZip([hello], { end: { entriesOnDisk: 0 } }),
    message: /several disks/,
  },
  "a split archive, by an entry": {
    zip: rawZip([{ ...hello, central: { disk: 3 } }]),
    message: /hello\.go": on disk 3, expected 0/,
  },
  "fewer entries than announced": {
    zip: rawZip([hello], { end: { entries: 2, entriesOnDisk: 2 } }),
    message: /central directory breaks off at entry 2 of 2/,
  },
  "more entries than announced": {
    zip: rawZip([hello, other], { end: { entries: 1, entriesOnDisk: 1 } }),
    message: /\d+ bytes behind the last of 1 entries of the central directory/,
  },
  "a central directory with a wrong offset": {
    zip: rawZip([hello], { end: { directoryOffset: 1 } }),
    message: /central directory ends at \d+ by the end record, expected \d+/,
  },
  "a central directory that would begin before the file": {
    zip: rawZip([hello], { end: { directoryBytes: max32 - 1, directoryOffset: 0 } }),
    message: /too large a central directory/,
    code: "zip_too_large",
  },
  "a central record without its signature": {
    zip: rawZip([{ ...hello, central: { signature: 0x02014b51 } }]),
    message: /central directory breaks off at entry 1 of 1/,
  },
  "a local header without its signature": {
    zip: rawZip([{ ...hello, local: { signature: 0x04034b51 } }]),
    message: /hello\.go": no local header at 0/,
  },

  // Two entries, or an entry and the directory, in one place.
  "two entries with the same data": {
    zip: rawZip([hello, { ...hello, name: `${root}again.go`, centralOnly: true, central: { offset: 0 } }]),
    message: /reaches to 30, into what begins at 0/,
  },
  "an entry that reaches into the next one": {
    zip: rawZip([
      { ...hello, method: 0, packed: Buffer.from(hello.content.slice(0, -2)), compressedSize: hello.content.length },
      other,
    ]),
    message: /hello\.go": it reaches to 101, into what begins at 99/,
  },
  "an entry inside another one": {
    zip: rawZip([
      { ...other, method: 0, content: rawZip([hello]) },
      { ...hello, centralOnly: true, central: { offset: 30 + other.name.length } },
    ]),
    message: /other\.go": it reaches to \d+, into what begins at 63/,
  },
  "an entry that reaches into the central directory": {
    zip: rawZip([{ ...hello, compressedSize: 1000 }]),
    message: /hello\.go": it reaches to 1059, into what begins at \d+/,
  },
  "an entry behind the end of the file": {
    zip: rawZip([hello, { ...other, central: { offset: 0x7fff_ffff } }]),
    message: /other\.go": its local header would be at 2147483647, expected before 161/,
  },

  // A local header that tells another story.
  "another name in the local header": {
    zip: rawZip([{ ...hello, local: { name: `${root}h3llo.go` } }]),
    message: /hello\.go": its local header has the name "example\.com\/m@v1\.0\.0\/h3llo\.go"/,
  },
  "another method in the local header": {
    zip: rawZip([{ ...hello, local: { method: 0 } }]),
    message: /its local header has method 0, the central directory has 8/,
  },
  "other flags in the local header": {
    zip: rawZip([{ ...hello, local: { flags: 0x800 } }]),
    message: /its local header has flags 2048, the central directory has 0/,
  },
  "another CRC-32 in the local header": {
    zip: rawZip([{ ...hello, local: { crc32: 1 } }]),
    message: /its local header has CRC-32 0x00000001, the central directory has 0x183ee5ba/,
  },
  "another size in the local header": {
    zip: rawZip([{ ...hello, local: { size: 1 } }]),
    message: /its local header has size 1, the central directory has 42/,
  },
  "another compressed size in the local header": {
    zip: rawZip([{ ...hello, local: { compressedSize: 1 } }]),
    message: /its local header has compressed size 1, the central directory has \d+/,
  },
  "no CRC-32 in the local header, and no data descriptor": {
    zip: rawZip([{ ...hello, local: { crc32: 0 } }]),
    message: /its local header has CRC-32 0x00000000/,
  },
  "a local extra field that reaches into the data": {
    zip: rawZip([hello]).fill(0xff, 28, 30),
    message: /it reaches to \d+, into what begins at/,
  },

  // Data descriptors.
  "a data descriptor that is missing": {
    zip: rawZip([{ ...hello, flags: descriptorFlag }]),
    message: /0 bytes behind its data, expected a data descriptor/,
  },
  "a data descriptor of another length": {
    zip: rawZip([
      { ...hello, flags: descriptorFlag, descriptor: Buffer.concat([rawDescriptor(helloFields), junk.subarray(1)]) },
    ]),
    message: /19 bytes behind its data, expected a data descriptor/,
  },
  "a data descriptor without the flag": {
    zip: rawZip([{ ...hello, descriptor: rawDescriptor(helloFields) }]),
    message: /16 bytes behind its data that belong to no entry/,
  },
  "a data descriptor without its signature where there must be one": {
    zip: rawZip([
      {
        ...hello,
        flags: descriptorFlag,
        descriptor: Buffer.concat([rawDescriptor(helloFields, { signature: false }), junk]),
      },
    ]),
    message: /16 bytes behind its data that are no data descriptor/,
  },
  ...Object.fromEntries(
    (["crc32", "compressedSize", "size"] as const).flatMap((field) =>
      [{}, { wide: true, signature: false }].map((form): [string, Refusal] => [
        `a data descriptor with another ${field} (${JSON.stringify(form)})`,
        {
          zip: rawZip([
            { ...hello, flags: descriptorFlag, descriptor: rawDescriptor({ ...helloFields, [field]: 7 }, form) },
          ]),
          message:
            /its data descriptor has CRC-32 0x\w+, \d+ and \d+ bytes, the central directory has 0x183ee5ba, \d+ and 42 bytes/,
        },
      ]),
    ),
  ),
  "a wrong number in the local header beside a data descriptor": {
    zip: rawZip([{ ...hello, flags: descriptorFlag, local: { size: 7 }, descriptor: rawDescriptor(helloFields) }]),
    message: /its local header has size 7/,
  },

  // Content that is not what the headers say.
  "a wrong CRC-32": {
    zip: rawZip([{ ...hello, crc32: 0x12345678 }]),
    message: /hello\.go": its content has CRC-32 0x183ee5ba, expected 0x12345678/,
  },
  "a CRC-32 of zero": {
    zip: rawZip([{ ...hello, crc32: 0 }]),
    message: /its content has CRC-32 0x183ee5ba, expected 0x00000000/,
  },
  "a changed stored byte": {
    zip: rawZip([{ ...hello, method: 0, packed: Buffer.from(hello.content.toUpperCase()) }]),
    message: /its content has CRC-32/,
  },
  "a size that is too small": {
    zip: rawZip([{ ...hello, size: 41 }]),
    message: /its content has more than 41 bytes, expected 41/,
  },
  "a size of zero": { zip: rawZip([{ ...hello, size: 0 }]), message: /its content has more than 0 bytes, expected 0/ },
  "a size that is too large": {
    zip: rawZip([{ ...hello, size: 43 }]),
    message: /its content has 42 bytes, expected 43/,
  },
  "a stored entry with two sizes": {
    zip: rawZip([{ ...hello, method: 0, size: 7 }]),
    message: /stored, but 42 bytes for a file of 7 bytes/,
  },
  "a deflate bomb that lies about its size": {
    zip: rawZip([{ name: `${root}bomb`, content: Buffer.alloc(10 * mib), size: 1000 }]),
    message: /bomb": its content has more than 1000 bytes, expected 1000/,
  },
  "a size that no deflate stream of that length can have": {
    zip: rawZip([{ ...hello, size: 500 * mib }]),
    message: /its content has at most \d+ bytes, expected 524288000/,
  },
  "bytes behind the deflate stream": {
    zip: rawZip([{ ...hello, packed: Buffer.concat([packedHello, junk]) }]),
    message: /4 bytes behind the end of its deflate stream/,
  },
  "a deflate stream that breaks off": {
    zip: rawZip([{ ...hello, packed: packedHello.subarray(0, -3) }]),
    message: /its deflate stream is broken: unexpected end of file/,
  },
  "no deflate stream at all": {
    zip: rawZip([{ ...hello, packed: Buffer.alloc(0), content: "" }]),
    message: /its deflate stream is broken: unexpected end of file/,
  },
  "no deflate stream but junk": {
    zip: rawZip([{ ...hello, packed: Buffer.from([0xff, 0xff, 0xff]) }]),
    message: /its deflate stream is broken: invalid block type/,
  },

  // What could not be read at all.
  "an encrypted entry": { zip: rawZip([{ ...hello, flags: 1 }]), message: /hello\.go": encrypted/ },
  "strong encryption": { zip: rawZip([{ ...hello, flags: 0x41 }]), message: /hello\.go": encrypted/ },
  "a masked central directory": { zip: rawZip([{ ...hello, flags: 0x2000 }]), message: /unknown flags 0x2000/ },
  "a patch": { zip: rawZip([{ ...hello, flags: 0x20 }]), message: /unknown flags 0x0020/ },
  ...Object.fromEntries(
    [1, 6, 9, 12, 14, 93, 95, 99].map((method): [string, Refusal] => [
      `method ${method}`,
      {
        zip: rawZip([{ ...hello, method }]),
        message: new RegExp(`compression method ${method}, expected 0 \\(store\\) or 8 \\(deflate\\)`),
      },
    ]),
  ),

  // zip64 numbers that do not fit.
  "a size of 0xffffffff without a zip64 extra field": {
    zip: rawZip([{ ...hello, central: { size: max32 } }]),
    message: /a size or offset of 0xffffffff without its zip64 extra field/,
  },
  "an offset of 0xffffffff without a zip64 extra field": {
    zip: rawZip([{ ...hello, central: { offset: max32 } }]),
    message: /a size or offset of 0xffffffff without its zip64 extra field/,
  },
  "a zip64 extra field that is too short": {
    zip: rawZip([{ ...hello, central: { size: max32, compressedSize: max32, extra: rawExtra(1, uint64(42)) } }]),
    message: /a size or offset of 0xffffffff without its zip64 extra field/,
  },
  "a zip64 extra field with another size than the header": {
    zip: rawZip([{ ...hello, central: { extra: rawExtra(1, uint64(43)) } }]),
    message: /the zip64 extra field has 43 where the header has 42/,
  },
  "a zip64 extra field of another length": {
    zip: rawZip([{ ...hello, central: { extra: rawExtra(1, Buffer.alloc(9)) } }]),
    message: /a zip64 extra field of 9 bytes that fits no entry/,
  },
  "an empty zip64 extra field and a real one": {
    zip: rawZip([{ ...hello, central: { extra: Buffer.concat([rawExtra(1, uint64(42)), rawExtra(1, uint64(42))]) } }]),
    message: /two zip64 extra fields/,
  },
  "a zip64 size beyond all limits": {
    zip: rawZip([{ ...hello, central: { size: max32, extra: rawExtra(1, uint64(2 ** 40)) } }]),
    message: /total uncompressed size of module contents too large/,
    code: "zip_too_large",
  },
  "a zip64 size that no double can hold": {
    zip: rawZip([{ ...hello, central: { size: max32, extra: rawExtra(1, Buffer.alloc(8, 0xff)) } }]),
    message: /a zip64 number of 18446744073709552000/,
  },
  "a zip64 offset behind the end of the file": {
    zip: rawZip([{ ...hello, central: { offset: max32, extra: rawExtra(1, uint64(2 ** 33)) } }]),
    message: /its local header would be at 8589934592, expected before 82/,
  },
  "another size in the zip64 extra field of the local header": {
    zip: rawZip([
      {
        ...hello,
        local: { size: max32, extra: rawExtra(1, Buffer.concat([uint64(43), uint64(helloFields.compressedSize)])) },
      },
    ]),
    message: /its local header has size 43, the central directory has 42/,
  },
  "a zip64 extra field of another length in the local header": {
    zip: rawZip([{ ...hello, local: { size: max32, extra: rawExtra(1, uint64(42)) } }]),
    message: /a zip64 extra field of 8 bytes in its local header, expected 16/,
  },
  "a local size of 0xffffffff without a zip64 extra field": {
    zip: rawZip([{ ...hello, local: { size: max32 } }]),
    message: /its local header has size 4294967295, the central directory has 42/,
  },
  "a zip64 locator that points elsewhere": {
    zip: rawZip([hello], { end64: { locatorOffset: 0 } }),
    message: /the zip64 locator points to 0, expected \d+/,
  },
  "a zip64 locator without its record": {
    zip: rawZip([hello], { end64: { signature: 0 } }),
    message: /no zip64 end record at \d+/,
  },
  "a zip64 record with more in it": {
    zip: rawZip([hello], { end64: { recordBytes: 52 } }),
    message: /a zip64 end record of 64 bytes, expected 56/,
  },
  "a zip64 record on another disk": { zip: rawZip([hello], { end64: { disks: 2 } }), message: /several disks/ },
  "a zip64 record with another number of entries": {
    zip: rawZip([hello], { end64: { entries: 2, entriesOnDisk: 2 } }),
    message: /the number of entries on this disk is 1 in the end record and 2 in the zip64 end record/,
  },
  "a zip64 record with another size of the directory": {
    zip: rawZip([hello], { end64: { directoryBytes: 2 } }),
    message: /the size of the directory is \d+ in the end record and 2 in the zip64 end record/,
  },
  "a zip64 record with another offset of the directory": {
    zip: rawZip([hello], { end64: { directoryOffset: 2 } }),
    message: /the offset of the directory is \d+ in the end record and 2 in the zip64 end record/,
  },
  "a zip64 record that go would not look at": {
    zip: rawZip([hello], { end64: {}, end: { directoryBytes: max32 } }),
    message: /only the size of the directory stands in the zip64 end record/,
  },
  "a number of entries beyond the limit": {
    zip: rawZip([hello], {
      end64: { entries: 500_001, entriesOnDisk: 500_001 },
      end: { entries: 0xffff, entriesOnDisk: 0xffff },
    }),
    message: /module zip has too many entries \(500001; limit is 500000\)/,
    code: "zip_too_large",
  },
};

describe("refuses a zip that lies, and says where", () => {
  test.each(Object.entries(refusals))("%s", async (_, { zip, message, code = "malformed_zip" }) => {
    const error = await refusalOf(zip);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });
});
