import { Lexer } from "./lexer.ts";
import type { EndComment, Token } from "./lexer.ts";
import { SyntaxProblem, formatPosition } from "./problem.ts";
import type { Position } from "./problem.ts";

/** Comments as written, with their `//`; an empty one stands for blank lines. */
export interface Comments {
  /** Whole-line comments right above. */
  before: readonly string[];
  /** Behind it on its line. */
  suffix: string[];
}

export interface Line extends Comments {
  readonly kind: "line";
  readonly start: Position;
  readonly tokens: readonly string[];
}

/** `verb ( … )`: the tokens before the parenthesis, and the lines inside. */
export interface Block extends Comments {
  readonly kind: "block";
  readonly start: Position;
  readonly tokens: readonly string[];
  readonly lines: readonly Line[];
}

export type Statement = Line | Block;

/** Something a comment at the end of a line can belong to. */
interface Holder {
  readonly startLine: number;
  readonly endLine: number;
  readonly endOffset: number;
  readonly suffix: string[];
}

/** Statements of a go.mod with their comments, not interpreted (SPEC §8.2). Throws SyntaxProblem at the first syntax error. */
export function parseSyntax(text: string): Statement[] {
  return new Parser(text).parseFile();
}

class Parser {
  readonly #text: string;
  readonly #lexer: Lexer;
  readonly #statements: Statement[] = [];
  /** In the order in which they end. */
  readonly #holders: Holder[] = [];

  constructor(text: string) {
    this.#text = text;
    this.#lexer = new Lexer(text);
  }

  parseFile(): Statement[] {
    let comments: Token[] = [];
    for (;;) {
      const token = this.#lexer.peek();
      if (token.kind === "line_comment") {
        comments.push(this.#lexer.take());
        continue;
      }
      if (token.kind === "word") {
        this.#statements.push(this.#parseStatement(comments.map(({ text }) => text)));
      } else {
        const [first] = comments;
        if (first !== undefined) this.#hold(first.start, first.start);
        if (token.kind === "end_of_file") break;
        this.#lexer.take();
      }
      comments = [];
    }
    assignEndComments(this.#lexer.endComments, this.#holders);
    return this.#statements;
  }

  #parseStatement(before: readonly string[]): Statement {
    const first = this.#lexer.take();
    const tokens = [first.text];
    let end = first.end;
    for (;;) {
      const token = this.#lexer.take();
      if (endsLine(token)) {
        return { kind: "line", start: first.start, tokens, before, suffix: this.#hold(first.start, end) };
      }
      if (token.text !== "(") {
        end = token.end;
        tokens.push(token.text);
        continue;
      }
      const next = this.#lexer.peek();
      if (endsLine(next)) return this.#parseBlock(first, tokens, before, token);
      tokens.push(token.text);
      if (next.text !== ")") continue;
      const close = this.#lexer.take();
      if (endsLine(this.#lexer.peek())) {
        this.#lexer.take();
        tokens.pop();
        this.#hold(token.start, token.end);
        return this.#closeBlock(first, tokens, before, [], close);
      }
      tokens.push(close.text);
    }
  }

  #parseBlock(first: Token, tokens: readonly string[], before: readonly string[], open: Token): Block {
    this.#hold(open.start, open.end);
    const lines: Line[] = [];
    let comments: string[] = [];
    for (;;) {
      const token = this.#lexer.peek();
      if (token.kind === "end_of_file") {
        const start = formatPosition(this.#text, first.start);
        throw new SyntaxProblem(`syntax error (unterminated block started at ${start})`, this.#lexer.position);
      }
      if (token.text === ")") break;
      if (token.kind === "word") {
        lines.push(this.#parseLine(comments));
        comments = [];
        continue;
      }
      this.#lexer.take();
      if (token.kind === "line_comment") comments.push(token.text);
      // Blank lines count as one empty comment, except at the top of the block.
      if (token.kind === "newline" && (comments.length === 0 ? lines.length > 0 : comments.at(-1) !== ""))
        comments.push("");
    }
    const close = this.#lexer.take();
    if (!endsLine(this.#lexer.peek())) {
      throw new SyntaxProblem("syntax error (expected newline after closing paren)", this.#lexer.position);
    }
    this.#lexer.take();
    return this.#closeBlock(first, tokens, before, lines, close);
  }

  #parseLine(before: readonly string[]): Line {
    const first = this.#lexer.take();
    const tokens = [first.text];
    let end = first.end;
    for (;;) {
      const token = this.#lexer.take();
      if (endsLine(token)) {
        return { kind: "line", start: first.start, tokens, before, suffix: this.#hold(first.start, end) };
      }
      tokens.push(token.text);
      end = token.end;
    }
  }

  #closeBlock(first: Token, tokens: readonly string[], before: readonly string[], lines: Line[], close: Token): Block {
    this.#hold(close.start, close.end);
    return { kind: "block", start: first.start, tokens, before, lines, suffix: this.#hold(first.start, close.end) };
  }

  #hold(start: Position, end: Position): string[] {
    const suffix: string[] = [];
    this.#holders.push({ startLine: start.line, endLine: end.line, endOffset: end.offset, suffix });
    return suffix;
  }
}

function endsLine(token: Token): boolean {
  return token.kind === "newline" || token.kind === "end_comment" || token.kind === "end_of_file";
}

/** A comment goes to what ends last before it, outer things first, and never to what began on an earlier line than it ended. */
function assignEndComments(comments: readonly EndComment[], holders: readonly Holder[]): void {
  const rest = [...comments];
  for (const holder of holders.toReversed()) {
    if (holder.startLine !== holder.endLine) continue;
    for (let last = rest.at(-1); last !== undefined && holder.endOffset <= last.offset; last = rest.at(-1)) {
      holder.suffix.push(last.text);
      rest.pop();
    }
    holder.suffix.reverse();
  }
}
