import { describe, expect, test } from "vitest";
import type { PartialFile } from "../../core/ports.ts";
import type { HttpResponse } from "../../net/http.ts";
import { isRest, requestRest, strongEtag } from "./rest.ts";

const me = "https://proxy.example.com";
const partial: PartialFile = { size: 100_000, total: 200_000, source: me, etag: '"a1"' };
const start = 100_000 - 16 * 1024;

function answer(status: number, headers: Readonly<Record<string, string>>): HttpResponse {
  const length = headers["content-length"];
  const size = length === undefined ? undefined : Number(length);
  return { status, headers, size, url: new URL(me), body: nothing(), discard: () => undefined };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

describe("the rest of a file", () => {
  test("is asked for with a little of what is there, and of the same file, where that can be told", () => {
    expect(requestRest(partial, me)).toEqual({
      start,
      total: 200_000,
      etag: '"a1"',
      headers: { range: `bytes=${start}-`, "if-range": '"a1"' },
    });
    const range = { range: `bytes=${start}-` };
    expect(requestRest({ ...partial, etag: undefined }, me)?.headers).toEqual(range);
    expect(requestRest(partial, "https://another.example.com")?.headers).toEqual(range);
  });

  test("is not asked for where there is nothing to spare", () => {
    expect(requestRest(undefined, me)).toBeUndefined();
    expect(requestRest({ ...partial, size: 16 * 1024 }, me)).toBeUndefined();
  });

  const range = `bytes ${start}-199999/200000`;
  const length = String(200_000 - start);
  test.each<[string, boolean, number, Record<string, string>]>([
    ["with all that can be said", true, 206, { "content-range": range, "content-length": length, etag: '"a1"' }],
    ["without a length and an ETag", true, 206, { "content-range": range }],
    ["in no coding", true, 206, { "content-range": range, "content-encoding": "identity" }],
    ["as a 200", false, 200, { "content-range": range, "content-length": length, etag: '"a1"' }],
    ["compressed", false, 206, { "content-range": range, "content-encoding": "gzip" }],
    ["of another length", false, 206, { "content-range": range, "content-length": "5" }],
    ["of another file", false, 206, { "content-range": range, etag: '"a2"' }],
    ["of something weakly the same", false, 206, { "content-range": range, etag: 'W/"a1"' }],
    ["without a Content-Range", false, 206, {}],
    ["of a larger file", false, 206, { "content-range": `bytes ${start}-200000/200001` }],
    ["of a file of unknown size", false, 206, { "content-range": `bytes ${start}-199999/*` }],
    ["that is another part", false, 206, { "content-range": `bytes ${start + 1}-199999/200000` }],
    ["that is not all of it", false, 206, { "content-range": `bytes ${start}-199998/200000` }],
    ["in other units", false, 206, { "content-range": `items ${start}-199999/200000` }],
  ])("%s: %s", (_name, expected, status, headers) => {
    const asked = requestRest(partial, me);
    expect(asked !== undefined && isRest(answer(status, headers), asked)).toBe(expected);
  });
});

test.each([
  ['"abc"', '"abc"'],
  ['""', '""'],
  ['W/"abc"', undefined],
  ["abc", undefined],
  ['"a", "b"', undefined],
  ['"a b"', undefined],
])("the strong ETag of %s is %s", (etag, expected) => {
  expect(strongEtag(answer(200, { etag }))).toBe(expected);
});

test("no ETag is none", () => {
  expect(strongEtag(answer(200, {}))).toBeUndefined();
});
