import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ProtocolError } from "../../src/protocol/error.ts";
import {
  canonicalVersion,
  matchesPathMajor,
  splitPathVersion,
  unescapePath,
  unescapeVersion,
} from "../../src/protocol/module/index.ts";
import * as sumdb from "../../src/protocol/sumdb/index.ts";
import { mutate } from "../fuzz/mutate.ts";
import { askOracle, lacksOracles } from "../support/go-oracle.ts";
import { createRandom, type Random } from "../support/random.ts";
import { createSparseLog, type SparseLog } from "../support/sparse-log.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? "20190812");

/** As `test/oracle/sumdb` reads it. Bytes are base64. */
interface Question {
  readonly text?: string;
  readonly bytes?: string;
  readonly keys?: readonly string[];
  readonly n?: readonly number[];
  readonly log?: { readonly marks: readonly number[] };
  readonly indexes?: readonly number[];
  readonly proof?: readonly string[];
  readonly hash?: string;
  readonly oldHash?: string;
  readonly tamper?: Tampering;
}

interface Tampering {
  readonly path: string;
  readonly byte: number;
  readonly bit: number;
  /** Bytes more or, below 0, less. */
  readonly extra: number;
}

interface Topic {
  /** Default 2000. */
  readonly cases?: number;
  ask(random: Random): Question;
  /** What our side answers, in the shape of the oracle's `value`. */
  answer(question: Required<Question>): unknown;
  /** Whether our side refuses what x/mod takes, and should. */
  isStricter?(question: Required<Question>): boolean;
}

const names = ["sum.golang.org", "corp.example/go", "PeterNeumann", "Ünïcode", "x"];
const keys = names.flatMap((name) => [0, 1, 2].map((turn) => sumdb.generateKey(name, new Uint8Array(32).fill(turn))));
const treeTexts = [0, 1, 42, 123456789012, 2 ** 52].map((size) => sumdb.formatTree({ size, hash: new Uint8Array(32) }));
const texts = [
  ...treeTexts,
  "If you think\n\ncryptography\n",
  "\n",
  "日本 — ☺\n",
  "go.sum database tree\n1\nAA==\nmore\n",
];
const h1 = "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=";
const records = [
  `rsc.io/quote v1.5.2 ${h1}\nrsc.io/quote v1.5.2/go.mod ${h1}\n`,
  "hello, world\n",
  "a\nb\nc\n",
  "日本\n",
];
const badRecords = ["", "hello\nworld", "hello\n\nworld\n", "hello\u0001world\n", "\nhello\n", "\n"];
const noteWords = ["\n", "\n\n", "— ", " ", "+", "=", "— x AAAAAAA=\n", "\r", "\0", "\u007f", "é", "\u00a0"];
const tilePaths = [
  "tile/8/0/000",
  "tile/8/data/x001/x234/067.p/1",
  "tile/3/4/x001/x234/067",
  "tile/30/63/999.p/1073741823",
  "tile/1/0/x999/x999/x999/999.p/1",
  "tile/8/12/x004/x503/x599/x627/x370/495.p/255",
];
const tileWords = ["tile/", "/", "x", "000", "x000/", ".p/", ".p/0", ".p/256", "data", "-1", "+1", "01", "31", "1 "];
const lookupPaths = [
  "lookup/rsc.io/quote@v1.5.2",
  "lookup/github.com/!azure/go-autorest@v14.2.0+incompatible",
  "lookup/golang.org/toolchain@v0.0.1-go1.21.0.linux-amd64",
  "lookup/example.com/m/v2@v2.0.0-20200102030405-abcdef123456",
  "lookup/gopkg.in/yaml.v2@v2.4.0-!r!c.1",
  "latest",
];
const lookupWords = [
  "@",
  "@v",
  "!",
  "/",
  "/v2",
  "+incompatible",
  "+meta",
  "-",
  "v1.2",
  ".0",
  ".01",
  "A",
  "%",
  "é",
  "//",
];

