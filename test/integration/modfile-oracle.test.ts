import { isUtf8 } from "node:buffer";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ProtocolError } from "../../src/protocol/error.ts";
import { formatInfo, newestTimed, parseInfo, parseList } from "../../src/protocol/goproxy/index.ts";
import { parseModFile, scanModulePath } from "../../src/protocol/modfile/index.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import * as infos from "../fuzz/info.fuzz.ts";
import * as lists from "../fuzz/list.fuzz.ts";
import * as modfiles from "../fuzz/modfile.fuzz.ts";
import { mutate } from "../fuzz/mutate.ts";
import { askOracle, lacksOracles } from "../support/go-oracle.ts";
import { createRandom, type Random } from "../support/random.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? "20060102");
const mutatedCases = 6000;
const generatedCases = 3000;

/** What a test that fails shows beside its differences. */
const none: Differences = { seed, count: 0, first: [] };

const answerSchema = z.object({ value: z.unknown(), error: z.string().optional() });

interface Corpus {
  readonly seeds: readonly Uint8Array[];
  readonly dictionary: readonly string[];
}

describe.skipIf(lacksOracles())("golang.org/x/mod/modfile answers the same", () => {
  test.each([
    ["strict", "mutated", mutatedModFiles],
    ["strict", "generated", generatedModFiles],
    ["lax", "mutated", mutatedModFiles],
    ["lax", "generated", generatedModFiles],
  ] as const)("%s parsing of %s files", (mode, _, createInputs) => {
    const inputs = createInputs(mode === "lax");
    const theirs = ask(mode, inputs);
    expect(shareOfSuccess(theirs)).toBeGreaterThan(0.05);
    expect(differences(inputs, theirs, (input) => ourModFile(input, mode === "lax"))).toEqual(none);
  });

  test("scanning for the module path", () => {
    const inputs = mutatedModFiles();
    const theirs = ask("modulePath", inputs);
    expect(differences(inputs, theirs, (input) => ({ value: scanModulePath(input) }))).toEqual(none);
  });
});

