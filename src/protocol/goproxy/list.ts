import type { Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { decodeText, fields, hasText } from "../go-text.ts";
import { canonicalVersion } from "../module/index.ts";
import { isPseudoVersion, isValid, pseudoVersionTime, sortVersions } from "../semver/index.ts";
import { tryNormalizeTime } from "./time.ts";

/** A line of a list that has a time, from the list itself or from its pseudo-version. */
export interface TimedVersion {
  readonly version: Version;
  /** RFC 3339 in UTC with `Z`. */
  readonly time: string;
}

/** What an upstream's `/@v/list` says. */
export interface VersionList {
  /** Canonical, without pseudo-versions and duplicates, in semver order: what clients get to see. */
  readonly versions: readonly Version[];
  /**
   * In the list's own order, pseudo-versions among them. Only for finding the latest version of a module that has no other
   * (SPEC §1.4).
   */
  readonly timed: readonly TimedVersion[];
}

/**
 * Reads `/@v/list` by the client's rules (SPEC §1.4). Lines that are no version are passed over, as go does, and so are valid
 * versions in another than their canonical form, because no file of theirs can be asked for.
 *
 * @throws ProtocolError `malformed_info` for text that is no list at all: it is not blank and has not one version, or it
 *   starts as an HTML page or a JSON value.
 */
export function parseList(input: Uint8Array | string): VersionList {
  const text = decodeText(input);
  if (/^\s*[<{[]/.test(text)) throw malformed("version list is an HTML page or JSON, not a list");
  const versions = new Set<Version>();
  const timed: TimedVersion[] = [];
  let isList = false;
  for (const line of text.split("\n")) {
    const [name, stated] = fields(line);
    if (name === undefined || !isValid(name)) continue;
    isList = true;
    const version = canonicalVersion(name);
    if (version === undefined || version !== name) continue;
    const isPseudo = isPseudoVersion(version);
    if (!isPseudo) versions.add(version);
    const time = timeOf(version, stated, isPseudo);
    if (time !== undefined) timed.push({ version, time });
  }
  if (!isList && hasText(text)) throw malformed("version list has text and not one version");
  return { versions: sortVersions([...versions]), timed };
}

/** One version per line. The versions should be sorted already. */
export function formatList(versions: readonly Version[]): string {
  return versions.map((version) => `${version}\n`).join("");
}

function timeOf(version: Version, stated: string | undefined, isPseudo: boolean): string | undefined {
  if (stated !== undefined) return tryNormalizeTime(stated);
  if (!isPseudo) return undefined;
  try {
    return tryNormalizeTime(pseudoVersionTime(version).toISOString());
  } catch (error) {
    // A pseudo-version may carry a date that does not exist.
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_info", message);
}