const topics: Readonly<Record<string, Topic>> = {
  verifierKey: {
    ask: (random) => ({ text: mutatedKey(random, random.pick(keys).verifierKey) }),
    answer({ text }) {
      const { name, keyHash } = sumdb.parseVerifierKey(text);
      return [name, keyHash];
    },
    isStricter: ({ text }) => /[\r\n]/.test(text),
  },
  signerKey: {
    ask: (random) => ({ text: mutatedKey(random, random.pick(keys).signerKey) }),
    answer({ text }) {
      const { name, keyHash } = sumdb.parseSignerKey(text);
      return [name, keyHash];
    },
    isStricter: ({ text }) => /[\r\n]/.test(text),
  },
  generateKey: {
    ask: (random) => ({ text: random.pick(names), bytes: base64(randomBytes(random, 32)) }),
    answer({ text, bytes }) {
      const { signerKey, verifierKey } = sumdb.generateKey(text, decoded(bytes));
      expect(sumdb.parseSignerKey(signerKey).verifierKey).toBe(verifierKey);
      return [signerKey, verifierKey];
    },
  },
  openNote: {
    ask: (random) => ({ bytes: base64(randomNote(random)), keys: some(random, keys).map((key) => key.verifierKey) }),
    answer({ bytes, keys }) {
      const { text, signedBy } = sumdb.openNote(decoded(bytes), keys.map(sumdb.parseVerifierKey));
      return [text, signedBy.map(({ name, keyHash }) => `${name}+${keyHash.toString(16).padStart(8, "0")}`)];
    },
  },
  signNote: {
    ask: (random) => ({
      text: random.chance(80) ? random.pick(texts) : mutatedText(random, texts, noteWords),
      keys: [random.pick(keys), ...some(random, keys)].map((key) => key.signerKey),
    }),
    answer: ({ text, keys }) => base64(sumdb.signNote(text, keys.map(sumdb.parseSignerKey))),
    isStricter: ({ text }) => /[^\n -\uffff]/.test(text),
  },
  formatTree: {
    ask: (random) => ({ n: [randomSize(random)], hash: base64(randomBytes(random, 32)) }),
    answer: ({ n: [size = 0], hash }) => sumdb.formatTree({ size, hash: decoded(hash) }),
  },
  parseTree: {
    ask: (random) => ({ text: mutatedText(random, texts, [...noteWords, "0", "9", "99999999999", "-", "go.sum"]) }),
    answer({ text }) {
      const { size, hash } = sumdb.parseTree(text);
      return [size, base64(hash)];
    },
    isStricter: ({ text }) => Number(text.split("\n")[1]) > 2 ** 52 || text.includes("\r"),
  },
  formatLookup: {
    ask: (random) => ({
      n: [Math.max(0, randomSize(random) - 1)],
      text: random.chance(50)
        ? random.pick([...records, ...badRecords])
        : mutatedText(random, [...records, ...badRecords], noteWords),
      bytes: base64(Buffer.from("note\n")),
    }),
    answer: ({ n: [id = 0], text, bytes }) => base64(sumdb.formatLookup(id, text, decoded(bytes))),
    isStricter: ({ text }) => text.startsWith("\n"),
  },
  parseLookup: {
    ask(random) {
      const corpus = records.map((text, id) => sumdb.formatLookup(id * 1e9, text, Buffer.from(random.pick(texts))));
      return { bytes: base64(random.chance(20) ? random.pick(corpus) : mutatedBytes(random, corpus, noteWords)) };
    },
    answer({ bytes }) {
      const { id, text, note } = sumdb.parseLookup(decoded(bytes));
      return [id, text, base64(note)];
    },
    isStricter({ bytes }) {
      const [id = "", text] = decoded(bytes).toString().split("\n");
      return text === "" || String(Number(id)) !== id || Number(id) >= 2 ** 52 || Number(id) < 0;
    },
  },
  recordHash: {
    ask: (random) => ({ text: mutatedText(random, [...records, "", "hello world"], noteWords) }),
    answer: ({ text }) => base64(sumdb.recordHash(text)),
  },
  storedHashIndex: {
    ask(random) {
      const level = random.int(53);
      return { n: [level, random.chance(20) ? 2 ** (52 - level) - 1 : randomBelow(random, 2 ** (52 - level))] };
    },
    answer: ({ n: [level = 0, index = 0] }) => sumdb.storedHashIndex(level, index),
  },
  splitStoredHashIndex: {
    ask: (random) => ({ n: [random.chance(10) ? 2 ** 53 - 2 - random.int(100) : randomBelow(random, 2 ** 53 - 1)] }),
    answer({ n: [index = 0] }) {
      const { level, n } = sumdb.splitStoredHashIndex(index);
      return [level, n];
    },
  },
  storedHashCount: {
    ask: (random) => ({ n: [randomSize(random)] }),
    answer: ({ n: [size = 0] }) => sumdb.storedHashCount(size),
  },
  storedHashes: {
    ask(random) {
      const n = Math.max(0, randomSize(random) - 1);
      return { n: [n], log: randomLog(random, [n]) };
    },
    answer({ n: [n = 0], log }) {
      const sparse = logOf(log);
      const read = sparse.hashes(sumdb.storedHashIndexesFor(n));
      return sumdb.storedHashesFor(n, sumdb.recordHash(sparse.record(n)), read).map(base64);
    },
  },
  treeHash: {
    ask(random) {
      const size = randomSize(random);
      return { n: [size], log: randomLog(random, [size]) };
    },
    answer: ({ n: [size = 0], log }) => base64(logOf(log).tree(size).hash),
  },
  proveRecord: {
    ask(random) {
      const size = randomSize(random);
      const n = randomBelow(random, size + (random.chance(10) ? 2 : 0));
      return { n: [size, n], log: randomLog(random, [n, size]) };
    },
    answer: ({ n: [size = 0, n = 0], log }) => recordProof(logOf(log), size, n).map(base64),
  },
  checkRecord: {
    ask(random) {
      const size = Math.max(1, randomSize(random));
      const n = randomBelow(random, size);
      const log = createSparseLog(randomLog(random, [n]).marks);
      const proof = recordProof(log, size, n).map(base64);
      const [hash, oldHash] = [base64(log.tree(size).hash), base64(sumdb.recordHash(log.record(n)))];
      return mutatedProof(random, { n: [size, n], proof, hash, oldHash });
    },
    answer({ n: [size = 0, n = 0], proof, hash, oldHash }) {
      sumdb.checkRecord(proof.map(decoded), { size, hash: decoded(hash) }, n, decoded(oldHash));
    },
  },
  proveTree: {
    ask(random) {
      const size = randomSize(random);
      const old = randomBelow(random, size + (random.chance(10) ? 2 : 1));
      return { n: [size, old], log: randomLog(random, [old, size]) };
    },
    answer: ({ n: [size = 0, old = 0], log }) => treeProof(logOf(log), size, old).map(base64),
  },
  checkTree: {
    ask(random) {
      const size = Math.max(1, randomSize(random));
      const old = 1 + randomBelow(random, size);
      const log = createSparseLog(randomLog(random, [old - 1]).marks);
      const proof = treeProof(log, size, old).map(base64);
      const [hash, oldHash] = [base64(log.tree(size).hash), base64(log.tree(old).hash)];
      return mutatedProof(random, { n: [size, old], proof, hash, oldHash });
    },
    answer({ n: [size = 0, old = 0], proof, hash, oldHash }) {
      const older = { size: old, hash: decoded(oldHash) };
      sumdb.checkTree(proof.map(decoded), { size, hash: decoded(hash) }, older);
    },
  },
  tileForIndex: {
    ask: (random) => ({ n: [1 + random.int(30), randomBelow(random, 2 ** 53 - 1)] }),
    answer: ({ n: [height = 0, index = 0] }) => coordinates(sumdb.tileForIndex(height, index)),
  },
  newTiles: {
    ask(random) {
      const height = random.pick([1, 2, 8, 10, 30]);
      const size = randomSize(random);
      const old = Math.max(0, size - random.int(2000));
      return { n: [height, old, size] };
    },
    answer: ({ n: [height = 0, old = 0, size = 0] }) => sumdb.newTiles(height, old, size).map(coordinates),
  },
  tilePath: {
    ask(random) {
      const height = 1 + random.int(30);
      return { n: [height, random.int(65) - 1, randomSize(random), 1 + random.int(2 ** height)] };
    },
    answer: ({ n: [height = 0, level = 0, index = 0, width = 0] }) => sumdb.tilePath({ height, level, index, width }),
  },
  parseTilePath: {
    ask: (random) => ({ text: mutatedText(random, tilePaths, tileWords) }),
    answer: ({ text }) => coordinates(sumdb.parseTilePath(text)),
    isStricter: ({ text }) => isTooFar(text),
  },
  readTile: {
    ask(random) {
      const height = random.pick([1, 3, 8]);
      const size = Math.max(1, randomSize(random));
      const tile = sumdb.tileForIndex(height, randomBelow(random, sumdb.storedHashCount(size)));
      return { n: coordinates(tile), log: randomLog(random, [size, tile.index * 2 ** height]) };
    },
    answer: ({ n: [height = 0, level = 0, index = 0, width = 0], log }) =>
      base64(logOf(log).tileBytes({ height, level, index, width })),
  },
  readHashes: { cases: 700, ask: (random) => randomReads(random), answer: (question) => readHashes(question) },
  serve: {
    ask: (random) => ({
      text: `/${mutatedText(random, [...lookupPaths, ...tilePaths], [...lookupWords, ...tileWords])}`,
    }),
    answer({ text }) {
      const request = sumdb.parseLogRequest(text.slice(1).replaceAll("%", "%25"));
      if (request.kind === "lookup") return ["lookup", request.modulePath, request.version];
      if (request.kind !== "tile") return [request.kind];
      const { height, level, index, width } = request.tile;
      return level === -1 ? ["records", index * 2 ** height, width] : ["tile", coordinates(request.tile)];
    },
    isStricter: ({ text }) => isTooFar(text.slice(1)) || hasOtherVersion(text),
  },
};

