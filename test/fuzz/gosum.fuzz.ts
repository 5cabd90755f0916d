import assert from "node:assert/strict";
import { formatGoSum, parseGoSum } from "../../src/protocol/modfile/index.ts";

export const name = "gosum";

export const seeds: readonly Uint8Array[] = [
  `rsc.io/quote v1.5.2 h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=
rsc.io/quote v1.5.2/go.mod h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=
rsc.io/sampler v1.3.0/go.mod h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=
rsc.io/sampler v1.3.0 h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=
`,
  `a.b/c v2.0.0+incompatible h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=\r\n\n\ta.b/c  v1.10.0-rc.1/go.mod\th2:x\n`,
  "a.b/c v1.0.0/go.mod h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  "/go.mod",
  " v1.0.0 ",
  "h1:",
  "h2:",
  "\n",
  "\r\n",
  "+incompatible",
  "a.b/c",
];

export function fuzz(input: Uint8Array): void {
  const entries = parseGoSum(input);
  const text = formatGoSum(entries);
  const again = parseGoSum(text);
  assert.equal(formatGoSum(again), text);
  const lines = new Set(entries.map((entry) => formatGoSum([entry])));
  assert.equal(again.length, lines.size);
  for (const entry of again) assert.ok(lines.has(formatGoSum([entry])));
}
