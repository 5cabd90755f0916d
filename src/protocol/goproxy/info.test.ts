import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type InfoRequest,
  type ModuleInfo,
  type ModuleRequest,
  formatInfo,
  maxInfoBytes,
  parseInfo,
  parseRequest,
} from "./index.ts";

const info = request("/x.y/z/@v/v1.0.0.info");
const latest = request("/x.y/z/@latest");
const query = request("/x.y/z/@v/master.info");

function request(path: string): InfoRequest {
  const parsed: ModuleRequest = parseRequest(path);
  if (parsed.kind === "query") return parsed;
  if (parsed.kind === "info") return { ...parsed, kind: "info" };
  if (parsed.kind === "latest") return { ...parsed, kind: "latest" };
  throw new Error(`${path} is not answered by version info`);
}

function parse(text: string, asked = info): ModuleInfo {
  return parseInfo(Buffer.from(text), asked);
}

describe("parseInfo reads", () => {
  test.each<[string, string, object]>([
    [
      "go's own form",
      '{"Version":"v1.0.0","Time":"2018-02-19T23:10:06Z"}',
      { version: "v1.0.0", time: "2018-02-19T23:10:06Z", origin: undefined },
    ],
    ["spaces", ' {\n "Version" : "v1.0.0" }\n', { version: "v1.0.0" }],
    ["no more than a version", '{"Version":"v1.0.0"}', { version: "v1.0.0", time: undefined, origin: undefined }],
    [
      "keys in any case",
      '{"vERSION":"v1.0.0","time":"2018-02-19T23:10:06Z"}',
      { version: "v1.0.0", time: "2018-02-19T23:10:06Z" },
    ],
    ["keys that fold to one of them", '{"Verſion":"v1.0.0"}', { version: "v1.0.0" }],
    ["unknown fields", '{"Name":1,"Short":{},"Version":"v1.0.0","x":null}', { version: "v1.0.0" }],
    ["the last of several", '{"Version":"v9.0.0","Version":"v1.0.0"}', { version: "v1.0.0" }],
    ["the last of several in other case", '{"version":"v9.0.0","Version":"v1.0.0"}', { version: "v1.0.0" }],
    [
      "null as nothing said",
      '{"Version":"v1.0.0","version":null,"Time":null,"Origin":null}',
      { version: "v1.0.0", time: undefined },
    ],
    [
      "a time with an offset",
      '{"Version":"v1.0.0","Time":"2020-01-01T00:30:00+01:00"}',
      { time: "2019-12-31T23:30:00Z" },
    ],
    [
      "an origin",
      '{"Version":"v1.0.0","Origin":{"VCS":"git","url":"https://example.com/r","Hash":"abc","Ref":"","Extra":1}}',
      { origin: { vcs: "git", url: "https://example.com/r", hash: "abc" } },
    ],
    ["an empty origin", '{"Version":"v1.0.0","Origin":{}}', { origin: {} }],
  ])("%s", (_, text, expected) => {
    expect(parse(text)).toMatchObject(expected);
  });

  test("any canonical version for @latest and queries", () => {
    const pseudo = '{"Version":"v0.0.0-20200101000000-abcdef123456"}';
    expect(parse(pseudo, latest).version).toBe("v0.0.0-20200101000000-abcdef123456");
    expect(parse(pseudo, query).version).toBe("v0.0.0-20200101000000-abcdef123456");
    expect(parse('{"Version":"v2.0.0+incompatible"}', request("/x.y/z/@v/v2.0.0.info")).version).toBe(
      "v2.0.0+incompatible",
    );
  });
});