describe.skipIf(lacksOracles())("golang.org/x/mod answers the same", () => {
  test.each(Object.entries(topics))("%s", (call, topic) => {
    const random = createRandom(seed);
    const questions = Array.from({ length: topic.cases ?? 2000 }, () => topic.ask(random));
    const theirs = askOracle(
      "sumdb",
      questions.map((question) => ({ call, ...question })),
    ).map(normalized);
    // A generator that makes only bad input would compare nothing.
    expect(theirs.filter((answer) => "value" in answer).length).toBeGreaterThan(questions.length / 20);
    const differences = questions
      .map((question, index) => ({ question, ours: ourAnswer(topic, filled(question)), theirs: theirs[index] }))
      .filter(({ ours, theirs }) => JSON.stringify(ours) !== JSON.stringify(theirs))
      .filter(({ question, ours }) => !("refused" in ours && topic.isStricter?.(filled(question)) === true));
    expect(differences.slice(0, 5), `${differences.length} differences with SLUICE_TEST_SEED=${seed}`).toEqual([]);
  });
});

const answerSchema = z.object({
  value: z.unknown().optional(),
  error: z.string().optional(),
  panic: z.boolean().optional(),
});

type Answer = { readonly value: unknown } | { readonly refused: true };

function ourAnswer(topic: Topic, question: Required<Question>): Answer {
  try {
    return { value: topic.answer(question) ?? null };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { refused: true };
  }
}

