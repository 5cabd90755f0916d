import { ProtocolError } from "../error.ts";
import { isPrintable } from "../quote.ts";

/** A place in a go.mod. Offsets are in UTF-16 units of the decoded text. */
export interface Position {
  /** From 1. */
  readonly line: number;
  /** Where that line begins. */
  readonly lineStart: number;
  readonly offset: number;
}

/** One thing that is wrong with a go.mod, and where. */
export interface Problem {
  readonly message: string;
  readonly position: Position;
}

/** go prints every problem of a file. A file of nothing but problems must not cost more than others, nor make long messages. */
export const maxProblems = 10;
const maxMessageLength = 2000;

/** The problem that ends the reading of a file. Does not leave the package. */
export class SyntaxProblem extends Error implements Problem {
  override readonly name = "SyntaxProblem";
  readonly position: Position;

  constructor(message: string, position: Position) {
    super(message);
    this.position = position;
  }
}

/** The error of a go.mod, each problem on a line as go prints it: `go.mod:3: …`, or `go.mod:3:2: …` behind a line's start. */
export function describeProblems(text: string, problems: readonly Problem[]): ProtocolError {
  const lines = problems.slice(0, maxProblems).map((problem) => describe(text, problem));
  if (problems.length > maxProblems) lines.push("go.mod: too many errors");
  const message = lines.join("\n");
  return new ProtocolError("malformed_gomod", makeSafe(message.length > maxMessageLength ? shorten(message) : message));
}

/** `go.mod:3:2`, always with the column. */
export function formatPosition(text: string, position: Position): string {
  return `go.mod:${position.line}:${columnOf(text, position)}`;
}

function describe(text: string, { position, message }: Problem): string {
  const column = columnOf(text, position);
  return `go.mod:${position.line}:${column > 1 ? `${column}:` : ""} ${message}`;
}

/** In characters, from 1. */
function columnOf(text: string, { lineStart, offset }: Position): number {
  let column = 1;
  for (const _ of text.slice(lineStart, offset)) column++;
  return column;
}

function shorten(message: string): string {
  return `${message.slice(0, maxMessageLength).toWellFormed()}...`;
}

/** go.mod files come from strangers and messages end up on terminals. */
function makeSafe(message: string): string {
  let safe = "";
  for (const character of message) {
    safe += character === "\n" || character === "\t" || isPrintable(character) ? character : "\u{fffd}";
  }
  return safe;
}
