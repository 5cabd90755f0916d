import assert from "node:assert/strict";
import {
  lookupPath,
  parseLogRequest,
  planTileCheck,
  planTileReads,
  storedHashIndex,
  tilePath,
} from "../../src/protocol/sumdb/index.ts";
import { createSparseLog } from "../support/sparse-log.ts";

export const name = "sum-tile";

const log = createSparseLog([0, 5, 299]);
const plans = [
  planTileReads(log.tree(300), [storedHashIndex(0, 5), storedHashIndex(3, 1)]),
  planTileReads(log.tree(11), [storedHashIndex(0, 5)], 2),
  planTileCheck(log.tree(300), { height: 8, level: -1, index: 1, width: 44 }),
].map((plan) => ({ plan, bytes: Buffer.concat(plan.tiles.map((tile) => log.tileBytes(tile))) }));

const paths = [
  "tile/8/0/000",
  "tile/8/data/x001/x234/067.p/1",
  "tile/30/63/999.p/1073741823",
  "tile/1/0/x999/x999/x999/999.p/1",
  "lookup/rsc.io/quote@v1.5.2",
  "lookup/github.com/%21azure/go-autorest@v14.2.0+incompatible",
  "lookup/example.com/m/v2@v2.0.0-20200102030405-abcdef123456",
  "latest",
  "supported",
];

export const seeds: readonly Uint8Array[] = [
  ...paths.map((path) => Buffer.from(path)),
  ...plans.map(({ bytes }) => bytes),
];

export const dictionary: readonly string[] = [
  "tile/",
  "lookup/",
  "x000/",
  "/000",
  ".p/",
  ".p/256",
  "data",
  "-1",
  "%21",
  "%2F",
  "%2e%2e",
  "!a",
  "@v",
  "/v2",
  "+incompatible",
  "-0.",
];

export function fuzz(input: Uint8Array): void {
  if (input.length > 300) fuzzTiles(input);
  else fuzzRequest(Buffer.from(input).toString());
}

/** One path for one meaning. */
function fuzzRequest(text: string): void {
  const request = parseLogRequest(text);
  const path = decodeURIComponent(text);
  if (request.kind === "tile") assert.equal(tilePath(request.tile), path);
  else if (request.kind === "lookup") assert.equal(lookupPath(request.modulePath, request.version), path);
  else assert.equal(request.kind, path);
}

/** No other bytes than the right ones are proven. */
function fuzzTiles(input: Uint8Array): void {
  for (const { plan, bytes } of plans) {
    if (Math.abs(input.length - bytes.length) > 64) continue;
    plan.verify(cut(input, plan.tiles));
    assert.ok(bytes.equals(input));
  }
}

function cut(input: Uint8Array, tiles: readonly { readonly width: number }[]): Uint8Array[] {
  let start = 0;
  return tiles.map(({ width }, position) => {
    const end = position === tiles.length - 1 ? input.length : start + width * 32;
    const part = input.subarray(start, end);
    start = end;
    return part;
  });
}
