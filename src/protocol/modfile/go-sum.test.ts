import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatGoSum, parseGoSum } from "./index.ts";

const zipHash = "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=";
const modHash = "h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=";

describe("parseGoSum", () => {
  test("reads zip and go.mod lines, blank lines and CRLF", () => {
    const text = `rsc.io/quote v1.5.2 ${zipHash}\r\n\n  rsc.io/quote\tv1.5.2/go.mod ${modHash}`;
    expect(parseGoSum(text)).toEqual([
      { modulePath: "rsc.io/quote", version: "v1.5.2", isGoMod: false, h1: zipHash },
      { modulePath: "rsc.io/quote", version: "v1.5.2", isGoMod: true, h1: modHash },
    ]);
    expect(parseGoSum(Buffer.from(text))).toEqual(parseGoSum(text));
    expect(parseGoSum("")).toEqual([]);
  });

  test("passes over hashes it does not know, and the one an old go wrote for an empty go.mod", () => {
    expect(
      parseGoSum("x.y/z v1.0.0 h2:abc\nx.y/z v1.0.0/go.mod h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=\n"),
    ).toEqual([]);
  });

  test.each([
    ["\nx.y/z v1.0.0\n", "malformed go.sum:\ngo.sum:2: wrong number of fields 2"],
    [`x.y/z v1.0.0 ${zipHash} x`, "malformed go.sum:\ngo.sum:1: wrong number of fields 4"],
    [`X.y v1.0.0 ${zipHash}`, 'malformed go.sum:\ngo.sum:1: "X.y" "v1.0.0"'],
    [`x.y/z v1.0 ${zipHash}`, 'malformed go.sum:\ngo.sum:1: "x.y/z" "v1.0"'],
    ["x.y/z v1.0.0 h1:short", 'malformed go.sum:\ngo.sum:1: "x.y/z" "v1.0.0" "h1:short" is no entry'],
    [`x.y/z v1.0.0/x ${zipHash}`, 'malformed go.sum:\ngo.sum:1: "x.y/z" "v1.0.0/x"'],
  ])("refuses %j", (text, message) => {
    expect(() => parseGoSum(text)).toThrow(
      expect.objectContaining({
        name: "ProtocolError",
        code: "malformed_gosum",
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe("formatGoSum", () => {
  test("sorts by path, version and file, and writes each line once", () => {
    const sorted = [
      `a.b/c v1.2.0 ${zipHash}`,
      `a.b/c v1.2.0/go.mod ${modHash}`,
      `a.b/c v1.10.0-rc.1/go.mod ${modHash}`,
      `a.b/c v1.10.0/go.mod ${modHash}`,
      `a.b/c v1.10.0/go.mod ${zipHash}`,
      `a.b/c-d v1.0.0 ${zipHash}`,
      `a.b/c/d v1.0.0 ${zipHash}`,
    ];
    const text = `${sorted.join("\n")}\n`;
    expect(formatGoSum(parseGoSum(text))).toBe(text);
    expect(formatGoSum(parseGoSum(`${sorted.toReversed().join("\n")}\n${text}`))).toBe(text);
  });

  test("is read back as the same entries", () => {
    const line = fc
      .tuple(
        fc.constantFrom("a.b/c", "a.b/c/v2", "a.b/c-d", "github.com/Azure/x"),
        fc.constantFrom(
          "v1.0.0",
          "v1.0.1-0.20200101000000-abcdef123456",
          "v2.0.0+incompatible",
          "v10.0.0",
          "v0.0.0-RC1",
        ),
        fc.constantFrom("", "/go.mod"),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
      )
      .map(
        ([path, version, suffix, digest]) => `${path} ${version}${suffix} h1:${Buffer.from(digest).toString("base64")}`,
      );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const entries = parseGoSum(lines.join("\n"));
        const text = formatGoSum(entries);
        expect(formatGoSum(parseGoSum(text))).toBe(text);
        expect(new Set(text.split("\n").slice(0, -1))).toEqual(new Set(lines));
      }),
    );
  });
});
