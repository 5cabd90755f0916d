import { parseSemver } from "./parse.ts";

/** Whether the text is a semantic version in Go's grammar (SPEC §3.1). The shorthands `v1` and `v1.2` are valid. */
export function isValid(text: string): boolean {
  return parseSemver(text) !== undefined;
}

/** The version with missing `.0`s filled in and build metadata dropped; undefined when invalid. `v1+meta` is invalid. */
export function canonical(text: string): string | undefined {
  const offsets = parseSemver(text);
  if (offsets === undefined) return undefined;
  if (offsets.minorEnd === offsets.majorEnd) return `${text}.0.0`;
  if (offsets.patchEnd === offsets.minorEnd) return `${text}.0`;
  return offsets.prereleaseEnd === text.length ? text : text.slice(0, offsets.prereleaseEnd);
}

/** `v2` of `v2.1.0`; undefined when invalid. */
export function major(text: string): string | undefined {
  const offsets = parseSemver(text);
  return offsets && text.slice(0, offsets.majorEnd);
}

/** `v2.1` of `v2.1.0`, `v2.0` of `v2`; undefined when invalid. */
export function majorMinor(text: string): string | undefined {
  const offsets = parseSemver(text);
  if (offsets === undefined) return undefined;
  return offsets.minorEnd === offsets.majorEnd ? `${text}.0` : text.slice(0, offsets.minorEnd);
}

/** `-pre` of `v2.1.0-pre+meta`; empty when there is none or the version is invalid. */
export function prerelease(text: string): string {
  const offsets = parseSemver(text);
  return offsets === undefined ? "" : text.slice(offsets.patchEnd, offsets.prereleaseEnd);
}

/** `+meta` of `v2.1.0-pre+meta`; empty when there is none or the version is invalid. */
export function build(text: string): string {
  const offsets = parseSemver(text);
  return offsets === undefined ? "" : text.slice(offsets.prereleaseEnd);
}
