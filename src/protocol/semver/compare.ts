import { parseSemver, type SemverOffsets } from "./parse.ts";

/**
 * Compares by semantic version precedence (SPEC §3.1): negative when `a` is lower, positive when higher, 0 when equal.
 * Build metadata does not count. An invalid version is lower than every valid one; invalid ones are equal.
 */
export function compareVersions(a: string, b: string): number {
  return comparePrecedence(a, parseSemver(a), b, parseSemver(b));
}

/** A new list in ascending order; versions of equal precedence stand in the byte order of their UTF-8. */
export function sortVersions<V extends string>(versions: readonly V[]): V[] {
  const parsed = versions.map((version) => ({ version, offsets: parseSemver(version) }));
  parsed.sort(
    (a, b) => comparePrecedence(a.version, a.offsets, b.version, b.offsets) || compareUtf8(a.version, b.version),
  );
  return parsed.map(({ version }) => version);
}

function comparePrecedence(
  a: string,
  inA: SemverOffsets | undefined,
  b: string,
  inB: SemverOffsets | undefined,
): number {
  if (inA === undefined || inB === undefined) return Number(inA !== undefined) - Number(inB !== undefined);
  return (
    compareIntegers(a.slice(1, inA.majorEnd), b.slice(1, inB.majorEnd)) ||
    compareIntegers(integer(a, inA.majorEnd, inA.minorEnd), integer(b, inB.majorEnd, inB.minorEnd)) ||
    compareIntegers(integer(a, inA.minorEnd, inA.patchEnd), integer(b, inB.minorEnd, inB.patchEnd)) ||
    comparePrereleases(a.slice(inA.patchEnd, inA.prereleaseEnd), b.slice(inB.patchEnd, inB.prereleaseEnd))
  );
}

/** The digits behind the dot at `start`; `0` for a part that the shorthand leaves out. */
function integer(version: string, start: number, end: number): string {
  return start === end ? "0" : version.slice(start + 1, end);
}

/** Decimal digits without leading zeros, of any length: a `Number` would lose digits behind the 15th. */
function compareIntegers(a: string, b: string): number {
  return a.length === b.length ? compareAscii(a, b) : a.length - b.length;
}

/** Both with their leading dash, or empty: a release is higher than any prerelease of it. */
function comparePrereleases(a: string, b: string): number {
  if (a === b) return 0;
  if (a === "") return 1;
  if (b === "") return -1;
  const identifiersOfA = a.slice(1).split(".");
  const identifiersOfB = b.slice(1).split(".");
  for (const [index, identifierOfA] of identifiersOfA.entries()) {
    const identifierOfB = identifiersOfB[index];
    if (identifierOfB === undefined) return 1;
    const order = compareIdentifiers(identifierOfA, identifierOfB);
    if (order !== 0) return order;
  }
  return -1;
}

function compareIdentifiers(a: string, b: string): number {
  if (a === b) return 0;
  const numericA = isNumeric(a);
  const numericB = isNumeric(b);
  if (numericA !== numericB) return numericA ? -1 : 1;
  return numericA ? compareIntegers(a, b) : compareAscii(a, b);
}

function isNumeric(identifier: string): boolean {
  for (let at = 0; at < identifier.length; at++) {
    const code = identifier.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

function compareAscii(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** `<` compares UTF-16 units, which puts U+10000 and above before U+E000; UTF-8 does not. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const codeA = a.charCodeAt(at);
    const codeB = b.charCodeAt(at);
    if (codeA !== codeB) return utf8Rank(codeA) - utf8Rank(codeB);
  }
  return a.length - b.length;
}

function utf8Rank(code: number): number {
  if (code < 0xd800) return code;
  return code < 0xe000 ? code + 0x2000 : code - 0x800;
}