/** Without the words of a refusal: with several things wrong, each side names another one. */
function normalized(answer: unknown): Answer {
  const { value, error, panic } = answerSchema.parse(answer);
  return panic === true || error !== undefined ? { refused: true } : { value };
}

function filled(question: Question): Required<Question> {
  const nothing = { path: "", byte: 0, bit: 0, extra: 0 };
  const empty = { text: "", bytes: "", keys: [], n: [], log: { marks: [] }, indexes: [], proof: [], hash: "" };
  return { ...empty, oldHash: "", tamper: nothing, ...question };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function decoded(text: string): Buffer {
  return Buffer.from(text, "base64");
}

function coordinates({ height, level, index, width }: sumdb.Tile): number[] {
  return [height, level, index, width];
}

function logOf({ marks }: { readonly marks: readonly number[] }): SparseLog {
  return createSparseLog(marks);
}

function recordProof(log: SparseLog, size: number, n: number): Uint8Array[] {
  return sumdb.proveRecord(size, n, log.hashes(sumdb.recordProofIndexes(size, n)));
}

function treeProof(log: SparseLog, size: number, old: number): Uint8Array[] {
  return sumdb.proveTree(size, old, log.hashes(sumdb.treeProofIndexes(size, old)));
}

function readHashes({ n: [height = 0, size = 0], log, hash, indexes, tamper }: Required<Question>): unknown {
  const plan = sumdb.planTileReads({ size, hash: decoded(hash) }, indexes, height);
  const sparse = logOf(log);
  const bytes = plan.tiles.map((tile) => {
    const right = sparse.tileBytes(tile);
    return sumdb.tilePath(tile) === tamper.path ? tampered(right, tamper) : right;
  });
  return [plan.tiles.map(sumdb.tilePath), plan.verify(bytes).map(base64)];
}

function tampered(right: Uint8Array, { byte, bit, extra }: Tampering): Uint8Array {
  if (extra > 0) return Buffer.concat([right, Buffer.alloc(extra)]);
  if (extra < 0) return right.subarray(0, right.length + extra);
  const bytes = Buffer.from(right);
  bytes[byte] = (bytes[byte] ?? 0) ^ (1 << bit);
  return bytes;
}

function randomReads(random: Random): Question {
  const height = random.pick([1, 2, 3, 8, 8, 8]);
  const size = Math.max(1, randomSize(random));
  const count = sumdb.storedHashCount(size);
  const indexes = Array.from({ length: 1 + random.int(5) }, () => {
    if (random.chance(2)) return count + random.int(3);
    return random.chance(30) ? count - 1 - random.int(Math.min(count, 50)) : randomBelow(random, count);
  }).filter((index) => Number.isSafeInteger(index));
  const log = randomLog(random, [size]);
  const question = { n: [height, size], indexes, log, hash: base64(logOf(log).tree(size).hash) };
  if (random.chance(40)) return question;
  if (random.chance(10)) return { ...question, hash: base64(randomBytes(random, 32)) };
  const possible = indexes.filter((index) => index < count);
  const tile = random.pick(sumdb.planTileReads({ size, hash: new Uint8Array(32) }, possible, height).tiles);
  const [byte, bit] = [random.int(tile.width * 32), random.int(8)];
  const extra = random.chance(15) ? random.pick([-32, -1, 1, 32]) : 0;
  return { ...question, tamper: { path: sumdb.tilePath(tile), byte, bit, extra } };
}

/** From 0 to `2 ** 52`: small ones, real ones, those around powers of two, and all others. */
function randomSize(random: Random): number {
  const near = (value: number): number => Math.max(0, Math.min(2 ** 52, value + random.int(7) - 3));
  switch (random.int(5)) {
    case 0:
      return random.int(1000);
    case 1:
      return 50_000_000 + random.int(1_000_000);
    case 2:
      return near(2 ** random.int(53));
    case 3:
      return near(256 ** random.int(7) * (1 + random.int(255)));
    default:
      return randomBelow(random, 2 ** (1 + random.int(52)));
  }
}

function randomBelow(random: Random, limit: number): number {
  if (limit <= 0) return 0;
  return (random.int(2 ** 21) * 2 ** 32 + random.int(2 ** 32)) % limit;
}

/** Marks lie about the places that matter, and anywhere. */
function randomLog(random: Random, places: readonly number[]): { marks: number[] } {
  const near = places.flatMap((place) => [place - 1, place, place - random.int(300)]);
  const anywhere = Array.from({ length: random.int(6) }, () => randomSize(random));
  return { marks: [...near, ...anywhere].filter((mark) => mark >= 0 && random.chance(80)) };
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(256));
}

