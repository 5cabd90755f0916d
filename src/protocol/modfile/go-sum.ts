import type { H1, ModulePath, Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { decodeText, fields, quoteShort } from "../go-text.ts";
import { parseModulePath, parseVersion } from "../module/index.ts";
import { compareVersions } from "../semver/index.ts";
// Not from the package's index: the zip package reads go.mod files.
import { parseH1 } from "../zip/hash.ts";

/** A line of go.sum. */
export interface GoSumEntry {
  readonly modulePath: ModulePath;
  readonly version: Version;
  /** The hash is of the version's go.mod, not of its zip. */
  readonly isGoMod: boolean;
  readonly h1: H1;
}

const goModSuffix = "/go.mod";
/** An old go wrote this hash of an empty go.mod; go drops it. */
const emptyGoModHash = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";

/**
 * Reads a go.sum or go.work.sum (SPEC §8.6), in the file's order. Lines with hashes of another kind than `h1:` are passed over.
 *
 * @throws ProtocolError `malformed_gosum`, naming the first line that is wrong.
 */
export function parseGoSum(input: Uint8Array | string): GoSumEntry[] {
  const entries: GoSumEntry[] = [];
  let number = 0;
  for (const line of decodeText(input).split("\n")) {
    number++;
    const words = fields(line);
    if (words.length === 0) continue;
    const [path, version, hash] = words;
    if (path === undefined || version === undefined || hash === undefined || words.length > 3) {
      throw new ProtocolError(
        "malformed_gosum",
        `malformed go.sum:\ngo.sum:${number}: wrong number of fields ${words.length}`,
      );
    }
    if (!hash.startsWith("h1:") || hash === emptyGoModHash) continue;
    entries.push(parseEntry(path, version, hash, number));
  }
  return entries;
}

/** Writes go.sum lines as go does: sorted by path, version, go.mod after zip, and each line once. */
export function formatGoSum(entries: readonly GoSumEntry[]): string {
  let text = "";
  let previous = "";
  for (const { modulePath, version, isGoMod, h1 } of entries.toSorted(compareEntries)) {
    const line = `${modulePath} ${version}${isGoMod ? goModSuffix : ""} ${h1}\n`;
    if (line !== previous) text += line;
    previous = line;
  }
  return text;
}

function parseEntry(path: string, versionText: string, hash: string, line: number): GoSumEntry {
  const isGoMod = versionText.endsWith(goModSuffix);
  const version = isGoMod ? versionText.slice(0, -goModSuffix.length) : versionText;
  try {
    return { modulePath: parseModulePath(path), version: parseVersion(version), isGoMod, h1: parseH1(hash) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const words = [path, versionText, hash].map((word) => quoteShort(word)).join(" ");
    throw new ProtocolError("malformed_gosum", `malformed go.sum:\ngo.sum:${line}: ${words} is no entry`, {
      cause: error,
    });
  }
}

function compareEntries(a: GoSumEntry, b: GoSumEntry): number {
  return (
    compareText(a.modulePath, b.modulePath) ||
    compareVersions(a.version, b.version) ||
    compareText(a.version, b.version) ||
    Number(a.isGoMod) - Number(b.isGoMod) ||
    compareText(a.h1, b.h1)
  );
}

/** Paths, versions and hashes are ASCII, so this is the order of their bytes. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
