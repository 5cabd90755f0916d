import { ProtocolError } from "../error.ts";
import { decodeText } from "../go-text.ts";
import { addDirective } from "./directives.ts";
import type { ModFile, MutableModFile } from "./mod-file.ts";
import { SyntaxProblem, describeProblems, maxProblems } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { parseSyntax } from "./syntax.ts";
import type { Block, Line, Statement } from "./syntax.ts";

const blockVerbs: ReadonlySet<string> = new Set([
  "module",
  "godebug",
  "require",
  "exclude",
  "replace",
  "retract",
  "tool",
  "ignore",
]);

/** More than this many bytes are not parsed: real files have some thousand, and it takes a second for three million. */
export const maxParsedBytes = 1 << 20;

/**
 * Parses a go.mod as go does. Lax is for modules one depends on: directives and blocks that are unknown or only matter in a
 * main module are passed over, and so are retractions in a form that is not known (SPEC §8.3). Strict is for the module one
 * works in. Versions must be semantic versions and are made canonical, but for those of retractions.
 *
 * @throws ProtocolError `malformed_gomod`, with a line for each of the first ten problems, as go prints them:
 *   `go.mod:3: unknown directive: foo`. Also for a file of more than `maxParsedBytes`.
 */
export function parseModFile(input: Uint8Array | string, options: { readonly lax: boolean }): ModFile {
  if (input.length > maxParsedBytes) {
    throw new ProtocolError(
      "malformed_gomod",
      `go.mod: ${input.length} bytes are more than the ${maxParsedBytes} that are parsed`,
    );
  }
  const text = decodeText(input);
  const file: MutableModFile = {
    requires: [],
    retracts: [],
    ignores: [],
    excludes: [],
    replaces: [],
    tools: [],
    godebugs: [],
  };
  const problems: Problem[] = [];
  for (const statement of readSyntax(text)) {
    if (statement.kind === "line") addLine(statement, undefined);
    else if (isKnownBlock(statement)) for (const line of statement.lines) addLine(line, statement);
    else if (!options.lax) {
      problems.push({ message: `unknown block type: ${statement.tokens.join(" ")}`, position: statement.start });
    }
  }
  if (problems.length > 0) throw describeProblems(text, problems);
  const { moduleSeen: _, ...result } = file;
  return result;

  function addLine(line: Line, block: Block | undefined): void {
    if (problems.length > maxProblems) return;
    try {
      addDirective(file, line, block, options.lax);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      problems.push({ message: error.message, position: line.start });
    }
  }
}

function readSyntax(text: string): Statement[] {
  try {
    return parseSyntax(text);
  } catch (error) {
    if (error instanceof SyntaxProblem) throw describeProblems(text, [error]);
    throw error;
  }
}

function isKnownBlock({ tokens: [verb, ...rest] }: Block): boolean {
  return verb !== undefined && rest.length === 0 && blockVerbs.has(verb);
}
