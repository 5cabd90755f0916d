import assert from "node:assert/strict";
import {
  formatTree,
  generateKey,
  openNote,
  parseGosumdb,
  parseSignerKey,
  parseTree,
  parseVerifierKey,
  signNote,
} from "../../src/protocol/sumdb/index.ts";

export const name = "sum-note";

const known = [0, 1].map((turn) =>
  parseSignerKey(generateKey("corp.example/go", new Uint8Array(32).fill(turn)).signerKey),
);
const stranger = parseSignerKey(generateKey("sum.golang.org", new Uint8Array(32)).signerKey);
const verifiers = known.map(({ verifierKey }) => parseVerifierKey(verifierKey));
const texts = [
  ...[0, 1, 123456789012].map((size) => formatTree({ size, hash: new Uint8Array(32).fill(size) })),
  "If you think\n\ncryptography\n",
  "go.sum database tree\n5\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\nmore\n",
];

export const seeds: readonly Uint8Array[] = [
  ...texts.map((text) => signNote(text, known)),
  ...texts.map((text) => signNote(text, [stranger, ...known])),
  ...texts.map((text) => signNote(text, [stranger])),
  ...texts.map((text) => Buffer.from(text)),
  ...known.map(({ verifierKey }) => Buffer.from(verifierKey)),
  Buffer.from(`${stranger.verifierKey} https://corp.example/sumdb/`),
  Buffer.from(generateKey("x", new Uint8Array(32)).signerKey),
  Buffer.from("sum.golang.org"),
  Buffer.from("sum.golang.google.cn"),
  Buffer.from("off"),
];

export const dictionary: readonly string[] = [
  "— ",
  "\n\n",
  "— corp.example/go ",
  "go.sum database tree\n",
  "+",
  "PRIVATE+KEY+",
  "https://",
  "..",
  "\u00a0",
  "\r",
];

export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  if (text.startsWith("go.sum")) fuzzTree(text);
  if (text.includes("\n")) fuzzNote(input);
  else if (text.startsWith("PRIVATE")) parseSignerKey(text);
  else fuzzSetting(text);
}

/** Nobody but the keys can have signed a text. */
function fuzzNote(input: Uint8Array): void {
  const { text, signedBy } = openNote(input, verifiers);
  assert.ok(texts.includes(text));
  assert.ok(signedBy.length > 0 && new Set(signedBy).size === signedBy.length);
}

function fuzzTree(text: string): void {
  if (!text.endsWith("=\n")) return;
  const tree = parseTree(text);
  assert.deepEqual(parseTree(formatTree(tree)), tree);
}

function fuzzSetting(text: string): void {
  const setting = parseGosumdb(text);
  if (setting.kind === "off") return;
  assert.equal(setting.verifier.name, setting.name);
  // It becomes a path.
  assert.ok(setting.name.split("/").every((element) => !["", ".", ".."].includes(element)));
  assert.deepEqual(
    { ...parseGosumdb(`${setting.verifierKey} ${setting.url ?? ""}`), verifier: undefined },
    { ...setting, verifier: undefined },
  );
}
