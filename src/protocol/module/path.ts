import type { ModulePath } from "../brand.ts";
import { goQuoteChar } from "../quote.ts";
import { malformedPath, pathProblem } from "./check.ts";
import { splitPathVersion } from "./major.ts";

/** Reads a module path (SPEC §2.2). Throws `malformed_path` with go's text: `malformed module path "P": reason`. */
export function parseModulePath(text: string): ModulePath {
  const problem = modulePathProblem(text);
  if (problem !== undefined) throw malformedPath("module", text, problem);
  return checked(text);
}

/** Like `parseModulePath`, undefined for what is no module path. */
export function tryParseModulePath(text: string): ModulePath | undefined {
  return modulePathProblem(text) === undefined ? checked(text) : undefined;
}

function checked(text: string): ModulePath {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the place where module paths are made
  return text as ModulePath;
}

function modulePathProblem(text: string): string | undefined {
  const problem = pathProblem(text, "module") ?? hostProblem(text);
  if (problem !== undefined) return problem;
  return splitPathVersion(text) === undefined ? "invalid version" : undefined;
}

/** The first element is a host name, or at least looks like one, so that no module path is that of a standard package. */
function hostProblem(text: string): string | undefined {
  const slash = text.indexOf("/");
  const end = slash === -1 ? text.length : slash;
  let dots = 0;
  let badAt = -1;
  for (let at = end - 1; at >= 0; at--) {
    const code = text.charCodeAt(at);
    if (code === 0x2e) dots++;
    else if (!isHostCode(code)) badAt = at;
  }
  if (dots === 0) return "missing dot in first path element";
  return badAt === -1 ? undefined : `invalid char ${goQuoteChar(text.charAt(badAt))} in first path element`;
}

function isHostCode(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d;
}
