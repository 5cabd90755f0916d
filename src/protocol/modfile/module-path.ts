import { decodeText, trimSpace } from "../go-text.ts";
import { tryUnquote } from "./unquote.ts";

/**
 * The module path a go.mod names, found without parsing the file and whatever else is wrong with it (SPEC §8.1). Not checked:
 * `module (` gives `(`. The empty string when there is none.
 */
export function scanModulePath(goMod: Uint8Array | string): string {
  const text = decodeText(goMod);
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const path = readModuleLine(text.slice(start, end));
    if (path !== undefined) return path;
    start = end + 1;
  }
  return "";
}

/** Undefined when the line is none, or has no path. */
function readModuleLine(line: string): string | undefined {
  const comment = line.indexOf("//");
  const statement = trimSpace(comment < 0 ? line : line.slice(0, comment));
  if (!statement.startsWith("module")) return undefined;
  const rest = statement.slice("module".length);
  const path = trimSpace(rest);
  if (path === "" || path.length === rest.length) return undefined;
  return path.startsWith('"') || path.startsWith("`") ? (tryUnquote(path) ?? "") : path;
}
