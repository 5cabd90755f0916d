import type { ModulePath } from "../protocol/brand.ts";
import { matchPrefixPatterns } from "../protocol/module/index.ts";

/** Modules whose names are never sent to an upstream. */
export interface PrivateRules {
  matches(modulePath: ModulePath): boolean;
}

/**
 * What stands above a pattern, such as `git.corp/team` above `git.corp/team/*`, tells a private name too: `go get` asks for every
 * beginning of an import path. In go itself those go to the upstream.
 *
 * Patterns in the grammar of GONOPROXY, which is GOPRIVATE's where it is not set (SPEC §1.7): comma-separated globs of path
 * prefixes, blanks not trimmed. `none` matches no module, as no module path is a single word without a dot.
 */
export function createPrivateRules(patterns: string): PrivateRules {
  const above = patterns.split(",").flatMap(beginnings);
  const isAbove = (modulePath: ModulePath): boolean => {
    const elements = modulePath.split("/").length;
    return above.some((pattern) => pattern.split("/").length === elements && matchPrefixPatterns(pattern, modulePath));
  };
  return { matches: (modulePath) => matchPrefixPatterns(patterns, modulePath) || isAbove(modulePath) };
}

/**
 * The proper beginnings of a pattern, as far as it is literal: `a.b/c/*` has `a.b` and `a.b/c`. The host may be a glob that says something
 * of it, such as `*.b`; those of all hosts would be the names of others.
 */
function beginnings(pattern: string): string[] {
  const elements = pattern.split("/");
  const glob = elements.findIndex((element, index) =>
    index === 0 ? !/[^*?.]/.test(element) : /[*?[\\]/.test(element),
  );
  const literal = glob === -1 ? elements.length - 1 : glob;
  return Array.from({ length: literal }, (_, index) => elements.slice(0, index + 1).join("/"));
}
