import { describe, expect, test } from "vitest";
import { rawZip } from "../../../test/support/raw-zip.ts";
import { filesOf, mib, root, sampleModule, strictAccess } from "../../../test/support/zip-sample.ts";
import { hash1, hashGoMod, hashZip, parseH1, verifyZip } from "./hash.ts";

const file = (name: string, content = name) => ({ name, content: Buffer.from(content) });

describe("h1 of a go.mod", () => {
  test.each([
    ["", "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY="],
    ["module gopkg.in/check.v1\n", "h1:Co6ibVJAznAaIkqp8huTwlJQCZ016jof/cbN4VW5Yz0="],
    ["module github.com/pkg/errors\n", "h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0="],
    [
      'module "rsc.io/sampler"\n\nrequire "golang.org/x/text" v0.0.0-20170915032832-14c0d48ead0c\n',
      "h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=",
    ],
  ])("%j", (content, h1) => {
    expect(hashGoMod(Buffer.from(content))).toBe(h1);
  });
});

describe("h1 of files", () => {
  test("of none", () => {
    expect(hash1([])).toBe("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
  });

  test("does not depend on their order", () => {
    const files = ["a", "a/b", "a-b", "B", "é", "\u{1f600}", "\u{ffee}"].map((name) => file(name));
    expect(hash1(files.toReversed())).toBe(hash1(files));
  });

  test("sorts by the bytes of the names, where UTF-16 has another order", () => {
    // Computed with sha256sum, openssl and base64.
    expect(hash1([file("\u{1d4d0}", "1"), file("\u{ff5e}", "2")])).toBe(
      "h1:C/L6a5oO/w/60esobHkF7Af13Mraqt9SeVu+H1dJXbU=",
    );
  });

  test("refuses a name with a newline", () => {
    expect(() => hash1([file("a\nb")])).toThrow("dirhash: filenames with newlines are not supported");
  });
});

describe("h1 of a zip", () => {
  test("is the same when large entries are streamed", async () => {
    const content = Buffer.from(Array.from({ length: 17 * mib }, (_, index) => (index * index) >> 7));
    const entries = [
      { name: `${root}deflated.bin`, content },
      { name: `${root}stored.bin`, content, method: 0 },
      { name: `${root}small.txt`, content: "small" },
    ];
    const zip = rawZip(entries);
    const h1 = hash1(entries.map(({ name, content }) => ({ name, content: Buffer.from(content) })));
    expect(hashZip(strictAccess(zip), sampleModule)).toBe(h1);
    await expect(verifyZip(strictAccess(zip), sampleModule)).resolves.toBe(h1);
  });

  test("is refused for a large entry with a wrong byte", async () => {
    const content = Buffer.alloc(17 * mib, "0123456789");
    const zip = rawZip([{ name: `${root}stored.bin`, content, method: 0 }]);
    zip.writeUInt8(0xff, 16 * mib);
    await expect(verifyZip(strictAccess(zip), sampleModule)).rejects.toThrow(/stored\.bin": its content has CRC-32 0x/);
  });

  test("fails as the source does", async () => {
    const zip = rawZip([{ name: `${root}big.bin`, content: Buffer.alloc(17 * mib) }]);
    const failing = {
      size: zip.length,
      read: (offset: number, length: number) => {
        if (offset > 0 && offset < 1000) throw new Error("EIO: i/o error, read");
        return zip.subarray(offset, offset + length);
      },
    };
    await expect(verifyZip(failing, sampleModule)).rejects.toThrow("EIO: i/o error, read");
  });
});

describe("parseH1", () => {
  test.each(["h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", hash1([file("a")])])("reads %s", (text) => {
    expect(parseH1(text)).toBe(text);
  });

  test.each([
    "",
    "h1:",
    "h2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
    "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
    "h1:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
    "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    " h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "h1:AA==",
  ])("refuses %j", (text) => {
    expect(() => parseH1(text)).toThrow(/^malformed hash/);
  });
});

test("an archive comment and times do not change the h1", () => {
  const entry = { name: `${root}a.go`, content: "package a\n" };
  const plain = rawZip([entry]);
  const commented = rawZip([entry], { comment: "0123456789abcdef" });
  expect(filesOf(commented)).toEqual(filesOf(plain));
  expect(hashZip(strictAccess(commented), sampleModule)).toBe(hashZip(strictAccess(plain), sampleModule));
});
