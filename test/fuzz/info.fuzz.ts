import assert from "node:assert/strict";
import type { InfoRequest } from "../../src/protocol/goproxy/index.ts";
import { formatInfo, parseInfo } from "../../src/protocol/goproxy/index.ts";
import { ProtocolError } from "../../src/protocol/error.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";

export const name = "info";

export const seeds: readonly Uint8Array[] = [
  '{"Version":"v1.0.0","Time":"2018-02-19T23:10:06Z"}',
  '{"Version":"v1.0.0","Time":"2018-02-19T23:10:06.120+01:30","Origin":{"VCS":"git","URL":"https://example.com/?a\\u0026b","Subdir":"s",' +
    '"Hash":"0123456789abcdef0123456789abcdef01234567","TagPrefix":"s/","TagSum":"t1:x","Ref":"refs/tags/s/v1.0.0","RepoSum":"r1:x"}}',
  ' { "version" : "v9.0.0", "VERSION" : "v1.0.0" , "Name" : [ { } , 1e3 , true , null ] , "Time" : null }\n',
  '{"Version":"v0.0.0-20200101000000-abcdef123456","Origin":{}}',
  '{"Version":"v1.0.0+meta"}',
  '{"Version":"v2.0.0"}',
  "<html></html>",
  "not found",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  '"Version":',
  '"version":',
  '"Verſion":',
  '"Time":',
  '"Origin":{',
  '"Hash":',
  '"v1.0.0"',
  '"v1.0.1"',
  "null",
  "{}",
  "[]",
  "0",
  "\\u003c",
  "\\ud800",
  "0001-01-01T00:00:00Z",
  "+24:60",
];

const modulePath = parseModulePath("x.y/z");
const requests: readonly InfoRequest[] = [
  { kind: "info", modulePath, version: parseVersion("v1.0.0") },
  { kind: "query", modulePath, query: "master" },
];

export function fuzz(input: Uint8Array): void {
  for (const request of requests) {
    const info = parseInfo(input, request);
    const text = formatInfo(info);
    const again = parse(text, request);
    assert.equal(formatInfo(again), text);
    assert.deepEqual([again.version, again.time], [info.version, info.time]);
  }
}

/** What we wrote must be read. */
function parse(text: string, request: InfoRequest): ReturnType<typeof parseInfo> {
  try {
    return parseInfo(Buffer.from(text), request);
  } catch (error) {
    if (error instanceof ProtocolError) throw new Error(`own text is refused: ${text}`, { cause: error });
    throw error;
  }
}
