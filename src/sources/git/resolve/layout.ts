import { posix } from "node:path";
import type { ModulePath } from "../../../protocol/brand.ts";
import { pathMajorPrefix, splitPathVersion } from "../../../protocol/module/index.ts";
import { goQuote } from "../../../protocol/quote.ts";
import { build, isPseudoVersion, isValid, pseudoVersionRev } from "../../../protocol/semver/index.ts";
import type { RepoLocation } from "../discovery/location.ts";
import { hasPathPrefix } from "../discovery/path-prefix.ts";
import { Refusal } from "./refusal.ts";

/** Where a module lives in its repository (SPEC §4.5), and how its versions are written there. */
export interface ModuleLayout {
  readonly modulePath: ModulePath;
  /** The import path of the repository's root. */
  readonly codeRoot: string;
  /** Folder of the module in the repository, without the one of its major version; empty for the root. */
  readonly codeDir: string;
  /** What stands before the names of its tags: empty, or `codeDir` and a slash. */
  readonly tagPrefix: string;
  /** `/v2`, `.v2` or empty. */
  readonly pathMajor: string;
  /** The module path without `pathMajor`, or all of it where the repository's root is the whole path. */
  readonly pathPrefix: string;
  /** `v2`, or empty. */
  readonly pseudoMajor: string;
}

/** Throws `Refusal` when no module of this path can be in a repository of this root. */
export function moduleLayout(
  modulePath: ModulePath,
  { root, subdir }: Extract<RepoLocation, { vcs: "git" }>,
): ModuleLayout {
  const refuse = (reason: string): Refusal => new Refusal(`module ${modulePath}: ${reason}`);
  if (!hasPathPrefix(modulePath, root)) throw refuse(`mismatched repo: found ${root} for ${modulePath}`);
  const split = splitPathVersion(modulePath);
  if (split === undefined) throw refuse(`invalid module path ${goQuote(modulePath)}`);
  const isWhole = root === modulePath;
  const pathPrefix = isWhole ? modulePath : split.prefix;
  if (!hasPathPrefix(pathPrefix, root)) {
    throw refuse(`repository rooted at ${root} cannot contain module ${modulePath}`);
  }
  const below = isWhole ? "" : pathPrefix.slice(root.length).replaceAll(/^\/+|\/+$/g, "");
  const codeDir = subdir === "" ? below : posix.join(below, subdir).replace(/\/$/, "");
  return {
    modulePath,
    codeRoot: root,
    codeDir,
    tagPrefix: codeDir === "" ? "" : `${codeDir}/`,
    pathMajor: split.major,
    pathPrefix,
    pseudoMajor: pathMajorPrefix(split.major),
  };
}

/** What is looked up in the repository for a version or query (SPEC §3.3). */
export function revisionOf(layout: ModuleLayout, query: string): string {
  if (!isValid(query)) return query;
  if (isPseudoVersion(query)) return pseudoVersionRev(query);
  const isIncompatible = build(query) === "+incompatible";
  return layout.tagPrefix + (isIncompatible ? query.slice(0, -"+incompatible".length) : query);
}
