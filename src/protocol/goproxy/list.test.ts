import { describe, expect, test } from "vitest";
import { formatList, parseList } from "./index.ts";

const pseudo = "v0.0.0-20200102030405-abcdef123456";

describe("parseList", () => {
  test.each<[string, string, string[]]>([
    ["an empty list", "", []],
    ["a blank list", " \r\n\n", []],
    ["versions in any order", "v1.10.0\nv1.2.0\nv1.2.0-rc.1\n", ["v1.2.0-rc.1", "v1.2.0", "v1.10.0"]],
    ["CRLF and no last newline", "v1.0.0\r\nv1.1.0", ["v1.0.0", "v1.1.0"]],
    ["a version twice", "v1.0.0\nv1.0.0\n", ["v1.0.0"]],
    ["+incompatible", "v2.0.0+incompatible\nv1.0.0\n", ["v1.0.0", "v2.0.0+incompatible"]],
    ["pseudo-versions, left out", `${pseudo}\nv1.0.0\n`, ["v1.0.0"]],
    ["pseudo-versions only", `${pseudo}\n`, []],
    ["times", "v1.0.0 2020-01-01T00:00:00Z\n", ["v1.0.0"]],
    ["odd lines between versions", "v1.0.0\nmaster\nv1.1.0\n\0\0", ["v1.0.0", "v1.1.0"]],
    ["valid versions that are not canonical, left out", "v1\nv1.2\nv1.2.3+meta\n", []],
  ])("reads %s", (_, text, versions) => {
    expect(parseList(text).versions).toEqual(versions);
    expect(parseList(Buffer.from(text)).versions).toEqual(versions);
  });

  test("keeps what has a time, in the list's order", () => {
    const text = `${pseudo}\nv1.0.0\nv1.1.0 2021-01-01T01:00:00+01:00\n${pseudo} 2022-01-01T00:00:00Z\nv1.2.0 soon\n`;
    expect(parseList(text).timed).toEqual([
      { version: pseudo, time: "2020-01-02T03:04:05Z" },
      { version: "v1.1.0", time: "2021-01-01T00:00:00Z" },
      { version: pseudo, time: "2022-01-01T00:00:00Z" },
    ]);
  });

  test("takes no time from a pseudo-version of a day that never was", () => {
    expect(parseList("v0.0.0-20201399000000-abcdef123456\n")).toEqual({ versions: [], timed: [] });
  });

  test.each([
    ["an HTML page", "<html>\nv1.0.0\n</html>"],
    ["JSON", '["v1.0.0"]'],
    ["JSON with a version on its own line", '{"versions":[\nv1.0.0 \n]}'],
    ["text", "not found: x.y/z\n"],
    ["something binary", "PK\u0003\u0004\0\0"],
    ["a torn write", "\0\0\0"],
  ])("refuses %s", (_, text) => {
    expect(() => parseList(text)).toThrow(expect.objectContaining({ name: "ProtocolError", code: "malformed_info" }));
  });
});

test("formatList writes a line per version", () => {
  expect(formatList(parseList("v1.1.0\nv1.0.0\n").versions)).toBe("v1.0.0\nv1.1.0\n");
  expect(formatList([])).toBe("");
});
