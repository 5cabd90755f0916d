import assert from "node:assert/strict";
import { blobKey, canNeverBeModule, parseRequest, requestUrl } from "../../src/protocol/goproxy/index.ts";

export const name = "goproxy";

export const seeds: readonly Uint8Array[] = [
  "/github.com/%21azure/go-autorest/@v/v13.3.0+incompatible.info",
  "/github.com/!azure/go-autorest/@v/v1.0.0-!r!c1.mod",
  "/rsc.io/quote/v3/@v/v3.1.0.zip",
  "/gopkg.in/yaml.v2/@v/v2.0.0-20160102150405-abcdef123456.mod",
  "/golang.org/toolchain/@v/v0.0.1-go1.26.0.linux-amd64.zip",
  "/x.y/z/@v/list",
  "/x.y/z/@latest",
  "/x.y/z/@v/master.info",
  "/x.y/z/@v/a%20%23%25%7Bb&=$~.info",
  "/x.y/z/@v/v2.0.0.info",
  "/x.y/z/@v/feature%2fx.info",
].map((path) => Buffer.from(path));

export const dictionary: readonly string[] = [
  "/@v/",
  "/@latest",
  "/@",
  "list",
  ".info",
  ".mod",
  ".zip",
  "v1",
  "v1.2.3",
  "/v2",
  "+meta",
  "%",
  "%2f",
  "%21",
  "%40",
  "%25",
  "!a",
  "..",
  "latest",
];

export function fuzz(input: Uint8Array): void {
  const path = Buffer.from(input).toString();
  const request = parseRequest(path);
  const key = blobKey(request);
  const url = requestUrl(new URL("https://proxy.example.com/base/"), request);
  assert.deepEqual(parseRequest(`/${key.replaceAll("%", "%25")}`), request);
  assert.equal(url.search + url.hash, "");
  assert.deepEqual(parseRequest(url.pathname.slice("/base".length)), request);
  assert.ok(key.split("/").every((element) => element !== "" && element !== "." && element !== ".."));
  assert.equal(key, key.toLowerCase());
  canNeverBeModule(request.modulePath);
}
