import { ProtocolError } from "../error.ts";
import { goQuote, goQuoteChar } from "../quote.ts";

/** Who the rules are for. Every kind allows more characters than the one before it. */
export type PathKind = "module" | "import" | "file";

const DASH = 0x2d;
const DOT = 0x2e;
const TILDE = 0x7e;
const ZERO = 0x30;
const NINE = 0x39;

/** For each ASCII code the bits of the kinds that allow it. */
const allowedKinds = new Uint8Array(128);
const kindBit: Readonly<Record<PathKind, number>> = { module: 1, import: 2, file: 4 };
for (const [chars, bits] of [
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", 7],
  ["+", 6],
  [" !#$%&(),=@[]^{}", 4],
] as const) {
  for (const char of chars) allowedKinds[char.charCodeAt(0)] = bits;
}

const windowsDevices = new Set(["CON", "PRN", "AUX", "NUL"]);
for (let port = 1; port <= 9; port++) windowsDevices.add(`COM${port}`).add(`LPT${port}`);

/**
 * Checks an import path (SPEC §2.1): letters, digits and `-._~+` in non-empty elements that no file system mistakes for
 * something else. Throws `malformed_path`.
 */
export function checkImportPath(text: string): void {
  const problem = pathProblem(text, "import");
  if (problem !== undefined) throw malformedPath("import", text, problem);
}

/** Checks a slash-separated path of a file in a module zip (SPEC §2.1). Throws `malformed_path`. */
export function checkFilePath(text: string): void {
  const problem = pathProblem(text, "file");
  if (problem !== undefined) throw malformedPath("file", text, problem);
}

export function malformedPath(kind: PathKind, text: string, reason: string): ProtocolError {
  return new ProtocolError("malformed_path", `malformed ${kind} path ${goQuote(text)}: ${reason}`);
}

/** What breaks the rules that all kinds of paths share, in go's words; undefined when nothing does. */
export function pathProblem(text: string, kind: PathKind): string | undefined {
  if (!text.isWellFormed()) return "invalid UTF-8";
  if (text === "") return "empty string";
  if (kind !== "file" && text.charCodeAt(0) === DASH) return "leading dash";
  if (text.includes("//")) return "double slash";
  if (text.endsWith("/")) return "trailing slash";
  let start = 0;
  while (start <= text.length) {
    const slash = text.indexOf("/", start);
    const end = slash === -1 ? text.length : slash;
    const problem = elementProblem(text, { start, end, kind });
    if (problem !== undefined) return problem;
    start = end + 1;
  }
  return undefined;
}

interface Element {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly kind: PathKind;
}

/** What breaks the rules of a single path element, in go's words; undefined when nothing does. */
export function elementProblem(text: string, element: Element): string | undefined {
  const { start, end, kind } = element;
  if (start === end) return "empty path element";
  if (text.charCodeAt(start) === DOT) {
    if (isAllDots(text, start, end)) return `invalid path element ${goQuote(text.slice(start, end))}`;
    if (kind === "module") return "leading dot in path element";
  }
  if (text.charCodeAt(end - 1) === DOT) return "trailing dot in path element";

  const bit = kindBit[kind];
  let stemEnd = end;
  let tilde = -1;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code >= 128) {
      const letter = String.fromCodePoint(text.codePointAt(at) ?? 0);
      if (kind !== "file" || !/^\p{L}$/u.test(letter)) return `invalid char ${goQuoteChar(letter)}`;
      at += letter.length - 1;
      continue;
    }
    if (((allowedKinds[code] ?? 0) & bit) === 0) return `invalid char ${goQuoteChar(text.charAt(at))}`;
    if (stemEnd !== end) continue;
    if (code === DOT) stemEnd = at;
    else if (code === TILDE) tilde = at;
  }

  // Windows opens a device under these names, whatever follows the first dot.
  const stemLength = stemEnd - start;
  if (stemLength === 3 || stemLength === 4) {
    const stem = text.slice(start, stemEnd);
    if (windowsDevices.has(stem.toUpperCase()))
      return `${goQuote(stem)} disallowed as path element component on Windows`;
  }
  if (kind !== "file" && tilde !== -1 && isDigits(text, tilde + 1, stemEnd)) {
    return "trailing tilde and digits in path element";
  }
  return undefined;
}

function isAllDots(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) !== DOT) return false;
  }
  return true;
}

/** At least one digit and nothing else, as in the short names (`PROGRA~1`) that Windows makes up. */
function isDigits(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) return false;
  }
  return end > start;
}
