import { goQuote } from "./quote.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Go's `unicode.IsSpace`: not JavaScript's `\s`, which has U+FEFF and lacks U+0085. */
const space = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const spaces = new RegExp(`[${space}]+`, "g");
const spaceCharacter = new RegExp(`^[${space}]$`);
const nonSpace = new RegExp(`[^${space}]`);

/** Decodes UTF-8 as Go reads it: a byte order mark stays, an invalid sequence becomes U+FFFD. */
export function decodeText(input: Uint8Array | string): string {
  return typeof input === "string" ? input : utf8.decode(input);
}

/** Go's `strings.TrimSpace`. */
export function trimSpace(text: string): string {
  const start = text.search(nonSpace);
  if (start < 0) return "";
  let end = text.length;
  while (spaceCharacter.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Go's `strings.Fields`. */
export function fields(text: string): string[] {
  return text.split(spaces).filter((field) => field !== "");
}

/** Whether the text has anything but space. */
export function hasText(text: string): boolean {
  return nonSpace.test(text);
}

/** `%q` of at most the first `maxLength` characters, so that a message can name a value of unknown size and origin. */
export function quoteShort(text: string, maxLength = 80): string {
  if (text.length <= maxLength) return goQuote(text);
  return `${goQuote(text.slice(0, maxLength).toWellFormed())}...`;
}
