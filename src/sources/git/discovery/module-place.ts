import { posix } from "node:path";
import { SluiceError } from "../../../core/errors.ts";
import type { ModulePath } from "../../../protocol/brand.ts";
import { splitPathVersion } from "../../../protocol/module/index.ts";
import { goQuote } from "../../../protocol/quote.ts";
import type { RepoLocation } from "./location.ts";
import { hasPathPrefix } from "./path-prefix.ts";

/** Where a module stands in its repository, whatever the version (SPEC §4.5). */
export interface ModulePlace {
  /** Import path of the repository's root. */
  readonly codeRoot: string;
  /** Folder of the module without the major suffix, and with a slash the beginning of its tags. Empty for the root. */
  readonly codeDir: string;
  /** The module path without its major suffix, or all of it where the repository's root is the whole path. */
  readonly pathPrefix: string;
  /** `/v2`, `.v2`, or empty. */
  readonly pathMajor: string;
}

/** Fails with `not_found`, in go's words, when the repository cannot hold the module. */
export function placeModule(
  modulePath: ModulePath,
  { root, subdir }: Extract<RepoLocation, { vcs: "git" }>,
): ModulePlace {
  if (!hasPathPrefix(modulePath, root)) throw notFound(`mismatched repo: found ${root} for ${modulePath}`);
  const split = splitPathVersion(modulePath);
  if (split === undefined) throw notFound(`invalid module path ${goQuote(modulePath)}`);
  const isWhole = root === modulePath;
  if (!isWhole && !hasPathPrefix(split.prefix, root)) {
    throw notFound(`repository rooted at ${root} cannot contain module ${modulePath}`);
  }
  const below = isWhole ? "" : split.prefix.slice(root.length).replaceAll(/^\/+|\/+$/g, "");
  const codeDir = subdir === "" ? below : posix.join(below, subdir).replace(/\/$/, "");
  return { codeRoot: root, codeDir, pathPrefix: isWhole ? modulePath : split.prefix, pathMajor: split.major };
}

function notFound(message: string): SluiceError {
  return new SluiceError("not_found", message);
}
