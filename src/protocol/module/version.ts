import type { Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";
import { build, canonical, isValid } from "../semver/index.ts";
import { pathMajorProblem, splitPathVersion } from "./major.ts";
import { parseModulePath } from "./path.ts";

const INCOMPATIBLE = "+incompatible";

/**
 * The canonical form of a version: shorthands filled in, build metadata dropped unless it is exactly `+incompatible`
 * (SPEC §3.1). Undefined when the text is no semantic version.
 */
export function canonicalVersion(text: string): Version | undefined {
  const version = canonical(text);
  const keepsBuild = version !== undefined && version !== text && build(text) === INCOMPATIBLE;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the place where versions are made
  return (keepsBuild ? text : version) as Version | undefined;
}

/** Reads a version that is canonical already, pseudo-versions included. Throws `malformed_version`. */
export function parseVersion(text: string): Version {
  const version = canonicalVersion(text);
  if (version === text) return version;
  const problem = version === undefined ? "not a semantic version" : `not canonical, should be ${goQuote(version)}`;
  throw new ProtocolError("malformed_version", `version ${goQuote(text)} invalid: ${problem}`);
}

/**
 * Checks that the path is a module path, the version a semantic version (canonical or not), and that the two fit together
 * (SPEC §2.3). Throws `malformed_path` or `malformed_version` in go's words.
 */
export function checkModuleVersion(path: string, version: string): void {
  parseModulePath(path);
  const problem = isValid(version)
    ? pathMajorProblem(version, splitPathVersion(path)?.major ?? "")
    : "not a semantic version";
  if (problem !== undefined)
    throw new ProtocolError("malformed_version", `${path}@${version}: invalid version: ${problem}`);
}
