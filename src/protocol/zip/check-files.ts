import { isCleanPath, splitPath } from "./clean-path.ts";
import { CollisionChecker } from "./collisions.ts";
import { hasGo124VendorRules } from "./go-version.ts";
import { maxGoModBytes, maxLicenseBytes, maxZipBytes } from "./limits.ts";
import {
  filePathProblem,
  goModCaseProblem,
  goModSizeProblem,
  isGoModName,
  licenseSizeProblem,
} from "./module-names.ts";

/** A file of a module's source tree, as it stands in a repository. */
export interface SourceFile {
  /** Relative to the module's root, slash-separated. */
  readonly path: string;
  /** Default `file`. Only files get into a module zip; the others still collide with names. */
  readonly kind?: "file" | "symlink" | "directory" | "irregular";
  /** Empty for what is no file. */
  readonly content: Uint8Array;
}

export interface FileProblem {
  readonly path: string;
  /** In go's words. */
  readonly reason: string;
}

/** What becomes of the files of a source tree. A path stands in one list, and with its first problem only. */
export interface CheckedFiles {
  /** What goes into the zip, in the order given. */
  readonly valid: readonly SourceFile[];
  /** What belongs to no module zip, or to another one, and is left out. */
  readonly omitted: readonly FileProblem[];
  /** What no module may have. Any of these, or a `sizeProblem`, means that there can be no zip. */
  readonly invalid: readonly FileProblem[];
  readonly sizeProblem: string | undefined;
}

/**
 * Sorts out which files of a source tree go into its module zip (SPEC §5.3, x/mod's CheckFiles): not those of nested
 * modules, nor vendored packages, links and other irregular files.
 */
export function checkFiles(files: readonly SourceFile[]): CheckedFiles {
  const tree = surveyTree(files);
  const collisions = new CollisionChecker();
  const valid: SourceFile[] = [];
  const problems = new Map<string, Verdict>();
  let remainingBytes = maxZipBytes;
  let sizeProblem: string | undefined;
  for (const file of files) {
    const { path, content } = file;
    const verdict = judge(file, tree, collisions);
    if (verdict === undefined) {
      if (content.length <= remainingBytes) remainingBytes -= content.length;
      else sizeProblem ??= `module source tree too large (max size is ${maxZipBytes} bytes)`;
    }
    const problem = verdict ?? judgeSize(file);
    if (problem === undefined) valid.push(file);
    else if (!problems.has(path)) problems.set(path, problem);
  }
  const list = (isOmitted: boolean) =>
    [...problems]
      .filter(([, problem]) => problem.isOmitted === isOmitted)
      .map(([path, { reason }]) => ({ path, reason }));
  return { valid, omitted: list(true), invalid: list(false), sizeProblem };
}

interface Tree {
  /** Folders, with a trailing slash, that have a file `go.mod` in any spelling. The root is the empty text. */
  readonly modules: ReadonlySet<string>;
  readonly go124: boolean;
}

function surveyTree(files: readonly SourceFile[]): Tree {
  const modules = new Set<string>();
  let go124 = false;
  for (const { path, kind = "file", content } of files) {
    const { directory, base } = splitPath(path);
    if (kind !== "file" || !isGoModName(base)) continue;
    modules.add(directory);
    if (path === "go.mod") go124 = hasGo124VendorRules(content);
  }
  return { modules, go124 };
}

interface Verdict {
  readonly isOmitted: boolean;
  readonly reason: string;
}

/** Why the file does not get into the zip. The order of the rules is go's: the first one that applies gives the reason. */
function judge({ path, kind = "file" }: SourceFile, tree: Tree, collisions: CollisionChecker): Verdict | undefined {
  if (!isCleanPath(path)) return { isOmitted: false, reason: "file path is not clean" };
  if (path.startsWith("/")) return { isOmitted: false, reason: "file path is not relative" };
  const omission = omissionOf(path, tree);
  if (omission !== undefined) return { isOmitted: true, reason: omission };
  const problem = nameProblem(path) ?? collisions.add(path, kind === "directory");
  if (problem !== undefined) return { isOmitted: false, reason: problem };
  if (kind === "file") return undefined;
  return { isOmitted: true, reason: kind === "symlink" ? "file is a symbolic link" : "not a regular file" };
}

function judgeSize({ path, content }: SourceFile): Verdict | undefined {
  if (path === "go.mod" && content.length > maxGoModBytes) return { isOmitted: false, reason: goModSizeProblem };
  if (path === "LICENSE" && content.length > maxLicenseBytes) return { isOmitted: false, reason: licenseSizeProblem };
  return undefined;
}

function nameProblem(path: string): string | undefined {
  const problem = filePathProblem(path);
  if (problem !== undefined) return problem;
  return isGoModName(path) && path !== "go.mod" ? goModCaseProblem : undefined;
}

function omissionOf(path: string, tree: Tree): string | undefined {
  if (isVendored(path, tree.go124)) return "file is in vendor directory";
  if (isInNestedModule(path, tree.modules)) return "file is in another module";
  if (path === ".hg_archival.txt") return "file is inserted by 'hg archive' and is always omitted";
  return undefined;
}

function isInNestedModule(path: string, modules: ReadonlySet<string>): boolean {
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
    if (modules.has(path.slice(0, slash + 1))) return true;
  }
  return false;
}

/**
 * Whether the file belongs to a vendored package (SPEC §5.4). Before Go 1.24 everything below a nested `vendor` was taken for
 * one, by an oversight that must stay, or the zips of old modules would change.
 */
function isVendored(path: string, go124: boolean): boolean {
  if (path.startsWith("vendor/")) {
    if (go124 && path === "vendor/modules.txt") return true;
    return path.includes("/", "vendor/".length);
  }
  const at = path.indexOf("/vendor/");
  if (at === -1) return false;
  return !go124 || path.includes("/", at + "/vendor/".length);
}
