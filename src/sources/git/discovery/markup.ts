import { isUtf8 } from "node:buffer";
import { goQuote } from "../../../protocol/quote.ts";

/** An opening or closing tag. */
export interface Tag {
  readonly kind: "open" | "close";
  /** As written, without a name space. */
  readonly name: string;
  /** In order, names without a name space. Empty for a closing tag. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
}

/** Where a page stops being markup. The message is in the wording of Go's encoding/xml. */
export class MarkupError extends Error {
  override readonly name = "MarkupError";
}

/**
 * The tags of a page, read as go reads it: encoding/xml's raw tokens in its lax mode, for a page is seldom XML and never checked to be
 * (SPEC §4.3). Unquoted attributes and unknown entities pass; what else is not XML ends the reading with a `MarkupError`, behind the tags
 * that stand before it.
 */
export function* readTags(page: Uint8Array): Generator<Tag, void, undefined> {
  const scanner = new Scanner(Buffer.from(page.buffer, page.byteOffset, page.byteLength).toString("latin1"));
  while (!scanner.atEnd) {
    if (scanner.peek() !== "<") scanner.text();
    else yield* scanner.markup();
  }
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", apos: "'", quot: '"' };
const notInXml = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;
// XML 1.0 has tables of the letters of its time; Unicode's have them all, and then some.
const wholeName = /^[\p{L}_:][\p{L}\p{M}\p{N}_:.\-\u{b7}]*$/u;

/** Each character of its text is a byte of the page, so that a name or a text can end at any byte. */
class Scanner {
  readonly #page: string;
  #at = 0;

  constructor(page: string) {
    this.#page = page;
  }

  get atEnd(): boolean {
    return this.#at >= this.#page.length;
  }

  peek(): string {
    return this.#page.charAt(this.#at);
  }

  /** Stands on a `<`. */
  *markup(): Generator<Tag, void, undefined> {
    this.#at++;
    const next = this.#take();
    if (next === "/") yield this.#closingTag();
    else if (next === "?") this.#instruction();
    else if (next === "!") this.#declaration();
    else yield* this.#opened();
  }

  /** Character data up to the next `<`, or up to a quote, or of a CDATA section. Answers it decoded. */
  text(end: "<" | '"' | "'" | "]]>" = "<"): string {
    const isQuoted = end === '"' || end === "'";
    const isCdata = end === "]]>";
    let text = "";
    let [before, last] = ["", ""];
    for (;;) {
      if (this.atEnd) {
        if (isCdata) throw this.#error("unexpected EOF in CDATA section");
        break;
      }
      const byte = this.#take();
      if (!isQuoted && before === "]" && last === "]" && byte === ">") {
        if (!isCdata) throw this.#error("unescaped ]]> not in CDATA section");
        text = text.slice(0, -2);
        break;
      }
      if (byte === end) {
        if (byte === "<") this.#at--;
        break;
      }
      if (byte === "<" && isQuoted) throw this.#error("unescaped < inside quoted string");
      if (byte === "&" && !isCdata) {
        text += this.#entity();
        [before, last] = ["", ""];
        continue;
      }
      if (byte === "\r") text += "\n";
      else if (!(last === "\r" && byte === "\n")) text += byte;
      [before, last] = [last, byte];
    }
    return this.#decode(text);
  }

  /** Behind the first byte of its name. What closes itself is two tags. */
  *#opened(): Generator<Tag, void, undefined> {
    this.#at--;
    const { name, attributes, isEmpty } = this.#openingTag();
    yield { kind: "open", name, attributes };
    if (isEmpty) yield { kind: "close", name, attributes: [] };
  }

  #openingTag(): { name: string; attributes: [name: string, value: string][]; isEmpty: boolean } {
    const name = this.#localName() ?? this.#fail("expected element name after <");
    const attributes: [name: string, value: string][] = [];
    for (;;) {
      this.#skipSpace();
      const byte = this.#take();
      if (byte === ">") return { name, attributes, isEmpty: false };
      if (byte === "/") {
        if (this.#take() !== ">") throw this.#error("expected /> in element");
        return { name, attributes, isEmpty: true };
      }
      this.#at--;
      const attribute = this.#localName() ?? this.#fail("expected attribute name in element");
      this.#skipSpace();
      if (this.#take() === "=") {
        this.#skipSpace();
        attributes.push([attribute, this.#attributeValue()]);
      } else {
        this.#at--;
        attributes.push([attribute, attribute]);
      }
    }
  }

  #attributeValue(): string {
    const quote = this.#take();
    if (quote === '"' || quote === "'") return this.text(quote);
    this.#at--;
    const start = this.#at;
    while (/[A-Za-z0-9_:-]/.test(this.#take()));
    this.#at--;
    return this.#page.slice(start, this.#at);
  }

  #closingTag(): Tag {
    const name = this.#localName() ?? this.#fail("expected element name after </");
    this.#skipSpace();
    if (this.#take() !== ">") throw this.#error(`invalid characters between </${name} and >`);
    return { kind: "close", name, attributes: [] };
  }

  #instruction(): void {
    const target = this.#name() ?? this.#fail("expected target name after <?");
    this.#skipSpace();
    const content = this.#upTo("?>");
    if (target !== "xml") return;
    const version = pseudoAttribute("version", content);
    if (version !== "" && version !== "1.0") {
      throw new MarkupError(`xml: unsupported version ${goQuote(version)}; only version 1.0 is supported`);
    }
    const encoding = pseudoAttribute("encoding", content);
    if (encoding === "" || /^(utf-8|ascii)$/i.test(encoding)) return;
    const charset = goQuote(encoding);
    throw new MarkupError(`xml: opening charset ${charset}: can't decode XML document using charset ${charset}`);
  }

  /** Behind `<!`: a comment, a CDATA section, or a directive such as DOCTYPE. */
  #declaration(): void {
    const byte = this.#take();
    if (byte === "-") {
      if (this.#take() !== "-") throw this.#error("invalid sequence <!- not part of <!--");
      this.#upTo("--");
      if (this.#take() !== ">") throw this.#error('invalid sequence "--" not allowed in comments');
    } else if (byte === "[") {
      for (const expected of "CDATA[") if (this.#take() !== expected) throw this.#error("invalid <![ sequence");
      this.text("]]>");
    } else {
      this.#directive();
    }
  }

  /** Ends at a `>` that is outside of quotes and of further `<`…`>`. Its first byte, whatever it is, does not count. */
  #directive(): void {
    let quote = "";
    let depth = 0;
    for (;;) {
      const byte = this.#take();
      if (byte === quote) quote = "";
      else if (quote !== "") continue;
      else if (byte === ">" && depth === 0) return;
      else if (byte === ">") depth--;
      else if (byte === '"' || byte === "'") quote = byte;
      else if (byte === "<" && this.#isComment()) this.#upTo("-->");
      else if (byte === "<") depth++;
    }
  }

  /** Takes `!--`, or as much of it as is there. The byte that differs counts for the directive. */
  #isComment(): boolean {
    for (const expected of "!--") {
      if (this.#take() !== expected) {
        this.#at--;
        return false;
      }
    }
    return true;
  }

  /** Behind `&`. What is no entity stays as it is. */
  #entity(): string {
    const start = this.#at - 1;
    if (this.#take() === "#") return this.#numericEntity(start);
    this.#at--;
    const name = this.#nameBytes();
    if (this.#take() !== ";") {
      this.#at--;
      return this.#page.slice(start, this.#at);
    }
    return Object.hasOwn(entities, name) ? (entities[name] ?? "") : this.#page.slice(start, this.#at);
  }

  #numericEntity(start: number): string {
    const isHex = this.#take() === "x";
    if (!isHex) this.#at--;
    const digit = isHex ? /[0-9a-fA-F]/ : /[0-9]/;
    let digits = "";
    let byte = this.#take();
    for (; digit.test(byte); byte = this.#take()) digits += byte;
    if (byte !== ";") this.#at--;
    const code = digits === "" ? NaN : Number(`${isHex ? "0x" : ""}${digits}`);
    if (byte !== ";" || !(code <= 0x10_ffff)) return this.#page.slice(start, this.#at);
    const character = code >= 0xd800 && code <= 0xdfff ? "\u{fffd}" : String.fromCodePoint(code);
    return Buffer.from(character).toString("latin1");
  }

  /** A name without its name space. Undefined where there is none, or one with several colons. */
  #localName(): string | undefined {
    const name = this.#name();
    if (name === undefined) return undefined;
    const [space = "", local, more] = name.split(":");
    if (more !== undefined) return undefined;
    return local === undefined || local === "" || space === "" ? name : local;
  }

  #name(): string | undefined {
    const bytes = this.#nameBytes();
    if (bytes === "") return undefined;
    const name = Buffer.from(bytes, "latin1");
    const text = name.toString();
    if (!isUtf8(name) || !wholeName.test(text)) throw this.#error(`invalid XML name: ${text}`);
    return text;
  }

  /** Empty where no name begins. A name cannot be the last of a page. */
  #nameBytes(): string {
    const start = this.#at;
    while (/[A-Za-z0-9_:.\x80-\xff-]/.test(this.#take()));
    this.#at--;
    return this.#page.slice(start, this.#at);
  }

  /** What stands before `end`, and moves behind it. */
  #upTo(end: string): string {
    const at = this.#page.indexOf(end, this.#at);
    if (at === -1) throw this.#unexpectedEnd();
    const content = this.#page.slice(this.#at, at);
    this.#at = at + end.length;
    return content;
  }

  #skipSpace(): void {
    while (/[ \r\n\t]/.test(this.peek())) this.#at++;
  }

  #take(): string {
    if (this.atEnd) throw this.#unexpectedEnd();
    return this.#page.charAt(this.#at++);
  }

