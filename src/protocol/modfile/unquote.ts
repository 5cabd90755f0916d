const simpleEscapes: ReadonlyMap<string, string> = new Map([
  ["a", "\u0007"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["\\", "\\"],
  ['"', '"'],
]);

const escape = /\\(?:x([0-9A-Fa-f]{2})|([0-7]{3})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([abfnrtv\\"]))/y;

/**
 * Go's `strconv.Unquote` of a `"…"` or backquoted string, undefined when it would fail. Bytes written as `\xff` are read
 * together as UTF-8; those that are none become U+FFFD.
 */
export function tryUnquote(text: string): string | undefined {
  const quote = text.charAt(0);
  if (text.length < 2 || !text.endsWith(quote)) return undefined;
  const inner = text.slice(1, -1);
  if (quote === "`") return inner.includes("`") ? undefined : inner.replaceAll("\r", "");
  if (quote !== '"' || inner.includes("\n")) return undefined;
  return inner.includes("\\") ? unescape(inner) : inner.includes('"') ? undefined : inner;
}

function unescape(inner: string): string | undefined {
  const chunks: Uint8Array[] = [];
  const encoder = new TextEncoder();
  let at = 0;
  while (at < inner.length) {
    const next = inner.indexOf("\\", at);
    const plain = inner.slice(at, next < 0 ? undefined : next);
    if (plain.includes('"')) return undefined;
    chunks.push(encoder.encode(plain));
    if (next < 0) break;
    escape.lastIndex = next;
    const match = escape.exec(inner);
    const value = match === null ? undefined : valueOf(match);
    if (value === undefined) return undefined;
    chunks.push(typeof value === "string" ? encoder.encode(value) : Uint8Array.of(value));
    at = escape.lastIndex;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(chunks));
}

/** A byte, or a character; undefined when the number is neither. */
function valueOf([, hex, octal, short, long, simple]: RegExpExecArray): number | string | undefined {
  if (simple !== undefined) return simpleEscapes.get(simple);
  if (hex !== undefined) return Number.parseInt(hex, 16);
  if (octal !== undefined) {
    const byte = Number.parseInt(octal, 8);
    return byte > 0xff ? undefined : byte;
  }
  const code = Number.parseInt(short ?? long ?? "", 16);
  if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return String.fromCodePoint(code);
}
