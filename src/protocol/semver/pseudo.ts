import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";
import { decrement, increment } from "./decimal.ts";
import { parseSemver } from "./parse.ts";
import { build, canonical, prerelease } from "./semver.ts";
import { formatTimestamp, parseTimestamp, TIMESTAMP_LENGTH } from "./timestamp.ts";

export interface PseudoVersionParts {
  /** `v2`; empty or left out for `v0`. Used only when there is no `older`. */
  readonly major?: string | undefined;
  /** The version of the tag that precedes the commit, or empty. Its build metadata is carried over. */
  readonly older?: string | undefined;
  /** Of the commit. Whole seconds count. */
  readonly time: Date;
  /** The first 12 hex digits of the commit's hash. Not checked here. */
  readonly rev: string;
}

/**
 * Makes the pseudo-version of a commit (SPEC §3.2): `v2.0.0-TIME-REV` without an older version, `v1.2.4-0.TIME-REV` behind
 * `v1.2.3`, `v1.2.3-pre.0.TIME-REV` behind `v1.2.3-pre`. An invalid `older` counts as none. Throws `malformed_version` for a
 * time outside the years 0 to 9999.
 */
export function pseudoVersion(parts: PseudoVersionParts): string {
  const { major, older = "", time, rev } = parts;
  const segment = `${formatTimestamp(time)}-${rev}`;
  const base = canonical(older);
  if (base === undefined) return `${major || "v0"}.0.0-${segment}`;
  const metadata = build(older);
  if (prerelease(base) !== "") return `${base}.0.${segment}${metadata}`;
  const patchStart = base.lastIndexOf(".") + 1;
  return `${base.slice(0, patchStart)}${increment(base.slice(patchStart))}-0.${segment}${metadata}`;
}

/**
 * Whether the text has the form of a pseudo-version: a semantic version whose prerelease is `TIME-REV`, `0.TIME-REV` or
 * ends in `.0.TIME-REV`, the first only behind `vX.0.0`. The 14 digits of the time need not be a real date.
 */
export function isPseudoVersion(text: string): boolean {
  return splitPseudoVersion(text) !== undefined;
}

/**
 * The version a pseudo-version is derived from, with the pseudo-version's build metadata; empty for `vX.0.0-TIME-REV`.
 * Throws `malformed_version` when it is no pseudo-version, or when no version can precede it.
 */
export function pseudoVersionBase(text: string): string {
  const { base, metadata } = requirePseudoVersion(text);
  if (!base.includes("-")) {
    if (metadata === "") return "";
    throw invalidPseudoVersion(text, `lacks base version, but has build metadata ${goQuote(metadata)}`);
  }
  if (base.endsWith(".0")) return base.slice(0, -".0".length) + metadata;
  const release = base.slice(0, -"-0".length);
  const patchStart = release.lastIndexOf(".") + 1;
  const patch = decrement(release.slice(patchStart));
  if (patch === undefined)
    throw invalidPseudoVersion(text, `version before ${release} would have negative patch number`);
  return release.slice(0, patchStart) + patch + metadata;
}

/** The commit's abbreviated hash. Throws `malformed_version` when the text is no pseudo-version. */
export function pseudoVersionRev(text: string): string {
  return requirePseudoVersion(text).rev;
}

/** The commit's time, UTC. Throws `malformed_version` when the text is no pseudo-version or its time is no real date. */
export function pseudoVersionTime(text: string): Date {
  const { timestamp } = requirePseudoVersion(text);
  const time = parseTimestamp(timestamp);
  if (time === undefined) throw invalidPseudoVersion(text, `malformed time ${goQuote(timestamp)}`);
  return time;
}

interface PseudoVersionFields {
  /** `vX.0.0`, `vX.Y.Z-0` or `vX.Y.Z-pre.0`. */
  readonly base: string;
  readonly timestamp: string;
  readonly rev: string;
  /** With its leading `+`, or empty. */
  readonly metadata: string;
}

function requirePseudoVersion(text: string): PseudoVersionFields {
  const fields = splitPseudoVersion(text);
  if (fields === undefined) throw invalidPseudoVersion(text, "syntax error");
  return fields;
}

function splitPseudoVersion(text: string): PseudoVersionFields | undefined {
  const offsets = parseSemver(text);
  if (offsets === undefined || offsets.prereleaseEnd === offsets.patchEnd) return undefined;
  const withoutBuild = text.slice(0, offsets.prereleaseEnd);
  const revStart = withoutBuild.lastIndexOf("-") + 1;
  const timestampStart = revStart - 1 - TIMESTAMP_LENGTH;
  // The dash before the revision must not be the one that starts the prerelease.
  if (timestampStart <= offsets.patchEnd) return undefined;
  const timestamp = withoutBuild.slice(timestampStart, revStart - 1);
  const rev = withoutBuild.slice(revStart);
  if (!/^[0-9]{14}$/.test(timestamp) || rev === "" || rev.includes(".")) return undefined;

  const base = withoutBuild.slice(0, timestampStart - 1);
  const basePrerelease = base.slice(offsets.patchEnd);
  const hasForm =
    withoutBuild.charAt(timestampStart - 1) === "."
      ? basePrerelease === "-0" || basePrerelease.endsWith(".0")
      : basePrerelease === "" && base.slice(offsets.majorEnd) === ".0.0";
  if (!hasForm) return undefined;
  return { base, timestamp, rev, metadata: text.slice(offsets.prereleaseEnd) };
}

function invalidPseudoVersion(text: string, reason: string): ProtocolError {
  return new ProtocolError("malformed_version", `pseudo-version ${goQuote(text)} invalid: ${reason}`);
}
