import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";
import { build, major } from "../semver/index.ts";

/** A module path taken apart: `a.b/c/v2` is `a.b/c` and `/v2`, `gopkg.in/yaml.v2` is `gopkg.in/yaml` and `.v2`. */
export interface PathVersion {
  readonly prefix: string;
  /** The major suffix with its separator, empty when the path has none. */
  readonly major: string;
}

const GOPKG = "gopkg.in/";
const UNSTABLE = "-unstable";

/**
 * Splits the major suffix off a path (SPEC §2.3). Undefined when the path ends in something that must be a major suffix and
 * is not one: `/v0`, `/v1`, `/v02`, `/v2.0`, or a `gopkg.in` path without `.vN`.
 */
export function splitPathVersion(path: string): PathVersion | undefined {
  if (path.startsWith(GOPKG)) return splitGopkgPath(path);
  let end = path.length;
  let hasDot = false;
  while (end > 0 && (isDigit(path.charCodeAt(end - 1)) || path.charAt(end - 1) === ".")) {
    end--;
    hasDot ||= path.charAt(end) === ".";
  }
  if (end === path.length || end <= 1 || !path.startsWith("/v", end - 2)) return { prefix: path, major: "" };
  const suffix = path.slice(end - 2);
  if (hasDot || suffix.startsWith("/v0") || suffix === "/v1") return undefined;
  return { prefix: path.slice(0, end - 2), major: suffix };
}

function splitGopkgPath(path: string): PathVersion | undefined {
  const numberEnd = path.endsWith(UNSTABLE) ? path.length - UNSTABLE.length : path.length;
  let end = numberEnd;
  while (end > 0 && isDigit(path.charCodeAt(end - 1))) end--;
  if (end <= 1 || !path.startsWith(".v", end - 2)) return undefined;
  const suffix = path.slice(end - 2);
  // `.v0` is the one number that may start with a zero. `.v-unstable` without a number passes in x/mod too; no version fits it.
  if (suffix.length === 2 || (suffix.startsWith(".v0") && suffix !== ".v0")) return undefined;
  return { prefix: path.slice(0, end - 2), major: suffix };
}

/**
 * The version prefix a major suffix stands for: `v2` of `/v2`, `.v2` and `.v2-unstable`; empty for no suffix. Throws
 * `malformed_path` for anything else.
 */
export function pathMajorPrefix(pathMajor: string): string {
  if (pathMajor === "") return "";
  const prefix = withoutUnstable(pathMajor).slice(1);
  if (!/^[/.]/.test(pathMajor) || (major(prefix) ?? "") !== prefix) {
    throw new ProtocolError("malformed_path", `invalid major version suffix ${goQuote(pathMajor)}`);
  }
  return prefix;
}

/** Whether a version may belong to a path with this major suffix (SPEC §2.3). */
export function matchesPathMajor(version: string, pathMajor: string): boolean {
  return pathMajorProblem(version, pathMajor) === undefined;
}

/** Throws `malformed_version` unless `matchesPathMajor`: `version "v2.0.0" invalid: should be v0 or v1, not v2`. */
export function checkPathMajor(version: string, pathMajor: string): void {
  const problem = pathMajorProblem(version, pathMajor);
  if (problem !== undefined)
    throw new ProtocolError("malformed_version", `version ${goQuote(version)} invalid: ${problem}`);
}

export function pathMajorProblem(version: string, pathMajor: string): string | undefined {
  const suffix = withoutUnstable(pathMajor);
  // Old go commands made such pseudo-versions for gopkg.in's .v1, and go.mod files still require them.
  if (suffix === ".v1" && version.startsWith("v0.0.0-")) return undefined;
  const versionMajor = major(version) ?? "";
  if (suffix === "") {
    if (versionMajor === "v0" || versionMajor === "v1" || build(version) === "+incompatible") return undefined;
    return `should be v0 or v1, not ${versionMajor}`;
  }
  const wanted = suffix.slice(1);
  return versionMajor === wanted ? undefined : `should be ${wanted}, not ${versionMajor}`;
}

function withoutUnstable(pathMajor: string): string {
  return pathMajor.startsWith(".v") && pathMajor.endsWith(UNSTABLE) ? pathMajor.slice(0, -UNSTABLE.length) : pathMajor;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