function some<T>(random: Random, list: readonly T[]): T[] {
  return list.filter(() => random.chance(30));
}

function randomNote(random: Random): Uint8Array {
  const signers = [random.pick(keys), ...some(random, keys)].map((key) => sumdb.parseSignerKey(key.signerKey));
  const note = Buffer.from(sumdb.signNote(random.pick(texts), signers));
  if (random.chance(40)) return note;
  // Signature lines that appear twice, that nobody knows, or that belong to another text.
  const lines = note.toString().split("\n").slice(0, -1);
  const at = random.int(lines.length + 1);
  const line = random.pick([...lines, "— x AAAAAAA=", "— x AAAAAAA", "—  AAAAAAA=", `— ${names[0]} AAAAAAA=`, "— x"]);
  const spliced = Buffer.from(`${lines.toSpliced(at, random.int(2), line).join("\n")}\n`);
  return random.chance(50) ? spliced : mutatedBytes(random, [note, spliced], noteWords);
}

function mutatedKey(random: Random, key: string): string {
  if (random.chance(20)) return key;
  if (random.chance(30)) return key.replace(/\+[0-9a-f]{8}\+/, (hash) => hash.toUpperCase());
  return mutatedText(random, [key], ["+", " ", "=", "PRIVATE+KEY+", "AA==", "00000000", "é", "\u00a0", "\n"]);
}

