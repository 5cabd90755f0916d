const shortEscapes: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
};

const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Go's `unicode.IsPrint` of one character. The Unicode tables may be a version apart. */
export function isPrintable(character: string): boolean {
  return printable.test(character);
}

/** Quotes a text as Go's `%q` does, for error messages in go's own wording. */
export function goQuote(text: string): string {
  return `"${text.replaceAll(/[^ !#-[\]-~]/gu, (char) => (char === '"' ? '\\"' : escapeChar(char)))}"`;
}

/** Quotes a single character as Go's `%q` does for a rune: `'x'`. */
export function goQuoteChar(char: string): string {
  return char === "'" ? `'\\''` : `'${escapeChar(char)}'`;
}

function escapeChar(char: string): string {
  const short = shortEscapes[char];
  if (short !== undefined) return short;
  // A lone surrogate has no UTF-8; go would never see it.
  if (!char.isWellFormed()) return "\u{fffd}";
  if (isPrintable(char)) return char;
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x1_0000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}
