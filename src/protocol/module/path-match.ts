import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";

/**
 * Go's `path.Match` (SPEC §1.7): the pattern must match the whole name. `*` is any run without `/`, `?` one character but `/`,
 * `[a-z]` and `[^a]` classes, `\x` is x. Throws `malformed_pattern`, whatever the name is.
 *
 * Two of go's oddities are kept: a negated class matches `/`, and `*` may end inside a character of several bytes.
 */
export function pathMatch(pattern: string, name: string): boolean {
  return matchTokens(parsePattern(pattern), utf8Text(name));
}

type Token =
  | { readonly type: "star" }
  | { readonly type: "any" }
  | { readonly type: "byte"; readonly code: number }
  | {
      readonly type: "class";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [low: number, high: number])[];
    };

function parsePattern(pattern: string): Token[] {
  const text = utf8Text(pattern);
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === "[") {
      const { token, end } = parseClass(text, at + 1, pattern);
      tokens.push(token);
      at = end;
      continue;
    }
    if (char === "\\" && at + 1 === text.length) throw malformedPattern(pattern);
    if (char === "*") tokens.push({ type: "star" });
    else if (char === "?") tokens.push({ type: "any" });
    else tokens.push({ type: "byte", code: text.charCodeAt(char === "\\" ? ++at : at) });
    at++;
  }
  return tokens;
}

function parseClass(text: string, start: number, pattern: string): { token: Token; end: number } {
  const negated = text.charAt(start) === "^";
  const ranges: [low: number, high: number][] = [];
  let at = negated ? start + 1 : start;
  while (ranges.length === 0 || text.charAt(at) !== "]") {
    const low = parseClassChar(text, at, pattern);
    at = low.end;
    if (text.charAt(at) !== "-") {
      ranges.push([low.code, low.code]);
      continue;
    }
    const high = parseClassChar(text, at + 1, pattern);
    ranges.push([low.code, high.code]);
    at = high.end;
  }
  return { token: { type: "class", negated, ranges }, end: at + 1 };
}

function parseClassChar(text: string, start: number, pattern: string): { code: number; end: number } {
  const first = text.charAt(start);
  if (first === "" || first === "-" || first === "]") throw malformedPattern(pattern);
  const at = first === "\\" ? start + 1 : start;
  if (at === text.length) throw malformedPattern(pattern);
  const { code, length } = decodeChar(text, at);
  return { code, end: at + length };
}

/**
 * On a mismatch only the last star grows, never an earlier one, which is what go does and keeps the work below
 * pattern × name.
 */
function matchTokens(tokens: readonly Token[], name: string): boolean {
  let tokenAt = 0;
  let nameAt = 0;
  let starAt = -1;
  let starNameAt = 0;
  for (;;) {
    const token = tokens[tokenAt];
    if (token?.type === "star") {
      starAt = tokenAt++;
      starNameAt = nameAt;
      continue;
    }
    if (token === undefined && nameAt === name.length) return true;
    const length = token === undefined ? 0 : matchedLength(token, name, nameAt);
    if (length > 0) {
      tokenAt++;
      nameAt += length;
      continue;
    }
    if (starAt === -1 || starNameAt === name.length || name.charAt(starNameAt) === "/") return false;
    starNameAt++;
    nameAt = starNameAt;
    tokenAt = starAt + 1;
  }
}

/** How many bytes of the name the token takes; 0 when it does not match. */
function matchedLength(token: Token, name: string, at: number): number {
  if (at === name.length) return 0;
  if (token.type === "star") return 0;
  if (token.type === "byte") return token.code === name.charCodeAt(at) ? 1 : 0;
  if (token.type === "any" && name.charAt(at) === "/") return 0;
  const { code, length } = decodeChar(name, at);
  if (token.type === "any") return length;
  return token.ranges.some(([low, high]) => low <= code && code <= high) === token.negated ? 0 : length;
}

/** The text as UTF-8, one char per byte: go's `*` and literals work on bytes. */
function utf8Text(text: string): string {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) >= 128) return Buffer.from(text, "utf8").toString("latin1");
  }
  return text;
}

/** The character at a byte of valid UTF-8; inside of one it is U+FFFD of one byte, as in go. */
function decodeChar(text: string, at: number): { code: number; length: number } {
  const first = text.charCodeAt(at);
  if (first < 0x80) return { code: first, length: 1 };
  if (first < 0xc0) return { code: 0xfffd, length: 1 };
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  let code = first & (0x7f >> length);
  for (let next = at + 1; next < at + length; next++) code = (code << 6) | (text.charCodeAt(next) & 0x3f);
  return { code, length };
}

function malformedPattern(pattern: string): ProtocolError {
  return new ProtocolError("malformed_pattern", `syntax error in pattern ${goQuote(pattern)}`);
}
