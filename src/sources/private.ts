import type { ModulePath } from "../protocol/brand.ts";
import { matchPrefixPatterns } from "../protocol/module/index.ts";

/** Modules whose names are never sent to an upstream. */
export interface PrivateRules {
  matches(modulePath: ModulePath): boolean;
}

/**
 * Patterns in the grammar of GONOPROXY, which is GOPRIVATE's where it is not set (SPEC §1.7): comma-separated globs of path
 * prefixes, blanks not trimmed. `none` matches no module, as no module path is a single word without a dot.
 */
export function createPrivateRules(patterns: string): PrivateRules {
  return { matches: (modulePath) => matchPrefixPatterns(patterns, modulePath) };
}
