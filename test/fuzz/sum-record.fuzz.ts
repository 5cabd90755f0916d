import assert from "node:assert/strict";
import { ProtocolError } from "../../src/protocol/error.ts";
import {
  checkDataTile,
  findHash,
  formatDataTile,
  formatLookup,
  parseDataTile,
  parseLookup,
  parseRecord,
  recordHash,
} from "../../src/protocol/sumdb/index.ts";

export const name = "sum-record";

const h1 = "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=";
const records = [
  `rsc.io/quote v1.5.2 ${h1}\nrsc.io/quote v1.5.2/go.mod h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=\n`,
  `github.com/Azure/go-autorest v14.2.0+incompatible ${h1}\ngithub.com/Azure/go-autorest v14.2.0+incompatible h2:x\n`,
  `a.b/c v1.0.0 ${h1}\na.b/c v1.0.0 h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=\n`,
  "hello, world\n",
];

export const seeds: readonly Uint8Array[] = [
  ...records.map((text, id) => formatLookup(id * 1_000_000_007, text, Buffer.from("go.sum database tree\n1\n"))),
  formatDataTile(records),
  formatDataTile(records.slice(0, 1)),
  ...records.map((text) => Buffer.from(text)),
];

export const dictionary: readonly string[] = [
  "\n\n",
  "\n",
  "/go.mod",
  " v1.0.0 ",
  " h1:",
  " h2:",
  "+incompatible",
  "\0",
  "\r\n",
  "\u0085",
  "4503599627370495\n",
  "4503599627370496\n",
];

export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  if (/^[0-9]/.test(text)) fuzzLookup(input);
  else if (text.includes("\n\n")) fuzzDataTile(input);
  else fuzzRecord(text);
}

/** One answer for one meaning: what is accepted is what we would write. */
function fuzzLookup(input: Uint8Array): void {
  const { id, text, note } = parseLookup(input);
  assert.ok(Buffer.from(formatLookup(id, text, note)).equals(input));
}

function fuzzDataTile(input: Uint8Array): void {
  const texts = parseDataTile(input);
  assert.ok(Buffer.from(formatDataTile(texts)).equals(input));
  assert.deepEqual(checkDataTile(input, texts.map(recordHash)), texts);
}

function fuzzRecord(text: string): void {
  const lines = parseRecord(text);
  for (const { modulePath, version, kind, h1 } of lines) {
    const same = lines.filter(
      (line) => line.modulePath === modulePath && line.version === version && line.kind === kind,
    );
    if (same.every((line) => line.h1 === h1)) assert.equal(findHash(text, modulePath, version, kind), h1);
    else assert.throws(() => findHash(text, modulePath, version, kind), ProtocolError);
  }
}
