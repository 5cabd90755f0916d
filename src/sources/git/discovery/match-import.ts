import { goQuote } from "../../../protocol/quote.ts";
import type { GoImport } from "./meta-tags.ts";
import { hasPathPrefix } from "./path-prefix.ts";

export type ImportMatch =
  | { readonly kind: "match"; readonly found: GoImport }
  /** None of them is for this path, in go's words. */
  | { readonly kind: "none"; readonly problem: string }
  | { readonly kind: "several"; readonly problem: string };

/** The one entry whose prefix the path has. Two are an error, except that of the kind `mod`, which come first, one is enough. */
export function matchImport(imports: readonly GoImport[], importPath: string): ImportMatch {
  const [first, second] = imports.filter(({ prefix }) => hasPathPrefix(importPath, prefix));
  if (first === undefined) {
    const mismatches = imports.map(({ prefix }) => `meta tag ${prefix} did not match import path ${importPath}`);
    return { kind: "none", problem: mismatches.join(", ") };
  }
  if (second === undefined || (first.vcs === "mod" && second.vcs !== "mod")) return { kind: "match", found: first };
  return { kind: "several", problem: `multiple meta tags match import path ${goQuote(importPath)}` };
}

export function isSameImport(a: GoImport, b: GoImport): boolean {
  return a.prefix === b.prefix && a.vcs === b.vcs && a.url === b.url && a.subdir === b.subdir;
}
