const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Go's `unicode.IsSpace`: not JavaScript's `\s`, which has U+FEFF and lacks U+0085. */
const space = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const leadingSpace = new RegExp(`^${space}+`);
const spaces = new RegExp(`${space}+`);
const nonSpace = new RegExp(`[^${space.slice(1)}`);
const isSpaceCharacter = new RegExp(`^${space}$`);
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ["\u0007", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
]);

/** Decodes UTF-8 as Go reads it: a byte order mark stays, an invalid sequence becomes U+FFFD. */
export function decodeText(input: Uint8Array | string): string {
  return typeof input === "string" ? input : utf8.decode(input);
}

/** Go's `strings.TrimSpace`. */
export function trimSpace(text: string): string {
  const start = text.replace(leadingSpace, "");
  let end = start.length;
  while (end > 0 && isSpaceCharacter.test(start.charAt(end - 1))) end--;
  return start.slice(0, end);
}

/** Go's `strings.Fields`. */
export function fields(text: string): string[] {
  return text.split(spaces).filter((field) => field !== "");
}

/** Whether the text has anything but space in the sense of Go's `unicode.IsSpace`. */
export function hasText(text: string): boolean {
  return nonSpace.test(text);
}

/** Go's `unicode.IsPrint` of one character; the Unicode tables may be a version apart. */
export function isPrintable(character: string): boolean {
  return printable.test(character);
}

/** Go's `%q` of a string. */
export function quote(text: string): string {
  let quoted = '"';
  for (const character of text) quoted += character === '"' ? '\\"' : escapeCharacter(character);
  return `${quoted}"`;
}

/** Go's `%q` of a rune, such as `'\x00'`. */
export function quoteRune(character: string): string {
  return `'${character === "'" ? "\\'" : escapeCharacter(character)}'`;
}

/** `%q` of at most the first `maxLength` characters, so that a message can name a value of unknown size and origin. */
export function quoteShort(text: string, maxLength = 80): string {
  if (text.length <= maxLength) return quote(text);
  return `${quote(text.slice(0, maxLength).toWellFormed())}...`;
}

function escapeCharacter(character: string): string {
  const short = shortEscapes.get(character);
  if (short !== undefined) return short;
  if (isPrintable(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${hex(code, 2)}`;
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
}

function hex(code: number, width: number): string {
  return code.toString(16).padStart(width, "0");
}
