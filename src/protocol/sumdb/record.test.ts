import { describe, expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../module/index.ts";
import { parseH1 } from "../zip/hash.ts";
import { formatDataTile, parseDataTile } from "./data-tile.ts";
import { maxLookupBytes, maxRecordBytes } from "./limits.ts";
import { formatLookup, parseLookup } from "./lookup.ts";
import { findHash, formatRecord, parseRecord } from "./record.ts";

const modulePath = parseModulePath("rsc.io/sampler");
const version = parseVersion("v1.3.0");
const zip = parseH1("h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=");
const mod = parseH1("h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=");
const text = `rsc.io/sampler v1.3.0 ${zip}\nrsc.io/sampler v1.3.0/go.mod ${mod}\n`;

describe("a record", () => {
  test("has a line for the zip and one for the go.mod", () => {
    expect(formatRecord(modulePath, version, { zip, mod })).toBe(text);
    expect(parseRecord(text)).toEqual([
      { modulePath, version, kind: "zip", h1: zip },
      { modulePath, version, kind: "mod", h1: mod },
    ]);
  });

  test("may have hashes of another kind", () => {
    expect(parseRecord(`${text}rsc.io/sampler v1.3.0 h2:whatever\n`)).toHaveLength(2);
  });

  test.each([
    ["nothing", ""],
    ["no line end", text.slice(0, -1)],
    ["an empty line", text.replace("\n", "\n\n")],
    ["an empty first line", `\n${text}`],
    ["a control character", text.replace("rsc", "rsc\u0001")],
    ["a carriage return", text.replaceAll("\n", "\r\n")],
    ["a line of two words", `rsc.io/sampler v1.3.0\n`],
    ["a line of four words", text.replace("\n", " x\n")],
    ["two spaces", text.replace(" h1", "  h1")],
    ["a malformed path", text.replaceAll("rsc.io", "rsc")],
    ["a malformed version", text.replaceAll("v1.3.0", "v1.3")],
    ["a malformed hash", text.replace(zip, "h1:AA==")],
    ["too much", `${text}rsc.io/sampler v1.3.0 h2:${"x".repeat(maxRecordBytes)}\n`],
  ])("with %s is refused", (_, text) => {
    expect(() => parseRecord(text)).toThrow("malformed record");
  });

  test("answers the hash of a version", () => {
    expect(findHash(text, modulePath, version, "zip")).toBe(zip);
    expect(findHash(text, modulePath, version, "mod")).toBe(mod);
    expect(findHash(text, modulePath, parseVersion("v1.3.1"), "zip")).toBeUndefined();
    expect(findHash(text, parseModulePath("rsc.io/sample"), version, "zip")).toBeUndefined();
    expect(findHash(`nonsense\nrsc.io/sampler v1.3.0 h2:x\n${text}`, modulePath, version, "zip")).toBe(zip);
    expect(findHash(`${text}${text}`, modulePath, version, "mod")).toBe(mod);
    expect(findHash(`x ${text}`, modulePath, version, "zip")).toBeUndefined();
  });

  test("answers no hash when it has two of them, or half a one", () => {
    const two = `${text}rsc.io/sampler v1.3.0 ${mod}\n`;
    expect(() => findHash(two, modulePath, version, "zip")).toThrow('two hashes of "rsc.io/sampler v1.3.0"');
    expect(() => findHash(text.slice(0, 50), modulePath, version, "zip")).toThrow("malformed hash");
  });
});

describe("the answer to a lookup", () => {
  const note = Buffer.from("go.sum database tree\n…\n\n— x …\n");

  test("is the number, the record, an empty line and the note", () => {
    expect(Buffer.from(formatLookup(123456789012, "hello, world\n", new Uint8Array())).toString()).toBe(
      "123456789012\nhello, world\n\n",
    );
    const answer = formatLookup(123456789012, text, note);
    expect(parseLookup(answer)).toEqual({ id: 123456789012, text, note });
  });

  // CVE-2026-56864: several versions of go took hashes from the note as well.
  test("has no hash but those of the record", () => {
    const answer = formatLookup(1, "rsc.io/sampler v1.3.1 h2:x\n", Buffer.from(`${text}\n— x …\n`));
    expect(findHash(parseLookup(answer).text, modulePath, version, "zip")).toBeUndefined();
  });

  test.each([
    ["nothing", ""],
    ["no empty line", `1\n${text}`],
    ["no number", `${text}\n`],
    ["no record", "1\n\n"],
    ["a sign", `+1\n${text}\n`],
    ["a leading zero", `01\n${text}\n`],
    ["a number beyond what is exact", `4503599627370496\n${text}\n`],
    ["a control character", `1\nrsc\u0001\n\n`],
    ["too many bytes", `1\n${text}\n${"x".repeat(maxLookupBytes)}`],
    ["bytes that are no UTF-8", Buffer.from("1\n\xff\n\n", "latin1")],
  ])("with %s is refused", (_, answer) => {
    expect(() => parseLookup(Buffer.from(answer))).toThrow("malformed record");
  });

  test.each(["", "hello\nworld", "hello\n\nworld\n", "hello\u0001world\n", "\ud800\n"])(
    "has no record %j",
    (record) => {
      expect(() => formatLookup(1, record, note)).toThrow("malformed record");
      expect(() => formatDataTile([record])).toThrow("malformed record");
    },
  );

  test("has no number that no record has", () => {
    expect(() => formatLookup(-1, text, note)).toThrow("record number -1 is not a number from 0");
  });
});

describe("a tile of records", () => {
  test("has them one behind the other, each with an empty line", () => {
    const texts = ["hello, world\n", text, "日本\n"];
    const bytes = formatDataTile(texts);
    expect(Buffer.from(bytes).toString()).toBe(`hello, world\n\n${text}\n日本\n\n`);
    expect(parseDataTile(bytes)).toEqual(texts);
    expect(parseDataTile(new Uint8Array())).toEqual([]);
  });

  test.each([
    ["an unended record", "a\n\nb\n"],
    ["an empty record", "a\n\n\n\n"],
    ["three line ends", "a\n\n\nb\n\n"],
    ["a control character", "a\u0001\n\n"],
    ["a long record", `${"x".repeat(maxRecordBytes)}\n\n`],
    ["bytes that are no UTF-8", Buffer.from("\xff\n\n", "latin1")],
  ])("with %s is refused", (_, bytes) => {
    expect(() => parseDataTile(Buffer.from(bytes))).toThrow("malformed record");
  });
});
