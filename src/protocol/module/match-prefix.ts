import { ProtocolError } from "../error.ts";
import { pathMatch } from "./path-match.ts";

/**
 * Whether a comma-separated list of glob patterns, as in `GOPRIVATE`, matches the target or a prefix of whole path elements
 * of it (SPEC §1.7). Spaces are not trimmed; one trailing slash of a pattern does not count; a malformed pattern matches
 * nothing. Never throws.
 */
export function matchPrefixPatterns(globs: string, target: string): boolean {
  if (globs === "") return false;
  return globs.split(",").some((glob) => matchesPrefix(glob.endsWith("/") ? glob.slice(0, -1) : glob, target));
}

function matchesPrefix(glob: string, target: string): boolean {
  if (glob === "") return false;
  const prefix = leadingElements(target, countSlashes(glob) + 1);
  if (prefix === undefined) return false;
  if (!/[*?[\\]/.test(glob)) return glob === prefix;
  try {
    return pathMatch(glob, prefix);
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

/** The first elements of a path; undefined when it has fewer. */
function leadingElements(path: string, count: number): string | undefined {
  let slash = -1;
  for (let seen = 0; seen < count; seen++) {
    slash = path.indexOf("/", slash + 1);
    if (slash === -1) return seen === count - 1 ? path : undefined;
  }
  return path.slice(0, slash);
}

function countSlashes(glob: string): number {
  let count = 0;
  for (let at = glob.indexOf("/"); at !== -1; at = glob.indexOf("/", at + 1)) count++;
  return count;
}
