import { ProtocolError } from "../error.ts";
import { checkFilePath } from "../module/index.ts";
import { goQuote } from "../quote.ts";
import type { CentralEntry } from "./central-directory.ts";
import { isCleanPath, splitPath } from "./clean-path.ts";
import { CollisionChecker } from "./collisions.ts";
import { maxGoModBytes, maxLicenseBytes, maxPaths, maxZipBytes } from "./limits.ts";
import { malformedEntry, zipTooLarge } from "./problem.ts";

export const goModCaseProblem = "go.mod files must have lowercase names";
export const goModSizeProblem = `go.mod file too large (max size is ${maxGoModBytes} bytes)`;
export const licenseSizeProblem = `LICENSE file too large (max size is ${maxLicenseBytes} bytes)`;

/**
 * Checks names and declared sizes by the rules for whoever receives a module zip (SPEC §5.5), in go's words.
 *
 * Entries for folders are accepted although go never writes them: go unpacks such a zip and its h1 has a line for each of
 * them. Go lets the same folder come twice, we do not. `P@V/` itself may be such an entry.
 */
export function checkModuleNames(entries: readonly CentralEntry[], prefix: string): void {
  const collisions = new CollisionChecker();
  const directories = new Set<string>();
  let unpackedBytes = 0;
  for (const entry of entries) {
    const problem = entry.name.startsWith(prefix)
      ? pathProblem(entry, entry.name.slice(prefix.length), collisions)
      : `path does not have prefix ${goQuote(prefix)}`;
    if (problem !== undefined) throw malformedEntry(entry.name, problem);
    if (entry.name.endsWith("/")) {
      if (directories.has(entry.name)) throw malformedEntry(entry.name, "multiple entries for the directory");
      directories.add(entry.name);
    }
    if (collisions.size > maxPaths) {
      throw zipTooLarge(`module zip has too many files and folders (limit is ${maxPaths})`);
    }
    unpackedBytes += entry.size;
    if (unpackedBytes > maxZipBytes) {
      throw zipTooLarge(`total uncompressed size of module contents too large (max size is ${maxZipBytes} bytes)`);
    }
  }
}

/** `go.mod` in any spelling, as Unicode case folding has it: no letter beyond ASCII folds to one of these. */
export function isGoModName(base: string): boolean {
  return base.length === 6 && base.toLowerCase() === "go.mod";
}

/** What makes the text no path of a file in a module, in go's words. */
export function filePathProblem(path: string): string | undefined {
  try {
    checkFilePath(path);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error.message;
    throw error;
  }
}

function pathProblem(entry: CentralEntry, relativeName: string, collisions: CollisionChecker): string | undefined {
  const isDirectory = entry.name.endsWith("/");
  if (isDirectory && entry.size !== 0) return `a directory of ${entry.size} bytes`;
  if (relativeName === "") return undefined;
  const path = isDirectory ? relativeName.slice(0, -1) : relativeName;
  if (!isCleanPath(path)) return "file path is not clean";
  const problem = filePathProblem(path) ?? collisions.add(path, isDirectory);
  if (problem !== undefined || isDirectory) return problem;
  if (isGoModName(splitPath(path).base)) {
    if (path.includes("/")) return "go.mod file not in module root directory";
    if (path !== "go.mod") return goModCaseProblem;
    if (entry.size > maxGoModBytes) return goModSizeProblem;
  }
  return path === "LICENSE" && entry.size > maxLicenseBytes ? licenseSizeProblem : undefined;
}
