/**
 * Where the parts of a valid semantic version end, as offsets into it. A part that is missing ends where the one before it
 * ends: `v1` has `majorEnd`, `minorEnd`, `patchEnd` and `prereleaseEnd` at 2, and no build.
 */
export interface SemverOffsets {
  readonly majorEnd: number;
  readonly minorEnd: number;
  readonly patchEnd: number;
  readonly prereleaseEnd: number;
}

const DASH = 0x2d;
const DOT = 0x2e;
const PLUS = 0x2b;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_V = 0x76;

/**
 * Reads `vMAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]]` (SPEC §3.1): integers of any length without leading zeros, non-empty
 * identifiers, no leading zeros in numeric prerelease identifiers. Answers undefined for everything else.
 */
export function parseSemver(text: string): SemverOffsets | undefined {
  if (text.charCodeAt(0) !== LOWER_V) return undefined;
  const majorEnd = integerEnd(text, 1);
  if (majorEnd === undefined) return undefined;
  if (majorEnd === text.length) return { majorEnd, minorEnd: majorEnd, patchEnd: majorEnd, prereleaseEnd: majorEnd };
  if (text.charCodeAt(majorEnd) !== DOT) return undefined;
  const minorEnd = integerEnd(text, majorEnd + 1);
  if (minorEnd === undefined) return undefined;
  if (minorEnd === text.length) return { majorEnd, minorEnd, patchEnd: minorEnd, prereleaseEnd: minorEnd };
  if (text.charCodeAt(minorEnd) !== DOT) return undefined;
  const patchEnd = integerEnd(text, minorEnd + 1);
  if (patchEnd === undefined) return undefined;
  if (patchEnd === text.length) return { majorEnd, minorEnd, patchEnd, prereleaseEnd: patchEnd };

  const prereleaseEnd =
    text.charCodeAt(patchEnd) === DASH ? identifiersEnd(text, patchEnd + 1, "prerelease") : patchEnd;
  if (prereleaseEnd === undefined) return undefined;
  if (prereleaseEnd === text.length) return { majorEnd, minorEnd, patchEnd, prereleaseEnd };
  if (text.charCodeAt(prereleaseEnd) !== PLUS) return undefined;
  const buildEnd = identifiersEnd(text, prereleaseEnd + 1, "build");
  return buildEnd === text.length ? { majorEnd, minorEnd, patchEnd, prereleaseEnd } : undefined;
}

function integerEnd(text: string, start: number): number | undefined {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  if (end === start) return undefined;
  if (end > start + 1 && text.charCodeAt(start) === ZERO) return undefined;
  return end;
}

/** The end of dot-separated identifiers: the end of the text or a character that cannot stand in one. */
function identifiersEnd(text: string, start: number, part: "prerelease" | "build"): number | undefined {
  let identifierStart = start;
  let numeric = true;
  for (let at = start; ; at++) {
    const code = text.charCodeAt(at);
    if (isIdentifierCode(code)) {
      numeric &&= isDigit(code);
      continue;
    }
    const length = at - identifierStart;
    if (length === 0) return undefined;
    if (part === "prerelease" && numeric && length > 1 && text.charCodeAt(identifierStart) === ZERO) return undefined;
    if (code !== DOT) return at;
    identifierStart = at + 1;
    numeric = true;
  }
}

/** False for NaN, which `charCodeAt` answers behind the end of a text. */
function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

function isIdentifierCode(code: number): boolean {
  return isDigit(code) || (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || code === DASH;
}
