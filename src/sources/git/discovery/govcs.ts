import { SluiceError } from "../../../core/errors.ts";
import { trimSpace } from "../../../protocol/go-text.ts";
import { matchPrefixPatterns } from "../../../protocol/module/index.ts";
import { goQuote } from "../../../protocol/quote.ts";

/** Which version control systems may be used for which repositories. */
export interface VcsRules {
  /** Why one may not be used for the repository with this root, in go's words; undefined when it may. */
  refusal(vcs: string, root: string): string | undefined;
}

interface Rule {
  readonly pattern: string;
  readonly allowed: readonly string[];
}

/** They stand behind those of GOVCS and decide where none of those matches. */
const builtIn: readonly Rule[] = [
  { pattern: "private", allowed: ["all"] },
  { pattern: "public", allowed: ["git", "hg"] },
];

/** The grammar of GOVCS (SPEC §1.7). Fails with `config_invalid` in go's words. `privatePatterns` is GOPRIVATE. */
export function createVcsRules(govcs: string, privatePatterns: string): VcsRules {
  const rules = [...parseRules(govcs), ...builtIn];
  return {
    refusal(vcs, root) {
      const isPrivate = matchPrefixPatterns(privatePatterns, root);
      const rule = rules.find(({ pattern }) => matches(pattern, { root, isPrivate }));
      if (rule?.allowed.some((name) => name === vcs || name === "all") === true) return undefined;
      return `GOVCS disallows using ${vcs} for ${isPrivate ? "private" : "public"} ${root}; see 'go help vcs'`;
    },
  };
}

function matches(pattern: string, { root, isPrivate }: { root: string; isPrivate: boolean }): boolean {
  if (pattern === "private") return isPrivate;
  if (pattern === "public") return !isPrivate;
  return matchPrefixPatterns(pattern, root);
}

function parseRules(govcs: string): Rule[] {
  const text = trimSpace(govcs);
  if (text === "") return [];
  const seen = new Map<string, string>();
  return text.split(",").map((entry) => {
    const item = trimSpace(entry);
    const rule = parseRule(item);
    const earlier = seen.get(rule.pattern);
    if (earlier !== undefined) {
      throw invalid(`unreachable pattern in GOVCS: ${goQuote(item)} after ${goQuote(earlier)}`);
    }
    seen.set(rule.pattern, item);
    return rule;
  });
}

function parseRule(item: string): Rule {
  if (item === "") throw invalid("empty entry in GOVCS");
  const colon = item.indexOf(":");
  if (colon === -1) throw invalid(`malformed entry in GOVCS (missing colon): ${goQuote(item)}`);
  const pattern = trimSpace(item.slice(0, colon));
  const list = trimSpace(item.slice(colon + 1));
  if (pattern === "") throw invalid(`empty pattern in GOVCS: ${goQuote(item)}`);
  if (list === "") throw invalid(`empty VCS list in GOVCS: ${goQuote(item)}`);
  if (/^\.\.?(\/|$)/.test(pattern)) throw invalid(`relative pattern not allowed in GOVCS: ${goQuote(pattern)}`);
  const allowed = list.split("|").map(trimSpace);
  if (allowed.includes("")) throw invalid(`empty VCS name in GOVCS: ${goQuote(item)}`);
  return { pattern, allowed };
}

function invalid(message: string): SluiceError {
  return new SluiceError("config_invalid", message);
}
