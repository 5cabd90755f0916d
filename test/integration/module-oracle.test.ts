import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ProtocolError } from "../../src/protocol/error.ts";
import * as module from "../../src/protocol/module/index.ts";
import * as semver from "../../src/protocol/semver/index.ts";
import { askOracle, lacksOracles } from "../support/go-oracle.ts";
import { createRandom, type Random } from "../support/random.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? "20060102");
const casesPerCall = 3000;

const paths = [
  "github.com/Azure/go-autorest/v14",
  "github.com/GoogleCloudPlatform/omega",
  "gopkg.in/yaml.v2",
  "gopkg.in/natefinch/npipe.v2-unstable",
  "gopkg.in/check.v1",
  "example.com/a_b~c/d.e-f/v2",
  "x.y/z09~09z",
  "x..y/com1.txt/AUX/lpt9",
  "k8s.io/api",
  "rsc.io/quote/v3",
  "github.com/user/unicode/испытание",
  "a.b/c/v1.2.3",
  "golang.org/toolchain",
];
const escaped = [
  "github.com/!azure/go-autorest/v14",
  "github.com/!google!cloud!platform/omega",
  "x.y/!a!b!c",
  "x.y/z!",
];
const files = [
  "a/b c/d.go",
  "LICENSE",
  "docs/(draft) [1]/日本.md",
  "x{y}=z@1.0#,;.txt",
  "com1/nul.txt",
  "a~1/b",
  "vendor/modules.txt",
];
const versions = [
  "v1",
  "v1.2",
  "v1.2.3",
  "v0.0.0",
  "v2.0.0+incompatible",
  "v1.2.3-alpha.1.beta-2+meta.01",
  "v1.0.0-rc.10",
  "v1.0.0-0.0",
  "v10.20.123456789012345678901234567890",
  "v17.0.0-pre+incompatible",
  "v0.0.0-20160102150405-abcdef123456",
  "v1.2.4-0.20200229235959-ABCDEF012345",
  "v2.0.1-0.20060102150405-hash+incompatible",
  "v1.2.3-pre.0.20191109021931-daa7c04131f5",
  "v2.3.0-pre.0.20060102150405-hash+incompatible",
  "v3.0.0-20060102150405-hash+incompatible",
  "v1.2.0-0.20210229000000-0123456789ab",
  "v0.0.0--.0.20060102150405-hash",
  "master",
];
const globs = [
  "*/quote",
  "rsc.io/",
  "github.com/*/go-*,corp.example/?[a-z]",
  "*.example.com",
  "a\\*b/[^/-z]*,,/",
  "x.y/[日-本]?",
  "*.*/*/*",
];
const majors = ["", "/v2", "/v3", "/v14", "/v17", ".v0", ".v1", ".v2", ".v2-unstable"];
const alphabet = [
  ...Array.from(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~0129ABCVXZabcvxz"),
  ...Array.from("\u0000\n\u007f\u00a0éßſKİıﬀ☺日ス٣²𝒜😀\u0301\u200b\u{fffd}\u{10ffff}"),
  ...Array.from("//..--vvv000111~~!!**[[]]"),
  ..."/v1 /v2 .v1 +incompatible -0. .0. com1 AUX 20060102150405 -pre".split(" "),
];

interface Question {
  readonly call: string;
  readonly args: readonly string[];
}

interface Topic {
  args(random: Random): string[];
  /** What our side answers, in the shape of the oracle's `value`. */
  answer(...args: string[]): unknown;
}

const topics: Readonly<Record<string, Topic>> = {
  checkPath: { args: (r) => [mutated(r, paths)], answer: (path = "") => void module.parseModulePath(path) },
  checkImportPath: {
    args: (r) => [mutated(r, [...paths, ...files])],
    answer: (path = "") => module.checkImportPath(path),
  },
  checkFilePath: { args: (r) => [mutated(r, [...paths, ...files])], answer: (path = "") => module.checkFilePath(path) },
  check: {
    args: (r) => [mutated(r, paths), mutated(r, versions)],
    answer: (path = "", version = "") => module.checkModuleVersion(path, version),
  },
  checkPathMajor: {
    args: (r) => [mutated(r, versions), r.pick(majors)],
    answer: (version = "", major = "") => module.checkPathMajor(version, major),
  },
  splitPathVersion: {
    args: (r) => [mutated(r, paths)],
    answer(path = "") {
      const split = module.splitPathVersion(path);
      return split === undefined ? [path, "", false] : [split.prefix, split.major, true];
    },
  },
  pathMajorPrefix: { args: (r) => [mutated(r, majors)], answer: (major = "") => module.pathMajorPrefix(major) },
  escapePath: {
    args: (r) => [mutated(r, paths)],
    answer: (path = "") => module.escapePath(module.parseModulePath(path)),
  },
  escapeVersion: { args: (r) => [mutated(r, versions)], answer: (version = "") => module.escapeVersion(version) },
  unescapePath: { args: (r) => [mutated(r, escaped)], answer: (path = "") => module.unescapePath(path) },
  unescapeVersion: {
    args: (r) => [mutated(r, [...versions, "v1.0.0-!a!b"])],
    answer: (version = "") => module.unescapeVersion(version),
  },
  matchPrefixPatterns: {
    args: (r) => [mutated(r, globs), mutated(r, paths)],
    answer: (patterns = "", target = "") => module.matchPrefixPatterns(patterns, target),
  },
  pathMatch: {
    args: (r) => (r.chance(50) ? [globOf(r, r.pick(paths)), r.pick(paths)] : [mutated(r, globs), mutated(r, paths)]),
    answer: (pattern = "", name = "") => module.pathMatch(pattern, name),
  },
  canonicalVersion: {
    args: (r) => [mutated(r, versions)],
    answer: (version = "") => module.canonicalVersion(version) ?? "",
  },
  semver: {
    args: (r) => [mutated(r, versions)],
    answer: (version = "") => [
      semver.isValid(version),
      semver.canonical(version) ?? "",
      semver.major(version) ?? "",
      semver.majorMinor(version) ?? "",
      semver.prerelease(version),
      semver.build(version),
    ],
  },
  compare: {
    args: (r) => siblings(r),
    answer: (a = "", b = "") => Math.sign(semver.compareVersions(a, b)),
  },
  sort: {
    args: (r) => Array.from({ length: 12 }, () => mutated(r, versions)),
    answer: (...list) => semver.sortVersions(list),
  },
  isPseudoVersion: { args: (r) => [mutated(r, versions)], answer: (version = "") => semver.isPseudoVersion(version) },
  pseudoVersion: {
    args: (r) => [r.pick(["", "v0", "v2"]), mutated(r, versions), randomTime(r), "0123456789ab"],
    answer: (major, older, time = "", rev = "") => semver.pseudoVersion({ major, older, time: new Date(time), rev }),
  },
  pseudoVersionBase: {
    args: (r) => [mutated(r, versions)],
    answer: (version = "") => semver.pseudoVersionBase(version),
  },
  pseudoVersionRev: { args: (r) => [mutated(r, versions)], answer: (version = "") => semver.pseudoVersionRev(version) },
  pseudoVersionTime: {
    args: (r) => [randomTimestamp(r)],
    answer: (version = "") => semver.pseudoVersionTime(version).toISOString().replace(".000Z", "Z"),
  },
};

describe.skipIf(lacksOracles())("golang.org/x/mod answers the same", () => {
  test.each(Object.entries(topics))("%s", (call, topic) => {
    const random = createRandom(seed);
    const questions = Array.from({ length: casesPerCall }, (): Question => ({ call, args: topic.args(random) }));
    const theirs = askOracle("module", questions).map(normalized);
    // A generator that makes only bad input would compare nothing.
    expect(new Set(theirs.map((answer) => JSON.stringify(answer))).size).toBeGreaterThan(1);
    const differences = questions
      .map((question, index) => ({ question, ours: ourAnswer(topic, question), theirs: theirs[index] }))
      .filter(({ ours, theirs }) => JSON.stringify(ours) !== JSON.stringify(theirs));
    expect(differences.slice(0, 10), `${differences.length} differences with SLUICE_TEST_SEED=${seed}`).toEqual([]);
  });
});

const answerSchema = z.object({
  value: z.unknown().optional(),
  error: z.string().optional(),
  panic: z.boolean().optional(),
});

type Answer = { readonly value: unknown } | { readonly error: string };

function ourAnswer(topic: Topic, question: Question): Answer {
  try {
    return { value: topic.answer(...question.args) ?? null };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return normalized({ error: error.message });
  }
}

/** Drops the text of errors that go gives none for (a panic) or words as an internal one. */
function normalized(answer: unknown): Answer {
  const { value, error, panic } = answerSchema.parse(answer);
  if (panic === true || error?.startsWith("invalid major version suffix")) return { error: "panic" };
  if (error === undefined) return { value };
  if (error.includes("internal error") || error.endsWith("disallowed version string")) return { error: "disallowed" };
  return { error: error.replace(/^(syntax error in pattern).*/s, "$1") };
}

/** One of the seeds as it is, or with up to four small changes, or spliced with another. */
function mutated(random: Random, seeds: readonly string[]): string {
  let text = random.pick(seeds);
  if (random.chance(20)) return text;
  for (let change = random.int(4); change >= 0; change--) text = changed(random, text, seeds);
  return text;
}

function changed(random: Random, text: string, seeds: readonly string[]): string {
  const chars = Array.from(text);
  const at = random.int(chars.length + 1);
  const before = chars.slice(0, at).join("");
  const after = chars.slice(at).join("");
  const rest = chars.slice(at + 1).join("");
  switch (random.int(8)) {
    case 0:
    case 1:
      return before + random.pick(alphabet) + after;
    case 2:
    case 3:
      return before + random.pick(alphabet) + rest;
    case 4:
      return before + rest;
    case 5:
      return before + (chars[at] ?? "").toUpperCase() + rest;
    case 6: {
      const other = random.pick(seeds);
      return before + other.slice(random.int(other.length + 1));
    }
    default:
      return random.chance(50) ? before : after;
  }
}

function siblings(random: Random): string[] {
  const version = mutated(random, versions);
  return random.chance(50) ? [version, changed(random, version, versions)] : [version, mutated(random, versions)];
}

/** A pattern that has a fair chance to match the name it is made of. */
function globOf(random: Random, name: string): string {
  const tokens = Array.from(name, (char) => {
    if (random.chance(70)) return char;
    return random.pick(["*", "?", `[${char}]`, `[^${char}]`, "[a-z]", `\\${char}`, "**", "*?", "[^a]*", char]);
  });
  return tokens.join("");
}

function randomTime(random: Random): string {
  return new Date(random.int(4_000_000_000) * 1000).toISOString().replace(".000Z", "Z");
}

function randomTimestamp(random: Random): string {
  const two = (below: number) => String(random.int(below)).padStart(2, "0");
  const year = random.pick(["0000", "0004", "0099", "1900", "2000", "2023", "2024", "9999"]);
  const time = `${two(25)}${two(61)}${two(61)}`;
  return `v1.2.3-0.${year}${two(14)}${two(33)}${random.chance(60) ? "235959" : time}-abcdef123456`;
}
