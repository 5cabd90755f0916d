import { ProtocolError } from "../../src/protocol/error.ts";
import {
  canonicalVersion,
  checkFilePath,
  checkImportPath,
  checkModuleVersion,
  checkPathMajor,
  escapePath,
  escapeVersion,
  matchesPathMajor,
  matchPrefixPatterns,
  parseModulePath,
  parseVersion,
  pathMatch,
  splitPathVersion,
  tryParseModulePath,
  unescapePath,
  unescapeVersion,
} from "../../src/protocol/module/index.ts";
import {
  compareVersions,
  isPseudoVersion,
  isValid,
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
  sortVersions,
} from "../../src/protocol/semver/index.ts";

export const name = "module";

export const seeds: readonly Uint8Array[] = [
  "github.com/Azure/go-autorest/v14\nv14.2.0+incompatible",
  "github.com/!azure/go-autorest\nv1.0.0-!r!c1",
  "gopkg.in/yaml.v2-unstable\nv0.0.0-20160102150405-abcdef123456",
  "rsc.io/quote/v3\nv3.1.1-0.20200229235959-0123456789ab",
  "x.y/z09~09z/com1.txt\nv1.2.3-pre.0.20191109021931-daa7c04131f5",
  "*/quote,rsc.io/,[a-z^]?\\*\nrsc.io/quote",
  "docs/日本 (1).md\nv123456789012345678901234567890.0.99999999999999999999",
  "\n",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  ..."/v1 /v2 .v0 .v1 -unstable gopkg.in/ +incompatible -0. .0. ~1 !a !! .. // AUX com1 lpt9. é 𝒜 ☺ [^ ] \\ * ? , v v0.0.0-".split(
    " ",
  ),
  "20060102150405-",
  "99999999999999999999",
  "\n",
];

export function fuzz(input: Uint8Array): void {
  const [first = "", second = ""] = Buffer.from(input).toString("utf8").split("\n");
  fuzzPaths(first);
  fuzzVersions(first, second);
  fuzzPatterns(first, second);
  parseModulePath(first);
  checkModuleVersion(first, second);
  parseVersion(second);
}

function fuzzPaths(text: string): void {
  const path = tryParseModulePath(text);
  if (path !== undefined) {
    checkImportPath(path);
    checkFilePath(path);
    const escaped = escapePath(path);
    holds(escaped === escaped.toLowerCase(), "an escaped path has no uppercase letter");
    holds(unescapePath(escaped) === path, "an escaped path is unescaped to the same");
    const split = splitPathVersion(path);
    holds(split !== undefined && split.prefix + split.major === path, "a module path splits into its parts");
  }
  const unescaped = attempt(() => unescapePath(text));
  if (unescaped !== undefined) holds(escapePath(unescaped) === text, "an unescaped path is escaped to the same");
  const version = attempt(() => unescapeVersion(text));
  if (version !== undefined) holds(escapeVersion(version) === text, "an unescaped version is escaped to the same");
  attempt(() => checkImportPath(text));
  attempt(() => checkFilePath(text));
}

function fuzzVersions(a: string, b: string): void {
  holds(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)) === 0, "the order is antisymmetric");
  const sorted = sortVersions([a, b, "v1.0.0"]);
  holds(sorted.join("\n") === sortVersions(["v1.0.0", b, a]).join("\n"), "sorting does not depend on the order given");
  const canonical = canonicalVersion(b);
  holds(isValid(b) === (canonical !== undefined), "valid versions have a canonical form");
  if (canonical !== undefined) holds(parseVersion(canonical) === canonical, "a canonical version is canonical");
  for (const major of ["", "/v2", ".v1", ".v2-unstable"]) {
    const fits = attempt(() => (checkPathMajor(b, major), true)) ?? false;
    holds(fits === matchesPathMajor(b, major), "both checks of a major suffix agree");
  }
  if (isPseudoVersion(b)) fuzzPseudoVersion(b);
}

function fuzzPseudoVersion(version: string): void {
  const base = attempt(() => pseudoVersionBase(version));
  const time = attempt(() => pseudoVersionTime(version));
  if (base === undefined || time === undefined) return;
  const [major = ""] = version.split(".");
  const made = pseudoVersion({ major, older: base, time, rev: pseudoVersionRev(version) });
  holds(made === version, "a pseudo-version is made again from its parts");
  if (base !== "") holds(compareVersions(base, version) < 0, "a pseudo-version is higher than its base");
}

function fuzzPatterns(globs: string, target: string): void {
  let matched: unknown;
  try {
    matched = matchPrefixPatterns(globs, target);
  } catch (error) {
    throw new Error("matchPrefixPatterns must never throw", { cause: error });
  }
  holds(typeof matched === "boolean", "a match is a boolean");
  const first = attempt(() => pathMatch(globs, target));
  const again = attempt(() => pathMatch(globs, ""));
  holds((first === undefined) === (again === undefined), "a pattern is malformed whatever it is matched with");
}

/** The answer, or undefined where the rules were broken. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function holds(condition: boolean, invariant: string): void {
  if (!condition) throw new Error(`broken: ${invariant}`);
}
