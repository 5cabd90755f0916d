import { posix } from "node:path";
import { goQuote } from "../../../protocol/quote.ts";
import { scanModulePath } from "../../../protocol/modfile/index.ts";
import { pathMajorPrefix, splitPathVersion } from "../../../protocol/module/index.ts";
import { major } from "../../../protocol/semver/index.ts";
import { type ModuleLayout, revisionOf } from "./layout.ts";
import { Refusal } from "./refusal.ts";
import type { GitRepo } from "./repo.ts";

/** Where in a commit the module is. */
export interface ModuleDir {
  /** Empty for the root. */
  readonly dir: string;
  /** Raw, or undefined when the module has none. */
  readonly goMod: Uint8Array | undefined;
}

/**
 * Finds the folder of a module in a commit (SPEC §4.6): `codeDir`, or for a major version from 2 on the folder `vN` in it.
 *
 * @throws Refusal that says which go.mod is missing or wrong, without module path and version in front.
 */
export async function findDir(
  repo: GitRepo,
  layout: ModuleLayout,
  { commit, version }: { readonly commit: string; readonly version: string },
): Promise<ModuleDir> {
  const { codeRoot, codeDir, pathMajor, pathPrefix } = layout;
  const at = `at revision ${revisionOf(layout, version)}`;
  const mayHaveFolder = pathMajor.startsWith("/") && codeRoot !== layout.modulePath;
  const file1 = posix.join(codeDir, "go.mod");
  const dir2 = posix.join(codeDir, pathMajor.slice(1));
  const file2 = posix.join(dir2, "go.mod");
  const [goMod1, goMod2] = await repo.blobs(commit, mayHaveFolder ? [file1, file2] : [file1]);
  const path1 = goMod1 === undefined ? "" : scanModulePath(goMod1);
  const found1 =
    goMod1 !== undefined && (isMajor(path1, pathMajor) || (pathMajor === "" && path1.startsWith("gopkg.in/")));

  if (goMod2 !== undefined) {
    const path2 = scanModulePath(goMod2);
    const found2 = isMajor(path2, pathMajor);
    if (found1 && found2) {
      throw new Refusal(
        `${pathPrefix}/${file1} and ...${pathMajor}/go.mod both have ...${pathMajor} module paths ${at}`,
      );
    }
    if (found2) return { dir: dir2, goMod: goMod2 };
    if (path2 === "") throw new Refusal(`${codeRoot}/${file2} is missing module path ${at}`);
    throw new Refusal(`${codeRoot}/${file2} has non-...${pathMajor} module path ${goQuote(path2)} ${at}`);
  }
  if (found1) return { dir: codeDir, goMod: goMod1 };

  if (goMod1 !== undefined) {
    const suffix = mayHaveFolder ? ` (and ...${pathMajor}/go.mod does not exist)` : "";
    if (path1 === "") throw new Refusal(`${file1} is missing module path${suffix} ${at}`);
    const shown = `module path ${goQuote(path1)}${suffix} ${at}`;
    if (pathMajor !== "") throw new Refusal(`${file1} has non-...${pathMajor} ${shown}`);
    if (splitPathVersion(path1) === undefined) throw new Refusal(`${file1} has malformed ${shown}`);
    throw new Refusal(`${file1} has post-${major(version) ?? ""} ${shown}`);
  }
  if (codeDir === "" && !pathMajor.startsWith("/")) return { dir: "", goMod: undefined };
  const missing = mayHaveFolder ? `${pathPrefix}/go.mod and ...${pathMajor}/go.mod` : `${pathPrefix}/go.mod`;
  throw new Refusal(`missing ${missing} ${at}`);
}

/** Whether a go.mod that names `modulePath` may belong to versions of `pathMajor`. Forks keep the path of the original. */
function isMajor(modulePath: string, pathMajor: string): boolean {
  if (modulePath === "") return false;
  const split = splitPathVersion(modulePath);
  if (split === undefined) return false;
  if (pathMajor === "") return ["", "v0", "v1"].includes(pathMajorPrefix(split.major));
  if (split.major === "") return false;
  return split.major.slice(1) === pathMajor.slice(1);
}
