import { describe, expect, it } from "vitest";
import { parsePurge } from "./purge-request.ts";

const module = "example.com/Team/m";
const escaped = "example.com/!team/m";

describe("a purge", () => {
  it.each([
    [{ module }, { module }],
    [
      { module, negatives: true },
      { module, onlyMissing: true },
    ],
    [{ module, negatives: false }, { module }],
    [{ module, kind: "list" }, { keys: [`${escaped}/@v/list`] }],
    [{ module, kind: "latest" }, { keys: [`${escaped}/@latest`] }],
    [{ module, version: "latest" }, { keys: [`${escaped}/@latest`] }],
    [{ module, version: "main" }, { keys: [`${escaped}/@v/main.info`] }],
    [{ module, version: "main", kind: "query" }, { keys: [`${escaped}/@v/main.info`] }],
    [
      { module, version: "v1.2.3" },
      { keys: [`${escaped}/@v/v1.2.3.info`, `${escaped}/@v/v1.2.3.mod`, `${escaped}/@v/v1.2.3.zip`] },
    ],
    [
      { module, version: "v1.2.3", kind: "zip", negatives: true },
      { keys: [`${escaped}/@v/v1.2.3.zip`], onlyMissing: true },
    ],
    [{ pattern: "corp.example/*,*.test" }, { pattern: "corp.example/*,*.test" }],
    [
      { pattern: "corp.example", negatives: true },
      { pattern: "corp.example", onlyMissing: true },
    ],
  ])("%j is about %j", (body, selection) => {
    expect(parsePurge(body)).toStrictEqual(selection);
  });

  it.each([
    [[], "the body is no JSON object; the fields are module, version, kind, negatives, pattern"],
    [null, "the body is no JSON object; the fields are module, version, kind, negatives, pattern"],
    [{}, 'it names neither module nor pattern; write {"module": "example.com/mod"}'],
    [{ modul: module }, 'there is no field "modul"; the fields are module, version, kind, negatives, pattern'],
    [
      { constructor: module },
      'there is no field "constructor"; the fields are module, version, kind, negatives, pattern',
    ],
    [{ module: 1 }, "module is not text; write it in quotes"],
    [{ module, negatives: "yes" }, "negatives is not a yes or no; write true or false"],
    [{ module: "nodots" }, /nodots/],
    [{ module, kind: "zips" }, 'there is no kind "zips"; it is one of list, latest, query, info, mod, zip'],
    [{ module, kind: "zip" }, /^the kind zip needs a version/],
    [{ module, kind: "list", version: "v1.0.0" }, "the kind list has no version; leave version out"],
    [{ module, kind: "zip", version: "main" }, /^main is no version but a query/],
    [{ module, kind: "query", version: "v1.0.0" }, "v1.0.0 is a version and no query; leave kind out"],
    [{ module, version: "../x" }, /disallowed version/],
    [{ module, pattern: "x" }, /^pattern stands alone/],
    [{ pattern: "" }, /^the pattern is empty/],
    [{ pattern: "a, b" }, /^the pattern is empty or has a blank/],
    [{ pattern: "[" }, /pattern/],
  ])("%j is refused in words", (body, message) => {
    expect(() => parsePurge(body)).toThrow(expect.objectContaining({ code: "bad_request" }));
    expect(() => parsePurge(body)).toThrow(message);
  });
});