describe.skipIf(lacksOracles())("the go command reads the same", () => {
  const modulePath = parseModulePath("x.y/z");
  const request = { kind: "query", modulePath, query: "master" } as const;

  test("version info", () => {
    // Of a key that comes twice Go checks both values, and we the last.
    const inputs = mutated(infos, mutatedCases).filter((input) => !hasRepeatedKey(text(input)));
    const theirs = ask("info", inputs).map(({ value, error }) =>
      error === undefined ? withoutZeroTime(z.object({ text: z.string() }).parse(value).text) : "refused",
    );
    expect(new Set(theirs).size).toBeGreaterThan(100);
    const differences = inputs
      .map((input, index) => ({ input: text(input), ours: ourInfo(input), theirs: theirs[index] }))
      .filter(({ ours, theirs }) => {
        // What Go takes and we do not: no version, one that is not canonical, or not of the path.
        if (ours === "refused") return theirs !== "refused" && theirs !== '{"Version":""}';
        return ours !== "refused for its version" && ours !== theirs;
      });
    expect(differences).toEqual([]);
  });

  test("version lists", () => {
    const inputs = mutated(lists, mutatedCases);
    const listSchema = z.object({ versions: z.array(z.string()), newest: z.string() });
    const theirs = ask("list", inputs).map(({ value }) => {
      const { versions, newest } = listSchema.parse(value);
      return { versions: [...new Set(versions)], newest };
    });
    expect(new Set(theirs.map(({ newest }) => newest)).size).toBeGreaterThan(10);
    const differences = inputs
      .map((input, index) => ({ input: text(input), ours: ourList(input), theirs: theirs[index] }))
      .filter(({ input, ours, theirs }) => {
        // Go takes a page or any text for a list without versions.
        if (ours === "refused") return !/^\s*[<{[]/.test(input) && theirs?.newest !== "";
        return JSON.stringify(ours) !== JSON.stringify(theirs);
      });
    expect(differences).toEqual([]);
  });

  function ourInfo(input: Uint8Array): string {
    try {
      return withoutZeroTime(formatInfo(parseInfo(input, request)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return /names version|no Version/.test(error.message) ? "refused for its version" : "refused";
    }
  }

  function ourList(input: Uint8Array): object | "refused" {
    try {
      const list = parseList(input);
      return { versions: list.versions, newest: newestTimed(list) ?? "" };
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return "refused";
    }
  }
});

function hasRepeatedKey(json: string): boolean {
  const keys = [...json.matchAll(/"([^"]*)"\s*:/g)].map(([, key = ""]) => key.replaceAll("ſ", "s").toLowerCase());
  return new Set(keys).size < keys.length;
}

/** Go writes its zero time for a time it was not told. */
function withoutZeroTime(text: string): string {
  return joinReplaced(text.replace(',"Time":"0001-01-01T00:00:00Z"', ""));
}

type Answer = z.infer<typeof answerSchema>;

function ask(call: string, inputs: readonly Uint8Array[]): Answer[] {
  const questions = inputs.map((input) => ({ call, data: Buffer.from(input).toString("base64") }));
  return askOracle("modfile", questions).map((answer) => answerSchema.parse(answer));
}

function ourModFile(input: Uint8Array, lax: boolean): Answer {
  try {
    return { value: parseModFile(input, { lax }) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { value: null, error: error.message };
  }
}

interface Difference {
  readonly input: string;
  readonly ours: string;
  readonly theirs: string;
}

interface Differences {
  readonly seed: number;
  readonly count: number;
  readonly first: readonly Difference[];
}

function differences(
  inputs: readonly Uint8Array[],
  theirs: readonly Answer[],
  ours: (input: Uint8Array) => Answer,
): Differences {
  const found = inputs
    .map((input, index) => ({
      input: text(input),
      ours: comparable(input, ours(input)),
      theirs: comparable(input, theirs[index]),
    }))
    .filter(({ ours, theirs }) => ours !== theirs);
  return { seed, count: found.length, first: found.slice(0, 5) };
}

/**
 * Of an error the first ten lines count, with what a terminal should not see replaced. Where bytes are no UTF-8, go counts and
 * quotes each of them: then it is enough that both refuse, or read something that is no UTF-8 in the same place.
 */
function comparable(input: Uint8Array, answer: Answer | undefined): string {
  const { value, error } = answer ?? {};
  if (error === undefined) return joinReplaced(JSON.stringify(sorted(value)));
  if (!isUtf8(input)) return "refused";
  const lines = error.split("\n").slice(0, 10).join("\n").slice(0, 1500);
  return lines.replaceAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S} \n\t]/gu, "\u{fffd}");
}

function joinReplaced(text: string): string {
  return text.replaceAll(/\u{fffd}+/gu, "\u{fffd}");
}

/** With the keys of an object in one order, and without those that are undefined. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    entries.map(([key, field]) => [key, sorted(field)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function shareOfSuccess(answers: readonly Answer[]): number {
  return answers.filter(({ error }) => error === undefined).length / answers.length;
}

function text(input: Uint8Array): string {
  return Buffer.from(input).toString();
}

function mutated({ seeds, dictionary }: Corpus, count: number): Uint8Array[] {
  const random = createRandom(seed);
  const words = dictionary.map((word) => Buffer.from(word));
  const source = { corpus: seeds, dictionary: words, maxBytes: 4096 };
  return [...seeds, ...Array.from({ length: count }, () => mutate(random, source))];
}

function mutatedModFiles(): Uint8Array[] {
  return mutated(modfiles, mutatedCases);
}

function generatedModFiles(lax: boolean): Uint8Array[] {
  const random = createRandom(seed + 1);
  return Array.from({ length: generatedCases }, () => Buffer.from(generateModFile(random, lax)));
}

const operands: Readonly<Record<string, readonly string[]>> = {
  module: ["x.y/z", '"x.y/z"', "z", '""'],
  go: ["1.20", "1.24.0", "1.21rc1", "1.2.beta1", "v1.2.3", "1"],
  toolchain: ["go1.26.0", "default", "1.26"],
  godebug: ["a=b", "default=go1.21", "a"],
  require: [
    "a.b/c v1.0.0",
    "a.b/c/v2 v2.1.0-rc.1",
    '"a.b/d" v1',
    "gopkg.in/e.v3 v3.0.0",
    "a.b/f v3.1.0+incompatible",
    "a.b/c v2.0.0",
  ],
  exclude: ["a.b/c v1.0.0", "a.b/c/v2 v2.0", "a.b/c v1.0.0 x"],
  replace: ["a.b/c => ../c", "a.b/c v1 => d v1.0.0", 'a.b/c/v2 v2.0.0 => "./with space"', "a.b/c => d"],
  retract: ["v1", "[v1.0.0, v1.9.0]", '["v1.0.0",v2]', "bogus", "[v1.0.0", "v1 x"],
  tool: ["a.b/c/cmd/t", '"x y"', "a b"],
  ignore: ["./node_modules", '"a b"', "a b"],
  future: ["x", "x => y ( z )", ""],
};
const commentLines = [
  "// a",
  "//Deprecated: b",
  "// Deprecated:  c  ",
  "//",
  "// indirect",
  "// indirect; d",
  "//\te\u00a0",
];

/** A file of a few directives, alone and in blocks, with comments wherever they can stand; mostly one that go accepts. */
function generateModFile(random: Random, lax: boolean): string {
  const verbs = Object.keys(operands);
  const once = new Set<string>();
  const lines: string[] = [];
  for (let count = random.int(8); count >= 0; count--) {
    const verb = random.pick(verbs);
    if (["module", "go", "toolchain"].includes(verb) && once.has(verb) && random.chance(95)) continue;
    if (verb === "future" && !lax && random.chance(90)) continue;
    once.add(verb);
    lines.push(...comments(random), ...statement(random, verb), ...(random.chance(40) ? [""] : []));
  }
  const newline = random.chance(10) ? "\r\n" : "\n";
  return lines.join(newline) + (random.chance(90) ? newline : "");
}

function statement(random: Random, verb: string): string[] {
  if (random.chance(60) || ["go", "toolchain"].includes(verb))
    return [`${verb} ${operand(random, verb)}${ending(random)}`];
  if (random.chance(5)) return [`${verb} ()${ending(random)}`];
  const inside = Array.from({ length: verb === "module" ? 1 : random.int(4) }, () => [
    ...comments(random),
    `\t${operand(random, verb)}${ending(random)}`,
    ...(random.chance(20) ? [""] : []),
  ]);
  return [
    `${verb} (${ending(random)}`,
    ...inside.flat(),
    ...(random.chance(10) ? ["\t// last"] : []),
    `)${ending(random)}`,
  ];
}

/** The first ones are fine, and chosen more often. */
function operand(random: Random, verb: string): string {
  const choices = operands[verb] ?? [];
  return random.pick(random.chance(85) ? choices.slice(0, Math.ceil(choices.length / 2)) : choices);
}

function comments(random: Random): string[] {
  if (random.chance(60)) return [];
  return Array.from({ length: 1 + random.int(3) }, () => (random.chance(10) ? "" : random.pick(commentLines)));
}

function ending(random: Random): string {
  return random.chance(30) ? random.pick([" ", "", "\t"]) + random.pick(commentLines) : "";
}