  #decode(text: string): string {
    const bytes = Buffer.from(text, "latin1");
    const decoded = bytes.toString();
    const illegal = notInXml.exec(decoded);
    const invalidAt = isUtf8(bytes) ? -1 : decoded.indexOf("\u{fffd}");
    if (invalidAt !== -1 && (illegal === null || invalidAt < illegal.index)) throw this.#error("invalid UTF-8");
    if (illegal === null) return decoded;
    const code = (illegal[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    throw this.#error(`illegal character code U+${code}`);
  }

  #unexpectedEnd(): MarkupError {
    this.#at = this.#page.length;
    return this.#error("unexpected EOF");
  }

  #fail(message: string): never {
    throw this.#error(message);
  }

  #error(message: string): MarkupError {
    let line = 1;
    for (let at = this.#page.indexOf("\n"); at !== -1 && at < this.#at; at = this.#page.indexOf("\n", at + 1)) line++;
    return new MarkupError(`XML syntax error on line ${line}: ${message}`);
  }
}

/** The value of `name="…"` in `<?xml … ?>`; empty if there is none. */
function pseudoAttribute(name: string, content: string): string {
  for (let at = 0; ;) {
    const found = content.indexOf(`${name}=`, at);
    if (found === -1) return "";
    const quote = content.charAt(found + name.length + 1);
    at = found + name.length + 2;
    if (quote !== '"' && quote !== "'") {
      if (quote === "") return "";
      continue;
    }
    const end = content.indexOf(quote, at);
    return end === -1 ? "" : content.slice(at, end);
  }
}
