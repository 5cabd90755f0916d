import { ProtocolError } from "../error.ts";
import { decodeText } from "../go-text.ts";
import { addDirective } from "./directives.ts";
import type { ModFile, MutableModFile } from "./mod-file.ts";
import { GoModProblem, describeProblems } from "./problem.ts";
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

/**
 * Parses a go.mod as go does. Lax is for modules one depends on: directives and blocks that are unknown or only matter in a
 * main module are passed over, and so are retractions in a form that is not known (SPEC §8.3). Strict is for the module one
 * works in. Versions must be semantic versions and are made canonical, but for those of retractions.
 *
 * @throws ProtocolError `malformed_gomod`, with a line for each of the first ten problems, as go prints them:
 *   `go.mod:3: unknown directive: foo`.
 */
export function parseModFile(input: Uint8Array | string, options: { readonly lax: boolean }): ModFile {
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
  const problems: GoModProblem[] = [];
  for (const [line, block] of directiveLines(readSyntax(text), problems, options.lax)) {
    collectProblems(problems, line, () => addDirective(file, line, block, options.lax));
  }
  if (problems.length > 0) throw describeProblems(text, problems);
  const { moduleSeen: _, ...result } = file;
  return result;
}

function readSyntax(text: string): Statement[] {
  try {
    return parseSyntax(text);
  } catch (error) {
    if (error instanceof GoModProblem) throw describeProblems(text, [error]);
    throw error;
  }
}

function* directiveLines(
  statements: readonly Statement[],
  problems: GoModProblem[],
  lax: boolean,
): Generator<[Line, Block | undefined]> {
  for (const statement of statements) {
    if (statement.kind === "line") {
      yield [statement, undefined];
      continue;
    }
    const [verb] = statement.tokens;
    if (statement.tokens.length === 1 && verb !== undefined && blockVerbs.has(verb)) {
      for (const line of statement.lines) yield [line, statement];
    } else if (!lax) {
      problems.push(new GoModProblem(`unknown block type: ${statement.tokens.join(" ")}`, statement.start));
    }
  }
}

function collectProblems(problems: GoModProblem[], line: Line, add: () => void): void {
  try {
    add();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    problems.push(new GoModProblem(error.message, line.start));
  }
}
