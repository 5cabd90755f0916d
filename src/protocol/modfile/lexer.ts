import { hasText } from "../go-text.ts";
import { goQuoteChar, isPrintable } from "../quote.ts";
import { SyntaxProblem } from "./problem.ts";
import type { Position } from "./problem.ts";

/** `word` is an identifier, a string with its quotes, or one of `( ) [ ] { } ,`. */
export type TokenKind = "word" | "newline" | "line_comment" | "end_comment" | "end_of_file";

export interface Token {
  readonly kind: TokenKind;
  /** As written; of a comment without its newline. */
  readonly text: string;
  readonly start: Position;
  readonly end: Position;
}

/** A comment behind something else on its line. */
export interface EndComment {
  readonly text: string;
  readonly offset: number;
}

const punctuation = "()[]{},";
const plainIdentifier = /[!-'*+\-.0-Z\\^-z|~]+/y;

/** Reads a go.mod token by token (SPEC §8.2), one token ahead of its user. */
export class Lexer {
  readonly endComments: EndComment[] = [];
  readonly #text: string;
  #offset = 0;
  #line = 1;
  #lineStart = 0;
  #next: Token;

  constructor(text: string) {
    this.#text = text;
    this.#next = this.#read();
  }

  /** Where reading stands: behind the token that `peek` shows. go's own syntax errors name this place. */
  get position(): Position {
    return { line: this.#line, lineStart: this.#lineStart, offset: this.#offset };
  }

  peek(): Token {
    return this.#next;
  }

  take(): Token {
    const token = this.#next;
    this.#next = this.#read();
    return token;
  }

  #read(): Token {
    while (" \t\r".includes(this.#text.charAt(this.#offset)) && this.#offset < this.#text.length) this.#offset++;
    const start = this.position;
    const first = this.#text.charAt(this.#offset);
    if (first === "") return { kind: "end_of_file", text: "", start, end: start };
    if (first === "/" && this.#text.startsWith("//", this.#offset)) return this.#readComment(start);
    this.#refuseBlockComment();
    if (first === "\n") {
      this.#newline();
      return this.#token("newline", start);
    }
    if (punctuation.includes(first)) this.#offset++;
    else if (first === '"' || first === "`") this.#readString(first, start);
    else this.#readIdentifier();
    return this.#token("word", start);
  }

  #readComment(start: Position): Token {
    const isAtEnd = hasText(this.#text.slice(start.lineStart, start.offset));
    const newline = this.#text.indexOf("\n", this.#offset);
    const end = newline < 0 ? this.#text.length : newline;
    // go drops a CR in front of the newline, but not one in front of the end of the file.
    const isCrLf = newline >= 0 && this.#text.charAt(end - 1) === "\r";
    const text = this.#text.slice(this.#offset, isCrLf ? end - 1 : end);
    this.#offset = end;
    if (newline >= 0) this.#newline();
    if (isAtEnd) this.endComments.push({ text, offset: start.offset });
    return { kind: isAtEnd ? "end_comment" : "line_comment", text, start, end: this.position };
  }

  #readString(quote: string, start: Position): void {
    this.#offset++;
    for (;;) {
      const character = this.#text.charAt(this.#offset);
      if (character === "") throw new SyntaxProblem("unexpected EOF in string", start);
      if (character === "\n") throw new SyntaxProblem("unexpected newline in string", this.position);
      this.#offset++;
      if (character === quote) return;
      if (character === "\\" && quote !== "`") this.#skipEscaped(start);
    }
  }

  /** What follows a backslash stays in the string, a newline too; go refuses that one only when it unquotes the string. */
  #skipEscaped(start: Position): void {
    const escaped = this.#text.charAt(this.#offset);
    if (escaped === "") throw new SyntaxProblem("unexpected EOF in string", start);
    if (escaped === "\n") this.#newline();
    else this.#offset++;
  }

  #readIdentifier(): void {
    const start = this.#offset;
    for (;;) {
      plainIdentifier.lastIndex = this.#offset;
      if (plainIdentifier.test(this.#text)) this.#offset = plainIdentifier.lastIndex;
      if (this.#text.startsWith("//", this.#offset)) return;
      this.#refuseBlockComment();
      const character = characterAt(this.#text, this.#offset);
      if (!isIdentifier(character)) break;
      this.#offset += character.length;
    }
    if (this.#offset === start) {
      const character = characterAt(this.#text, start);
      throw new SyntaxProblem(`unexpected input character ${goQuoteChar(character)}`, this.position);
    }
  }

  #refuseBlockComment(): void {
    if (!this.#text.startsWith("/*", this.#offset)) return;
    throw new SyntaxProblem("mod files must use // comments (not /* */ comments)", this.position);
  }

  #newline(): void {
    this.#offset++;
    this.#line++;
    this.#lineStart = this.#offset;
  }

  #token(kind: TokenKind, start: Position): Token {
    return { kind, text: this.#text.slice(start.offset, this.#offset), start, end: this.position };
  }
}

function characterAt(text: string, offset: number): string {
  const code = text.codePointAt(offset);
  return code === undefined ? "" : String.fromCodePoint(code);
}

function isIdentifier(character: string): boolean {
  return character !== "" && character !== " " && !punctuation.includes(character) && isPrintable(character);
}
