import { SluiceError } from "../../../core/errors.ts";
import { ProtocolError } from "../../../protocol/error.ts";
import { matchPrefixPatterns, pathMatch } from "../../../protocol/module/index.ts";
import type { RepoLocation } from "./location.ts";
import { hasPathPrefix } from "./path-prefix.ts";
import { checkRemote, subdirProblem } from "./remote.ts";

/** Where the configuration says that modules are, instead of asking their host. */
export interface RepoOverride {
  /**
   * Module paths, element by element, with the globs of GOPRIVATE: `corp.example/go-*`. The elements it matches are the repository's
   * root; what follows is a folder in it. `**` as the last element is any number of elements, at least one.
   */
  readonly pattern: string;
  /**
   * The remote. `{host}` stands for the first element of the root, `{path}` for the others, `{rest}` for those that the pattern does
   * not spell out; an end `.git` of the root is left out of both. Without `{path}` and `{rest}` it is one repository for all.
   */
  readonly url: string;
  /** Import path of the repository's root. Default: from the pattern. */
  readonly root?: string | undefined;
  /** As the fourth field of a go-import meta tag: the folder of the module, behind what its path has below the root. Default: none. */
  readonly subdir?: string | undefined;
}

type GitLocation = Extract<RepoLocation, { vcs: "git" }>;

export type OverrideAnswer =
  | { readonly kind: "location"; readonly location: GitLocation; readonly hasForeignHost: boolean }
  /** One of these, the shortest root first: which one is there has to be asked. */
  | {
      readonly kind: "candidates";
      readonly locations: readonly GitLocation[];
      /** The remote's host is from the module path, so that it is the client who chose it. */
      readonly hasForeignHost: boolean;
    }
  /** The path is above all repositories of the pattern. */
  | { readonly kind: "above"; readonly pattern: string }
  | { readonly kind: "mismatch"; readonly root: string };

export interface Overrides {
  /** By the first that is about the path. That the path is above all repositories counts only where no other has an answer. */
  match(modulePath: string): OverrideAnswer | undefined;
}

interface Override {
  readonly pattern: string;
  /** The pattern without `**`. */
  readonly head: readonly string[];
  readonly isDeep: boolean;
  /** How many of the first elements have no wildcard. */
  readonly literals: number;
  readonly isOneRepository: boolean;
  readonly hasForeignHost: boolean;
  readonly url: string;
  readonly root: string | undefined;
  readonly subdir: string;
}

const placeholders = /\{(\w*)\}/g;

/** No host nests groups deeper, and every level is a question to it. */
const maxDepth = 12;

/** Fails with `config_invalid` for an override that can never be right. */
export function createOverrides(given: readonly RepoOverride[]): Overrides {
  const overrides = given.map(checkOverride);
  return {
    match(modulePath) {
      const elements = modulePath.split("/");
      const answers = overrides.map((override) => matchOverride(override, elements)).filter((one) => one !== undefined);
      return answers.find(({ kind }) => kind !== "above") ?? answers[0];
    },
  };
}

function matchOverride(override: Override, elements: readonly string[]): OverrideAnswer | undefined {
  const { head, isDeep, pattern, root, literals, hasForeignHost } = override;
  if (!matchesElements(head.slice(0, elements.length), elements)) return undefined;
  const isOne = override.isOneRepository || root !== undefined;
  const least = isOne ? head.length : Math.max(head.length + (isDeep ? 1 : 0), 2);
  if (elements.length < least) {
    // Of what is above the part that the pattern spells out it says nothing.
    return literals > 0 && elements.length >= literals ? { kind: "above", pattern } : undefined;
  }
  if (isOne) {
    const own = root ?? elements.slice(0, Math.max(literals, 1)).join("/");
    if (!hasPathPrefix(elements.join("/"), own)) return { kind: "mismatch", root: own };
    return { kind: "location", location: locate(override, own), hasForeignHost };
  }
  const suffixed = elements.findIndex((element, index) => index + 1 >= least && /.\.git$/.test(element));
  const depth = isDeep ? suffixed + 1 : least;
  if (depth > 0) {
    return { kind: "location", location: locate(override, elements.slice(0, depth).join("/")), hasForeignHost };
  }
  const depths = Array.from({ length: Math.min(elements.length - least + 1, maxDepth) }, (_, index) => least + index);
  const locations = depths.map((count) => locate(override, elements.slice(0, count).join("/")));
  return { kind: "candidates", locations, hasForeignHost };
}

function matchesElements(head: readonly string[], elements: readonly string[]): boolean {
  return head.length === 0 || matchPrefixPatterns(head.join("/"), elements.join("/"));
}

function locate({ url, subdir, literals }: Override, root: string): GitLocation {
  const elements = root.replace(/\.git$/, "").split("/");
  const values: Readonly<Record<string, string>> = {
    host: elements[0] ?? "",
    path: elements.slice(1).join("/"),
    rest: elements.slice(Math.max(literals, 1)).join("/"),
  };
  return {
    vcs: "git",
    url: url.replaceAll(placeholders, (_match, name: string) => values[name] ?? ""),
    root,
    subdir,
  };
}

function checkOverride({ pattern, url, root, subdir = "" }: RepoOverride): Override {
  const elements = pattern.replace(/\/$/, "").split("/");
  const isDeep = elements.at(-1) === "**";
  const head = isDeep ? elements.slice(0, -1) : elements;
  if (pattern === "" || pattern.includes(",") || head.some((element) => element === "" || element.includes("**"))) {
    throw invalid(pattern, "is no pattern of module paths; write elements with globs, and ** only as the last one");
  }
  for (const glob of head) checkGlob(pattern, glob);
  const wildcard = head.findIndex((element) => /[*?[\\]/.test(element));
  const names = [...url.matchAll(placeholders)].map(([, name = ""]) => name);
  const unknown = names.find((name) => !["host", "path", "rest"].includes(name));
  if (unknown !== undefined) throw invalid(pattern, `has {${unknown}} in its url; there are {host}, {path} and {rest}`);
  // The operator may choose an address without encryption.
  const remote = checkRemote(url.replaceAll(placeholders, "x"), { insecure: true });
  if ("refusal" in remote) throw invalid(pattern, `has a url that is none: ${remote.refusal.problem}`);
  const problem = subdirProblem(subdir);
  if (problem !== undefined) throw invalid(pattern, `has a subdir that is none: ${problem}`);
  return {
    pattern,
    head,
    isDeep,
    literals: wildcard === -1 ? head.length : wildcard,
    hasForeignHost: /^[^/]*\/\/[^/]*\{/.test(url),
    isOneRepository: !names.includes("path") && !names.includes("rest"),
    // Credentials come from elsewhere; for SSH the user is a part of the address.
    url: url.replace(/^(https?:\/\/)[^/@]*@/i, "$1"),
    root,
    subdir,
  };
}

function checkGlob(pattern: string, glob: string): void {
  try {
    pathMatch(glob, "");
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw invalid(pattern, `has a glob that is none: ${JSON.stringify(glob)}`);
  }
}

function invalid(pattern: string, problem: string): SluiceError {
  return new SluiceError("config_invalid", `the repository override ${JSON.stringify(pattern)} ${problem}`);
}
