import { goQuote } from "../../../protocol/quote.ts";
import { hasPathPrefix } from "./path-prefix.ts";

/** What a path says about its repository without asking anybody (SPEC §4.2). */
export type StaticAnswer =
  | { readonly kind: "repository"; readonly vcs: string; readonly root: string; readonly url: string }
  /** `host/name.git/…`: the root is known, and that one of `https://repo`, `ssh://repo` and so on is the remote. */
  | { readonly kind: "schemeless"; readonly vcs: string; readonly root: string; readonly repo: string }
  /** In go's words. */
  | { readonly kind: "invalid"; readonly problem: string }
  | { readonly kind: "unknown" };

interface Host {
  readonly prefix: string;
  /** Its first group is the root. */
  readonly path: RegExp;
  readonly vcs: string;
  /** The root may not end like `.git`. */
  readonly bare: boolean;
}

const hosts: readonly Host[] = [
  { prefix: "github.com", path: /^(github\.com\/[\w.-]+\/[\w.-]+)(\/[\w.-]+)*$/, vcs: "git", bare: true },
  { prefix: "bitbucket.org", path: /^(bitbucket\.org\/[\w.-]+\/[\w.-]+)(\/[\w.-]+)*$/, vcs: "git", bare: true },
  {
    prefix: "hub.jazz.net/git",
    path: /^(hub\.jazz\.net\/git\/[a-z0-9]+\/[\w.-]+)(\/[\w.-]+)*$/,
    vcs: "git",
    bare: true,
  },
  { prefix: "git.apache.org", path: /^(git\.apache\.org\/[a-z0-9_.-]+\.git)(\/[\w.-]+)*$/, vcs: "git", bare: false },
  {
    prefix: "git.openstack.org",
    path: /^(git\.openstack\.org\/[\w.-]+\/[\w.-]+)(\/[\w.-]+)*$/,
    vcs: "git",
    bare: false,
  },
  {
    prefix: "chiselapp.com",
    path: /^(chiselapp\.com\/user\/[A-Za-z0-9]+\/repository\/[\w.-]+)$/,
    vcs: "fossil",
    bare: false,
  },
];

const systemSuffix = /\.(?:hg|git|svn|bzr|fossil)$/;

export function findStatic(path: string): StaticAnswer {
  // What go's own tests need, so nobody can have modules there.
  if (hasPathPrefix(path, "example.net")) return invalid("no modules on example.net");
  if (path === "rsc.io") return invalid("rsc.io is not a module");
  const scheme = /^https?:/.exec(path)?.[0];
  if (scheme !== undefined) return invalid(`${goQuote(`${scheme}//`)} not allowed in import path`);

  const host = hosts.find(({ prefix }) => hasPathPrefix(path, prefix));
  if (host === undefined) return findSuffixed(path);
  const root = host.path.exec(path)?.[1];
  if (root === undefined) return invalid(`invalid ${host.prefix} import path ${goQuote(path)}`);
  if (host.bare && systemSuffix.test(root)) return invalid(`invalid version control suffix in ${host.prefix}/ path`);
  return { kind: "repository", vcs: host.vcs, root, url: `https://${root}` };
}

/**
 * `host.tld/any/path.git/below`, for git and the others: the first element with such an end is the repository. Go has one regular
 * expression for it, which JavaScript would backtrack in for ever, and which may begin in the middle of a path that has a `~`
 * where it should not: then the root it finds is none of the path's prefixes, and nothing can come of it.
 */
function findSuffixed(path: string): StaticAnswer {
  const elements = path.split("/");
  const suffixed = elements.map((element) => /^~?[\w.-]+\.(?:bzr|fossil|git|hg|svn)$/.test(element));
  const lastOdd = elements.findLastIndex((element) => !/^~?[\w.-]+$/.test(element));
  for (let first = Math.max(lastOdd, 0); first < elements.length; first++) {
    const last = suffixed.indexOf(true, first + 1);
    if (last === -1) break;
    const host = hostAtEnd(elements[first] ?? "");
    if (host === undefined) continue;
    const root = [host, ...elements.slice(first + 1, last + 1)].join("/");
    if (!hasPathPrefix(path, root)) return invalid(`mismatched repo: found ${root} for ${path}`);
    const dot = root.lastIndexOf(".");
    return { kind: "schemeless", vcs: root.slice(dot + 1), root, repo: root.slice(0, dot) };
  }
  return { kind: "unknown" };
}

/** The longest end of an element that looks like a host name with a dot in it. */
function hostAtEnd(element: string): string | undefined {
  let start = element.length;
  while (start > 0 && /[a-z0-9.-]/.test(element.charAt(start - 1))) start--;
  const host = element.slice(start);
  return host.slice(1, -1).includes(".") ? host : undefined;
}

function invalid(problem: string): StaticAnswer {
  return { kind: "invalid", problem };
}