describe("parseInfo refuses", () => {
  test.each<[string, string, string, InfoRequest?]>([
    ["an HTML page", "\n <!DOCTYPE html><html><p>secret</p></html>", "version info is an HTML page, not JSON"],
    ["text", "not found: secret", "version info is not JSON"],
    ["nothing", "", "version info is not JSON"],
    ["a cut body", '{"Version":"v1.0.0","Ti', "version info is not JSON"],
    ["two values", '{"Version":"v1.0.0"}{}', "version info is not JSON"],
    ["a byte order mark", '\ufeff{"Version":"v1.0.0"}', "version info is not JSON"],
    ["an array", '["v1.0.0"]', "version info is not a JSON object"],
    ["null", "null", "version info is not a JSON object"],
    ["no version", "{}", "version info has no Version"],
    ["a version that is no string", '{"Version":1}', "Version of version info is not a string"],
    [
      "another version",
      '{"Version":"v1.0.1"}',
      'proxy returned info for version "v1.0.1" instead of requested version v1.0.0',
    ],
    [
      "a version not canonical",
      '{"Version":"v1.0"}',
      'version info names version "v1.0", which is not canonical',
      latest,
    ],
    [
      "build metadata",
      '{"Version":"v1.0.0+meta"}',
      'version info names version "v1.0.0+meta", which is not canonical',
      query,
    ],
    [
      "another major version",
      '{"Version":"v2.0.0"}',
      `version info names version "v2.0.0", which is not of the module path's major version`,
      latest,
    ],
    ["a malformed time", '{"Version":"v1.0.0","Time":"yesterday"}', 'version info has the malformed Time "yesterday"'],
    ["an empty time", '{"Version":"v1.0.0","Time":""}', 'version info has the malformed Time ""'],
    ["a time that is no string", '{"Version":"v1.0.0","Time":0}', "Time of version info is not a string"],
    [
      "an origin that is no object",
      '{"Version":"v1.0.0","Origin":"git"}',
      "Origin of version info is not a JSON object",
    ],
    [
      "an origin of other types",
      '{"Version":"v1.0.0","Origin":{"Hash":1}}',
      "Origin.Hash of version info is not a string",
    ],
    ["escape sequences", '{"Version":"\\u001b[31m"}', String.raw`version "\x1b[31m", which`, latest],
  ])("%s", (_, text, message, asked = info) => {
    expect(() => parse(text, asked)).toThrow(
      expect.objectContaining({ code: "malformed_info", message: expect.stringContaining(message) }),
    );
  });

  test("a body without keeping it as the cause", () => {
    expect(() => parse("<p>secret</p>")).toThrow(
      expect.toSatisfy((error) => error instanceof Error && !("cause" in error) && !error.message.includes("secret")),
    );
  });

  test("more bytes than any version info has", () => {
    const text = `{"Version":"v1.0.0"${" ".repeat(maxInfoBytes)}}`;
    expect(() => parse(text)).toThrow(`version info has ${text.length} bytes, more than ${maxInfoBytes}`);
  });

  test("a long value without repeating it", () => {
    expect(() => parse(JSON.stringify({ Version: "x".repeat(1000) }), latest)).toThrow(
      `version info names version "${"x".repeat(80)}"..., which is not canonical`,
    );
  });
});

describe("formatInfo", () => {
  test("writes go's own form", () => {
    const text =
      '{"Version":"v1.0.0","Time":"2018-02-19T23:10:06Z","Origin":{"VCS":"git","URL":"https://example.com/?a\\u0026b\\u003cc\\u003e",' +
      '"Subdir":"s","Hash":"h","TagPrefix":"s/","TagSum":"t1:","Ref":"refs/tags/s/v1.0.0","RepoSum":"r1:"}}';
    expect(formatInfo(parse(text))).toBe(text);
  });

  test("leaves out what is not known", () => {
    expect(formatInfo(parse('{"Version":"v1.0.0"}'))).toBe('{"Version":"v1.0.0"}');
  });

  test("is read back as it was", () => {
    const origin = fc.record({ url: fc.string({ unit: "grapheme", minLength: 1 }), ref: fc.string({ minLength: 1 }) });
    const date = fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true });
    fc.assert(
      fc.property(origin, date, (origin, date) => {
        const time = `${date.toISOString().slice(0, 19)}Z`;
        const value = { version: parse('{"Version":"v1.0.0"}').version, time, origin };
        expect(parse(formatInfo(value))).toEqual(value);
      }),
    );
  });
});