function mutatedProof(random: Random, question: Question): Question {
  const { proof = [], n: [size = 0, n = 0] = [] } = question;
  const at = random.int(proof.length + 1);
  const other = base64(randomBytes(random, 32));
  switch (random.int(8)) {
    case 0:
      return { ...question, proof: proof.toSpliced(at, 1, other) };
    case 1:
      return { ...question, proof: proof.toSpliced(at, 1) };
    case 2:
      return { ...question, proof: proof.toSpliced(at, 0, other) };
    case 3:
      return { ...question, n: [size + random.int(3), n] };
    case 4:
      return { ...question, n: [size, Math.max(0, n + random.int(5) - 2)] };
    case 5:
      return random.chance(50) ? { ...question, hash: other } : { ...question, oldHash: other };
    default:
      return question;
  }
}

function mutatedText(random: Random, corpus: readonly string[], words: readonly string[]): string {
  if (random.chance(20)) return random.pick(corpus);
  const bytes = mutatedBytes(
    random,
    corpus.map((text) => Buffer.from(text)),
    words,
  );
  return Buffer.from(bytes).toString();
}

function mutatedBytes(random: Random, corpus: readonly Uint8Array[], words: readonly string[]): Uint8Array {
  const dictionary = words.map((word) => Buffer.from(word));
  return mutate(random, { corpus, dictionary, maxBytes: 4096 });
}

/** A tile that no log of at most `2 ** 52` records has. */
function isTooFar(path: string): boolean {
  const [, level, number] = /^tile\/[0-9]+\/([0-9]+|data)\/([x0-9/]+)/.exec(path) ?? [];
  return Number(level) > 63 || Number(number?.replaceAll(/[x/]/g, "")) >= 2 ** 52;
}

/** A version that x/mod's server takes, but no module has: not canonical, or of another major version than its path. */
function hasOtherVersion(request: string): boolean {
  const [, escapedPath, escapedVersion] = /^\/lookup\/([^@]*)@(.*)$/.exec(request) ?? [];
  if (escapedPath === undefined || escapedVersion === undefined) return false;
  const version = unescapeVersion(escapedVersion);
  if (canonicalVersion(version) !== version) return true;
  return !matchesPathMajor(version, splitPathVersion(unescapePath(escapedPath))?.major ?? "");
}
