import { goQuote } from "../quote.ts";
import { about, checkMajor, malformed, readCanonicalVersion, readMajor, readPath } from "./operands.ts";
import type { Replacement } from "./mod-file.ts";

/** The arguments of `replace`: `path [version] => directory` or `path [version] => path version` (SPEC §8.5). */
export function readReplacement(args: readonly string[]): Replacement {
  const arrow = args[1] === "=>" ? 1 : 2;
  const [oldToken, newToken, newVersionToken] = [args[0], args[arrow + 1], args[arrow + 2]];
  if (oldToken === undefined || newToken === undefined || args.length > arrow + 3 || args[arrow] !== "=>") {
    throw malformed(
      "usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory",
    );
  }
  const oldPath = readPath(oldToken);
  checkSuffix(oldPath);
  const oldVersion = arrow === 2 ? readOldVersion(oldPath, args[1] ?? "") : undefined;
  const newPath = readPath(newToken);
  if (newVersionToken === undefined) {
    checkDirectory(newPath);
    return { oldPath, oldVersion, newPath };
  }
  const newVersion = readCanonicalVersion("replace", newPath, newVersionToken);
  if (isDirectoryPath(newPath)) {
    throw malformed(`replacement module directory path ${goQuote(newPath)} cannot have version`);
  }
  return { oldPath, oldVersion, newPath, newVersion };
}

function checkSuffix(path: string): void {
  try {
    readMajor(path);
  } catch {
    throw malformed(`${about("replace", path)}invalid module path`);
  }
}

function readOldVersion(path: string, token: string): string {
  const version = readCanonicalVersion("replace", path, token);
  checkMajor("replace", path, version);
  return version;
}

function checkDirectory(path: string): void {
  if (!isDirectoryPath(path)) {
    if (path.includes("@")) throw malformed("replacement module must match format 'path version', not 'path@version'");
    throw malformed("replacement module without version must be directory path (rooted or starting with . or ..)");
  }
  if (path.includes("\\"))
    throw malformed("replacement directory appears to be Windows path (on a non-windows system)");
}

/** Relative with a leading `.` or `..` element, or rooted, on any system. */
function isDirectoryPath(path: string): boolean {
  return /^(?:\.{1,2}(?:$|[/\\])|[/\\]|[A-Za-z]:)/.test(path);
}
