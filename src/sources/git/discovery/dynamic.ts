import type { FetchContext } from "../../../core/ports.ts";
import { goQuote } from "../../../protocol/quote.ts";
import { isSameImport, matchImport } from "./match-import.ts";
import type { GoImport } from "./meta-tags.ts";
import type { Page, Pages } from "./pages.ts";
import { subdirProblem } from "./remote.ts";

/** What the meta tags of a host say about a path, or in go's words why they say nothing. */
export type DynamicAnswer =
  | { readonly kind: "found"; readonly found: GoImport; readonly url: string }
  | { readonly kind: "nothing"; readonly problem: string };

export interface DynamicQuestion {
  readonly importPath: string;
  /** GOINSECURE matches the path. */
  readonly insecure: boolean;
  /** Pages from before this time do not count while their host answers. Milliseconds since the epoch. */
  readonly notBefore?: number | undefined;
  /** Pages from before this time are asked for again before they count as disagreeing. Milliseconds since the epoch. */
  readonly freshSince: number;
}

/**
 * Asks the path's host for its go-import tag (SPEC §4.3). A tag for a shorter prefix counts only when the page of that prefix says the
 * same about this path, so that one user of a host cannot speak for the rest of it. Fails as `Pages.read`.
 */
export async function findDynamic(
  pages: Pages,
  question: DynamicQuestion,
  context: FetchContext,
): Promise<DynamicAnswer> {
  const answer = await ask(pages, question, context);
  if (answer.kind !== "disagreement") return answer;
  // One of the two may be remembered from before the other one changed.
  const again = await ask(pages, { ...question, notBefore: question.freshSince }, context);
  return again.kind === "disagreement" ? { kind: "nothing", problem: again.problem } : again;
}

type Question = Omit<DynamicQuestion, "freshSince">;

async function ask(
  pages: Pages,
  question: Question,
  context: FetchContext,
): Promise<DynamicAnswer | { readonly kind: "disagreement"; readonly problem: string }> {
  const { importPath } = question;
  const page = await pages.read(importPath, question, context);
  if (page.kind === "nothing") return nothing(nothingOn(page, importPath));
  const match = matchImport(page.imports, importPath);
  if (match.kind === "several") return nothing(`parse ${schemeless(importPath)}: ${match.problem}`);
  if (match.kind === "none") return nothing(`parse ${page.url}: no go-import meta tags (${match.problem})`);
  const { found } = match;
  if (found.prefix !== importPath) {
    const parent = await pages.read(found.prefix, question, context);
    if (parent.kind === "nothing") return nothing(nothingOnParent(parent, found.prefix));
    const claim = matchImport(parent.imports, importPath);
    if (claim.kind !== "match" || !isSameImport(claim.found, found)) {
      const both = `${page.url} and ${schemeless(found.prefix)}`;
      return { kind: "disagreement", problem: `${both} disagree about go-import for ${found.prefix}` };
    }
  }
  const problem = subdirProblem(found.subdir);
  if (problem !== undefined) {
    return nothing(`${page.url}: invalid subdirectory ${goQuote(found.subdir)}: ${problem}`);
  }
  return { kind: "found", found, url: page.url };
}

function nothingOn({ url, reason, text }: Extract<Page, { kind: "nothing" }>, importPath: string): string {
  if (reason === "status") return text;
  if (reason === "markup") return `parsing ${importPath}: ${text}`;
  return `parse ${url}: no go-import meta tags ()`;
}

function nothingOnParent({ url, reason, text }: Extract<Page, { kind: "nothing" }>, prefix: string): string {
  if (reason === "status") return text;
  if (reason === "markup") return `parsing ${url}: ${text}`;
  return `fetching ${prefix}: no go-import meta tag found in ${url}`;
}

/** As go prints a URL that it has not chosen a scheme for. */
function schemeless(importPath: string): string {
  return `//${importPath}${importPath.includes("/") ? "" : "/"}?go-get=1`;
}

function nothing(problem: string): DynamicAnswer {
  return { kind: "nothing", problem };
}
