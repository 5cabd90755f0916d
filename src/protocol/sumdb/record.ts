import type { H1, ModulePath, Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { quoteShort } from "../go-text.ts";
import { parseModulePath, parseVersion } from "../module/index.ts";
import { parseH1 } from "../zip/hash.ts";
import { maxRecordBytes } from "./limits.ts";
import { hasControlCharacter } from "./log-text.ts";

/** One line of a record. */
export interface RecordLine {
  readonly modulePath: ModulePath;
  readonly version: Version;
  /** Whether the hash is of the version's go.mod (`/go.mod` in the line) or of its zip. */
  readonly kind: "mod" | "zip";
  readonly h1: H1;
}

const goModSuffix = "/go.mod";

/** The text of the record of a module version: two lines as in go.sum (SPEC §6.3). */
export function formatRecord(
  modulePath: ModulePath,
  version: Version,
  hashes: { readonly zip: H1; readonly mod: H1 },
): string {
  return `${modulePath} ${version} ${hashes.zip}\n${modulePath} ${version}${goModSuffix} ${hashes.mod}\n`;
}

/**
 * Reads the text of a record, line by line. Lines with hashes of another kind than `h1:` are passed over, as in go.sum.
 *
 * @throws ProtocolError `malformed_record`
 */
export function parseRecord(text: string): RecordLine[] {
  checkRecordText(text);
  const lines: RecordLine[] = [];
  for (const line of text.slice(0, -1).split("\n")) {
    const [path, version, h1, ...rest] = line.split(" ");
    if (path === undefined || version === undefined || h1 === undefined || rest.length > 0) {
      throw malformedRecord(`${quoteShort(line)} is no line of a module path, a version and a hash`);
    }
    if (h1.startsWith("h1:")) lines.push(parseLine(path, version, h1));
  }
  return lines;
}

/**
 * The hash that a record has for a version, read as go does: other lines do not matter. Undefined when it has none.
 *
 * @throws ProtocolError `malformed_record` when the line is malformed, or there are two that differ.
 */
export function findHash(text: string, modulePath: ModulePath, version: Version, kind: "mod" | "zip"): H1 | undefined {
  const start = `${modulePath} ${version}${kind === "mod" ? goModSuffix : ""} `;
  const lines = text.split("\n").filter((line) => line.startsWith(`${start}h1:`));
  const [first] = lines;
  if (first === undefined) return undefined;
  if (lines.some((line) => line !== first))
    throw malformedRecord(`it has two hashes of ${quoteShort(start.trimEnd())}`);
  return parseLine(modulePath, version, first.slice(start.length)).h1;
}

/**
 * Checks what every record's text keeps to, whatever it says: lines without control characters, none of them empty, the last
 * one ended.
 *
 * @throws ProtocolError `malformed_record`
 */
export function checkRecordText(text: string): void {
  if (Buffer.byteLength(text) > maxRecordBytes) throw malformedRecord(`it is longer than ${maxRecordBytes} bytes`);
  const hasEmptyLine = text.startsWith("\n") || text.includes("\n\n");
  if (!text.endsWith("\n") || hasEmptyLine || !text.isWellFormed() || hasControlCharacter(text)) {
    throw malformedRecord("it must be lines of text, none of them empty, the last one ended");
  }
}

export function malformedRecord(problem: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError("malformed_record", `malformed record: ${problem}`, options);
}

function parseLine(path: string, versionText: string, h1: string): RecordLine {
  const isGoMod = versionText.endsWith(goModSuffix);
  const version = isGoMod ? versionText.slice(0, -goModSuffix.length) : versionText;
  try {
    return {
      modulePath: parseModulePath(path),
      version: parseVersion(version),
      kind: isGoMod ? "mod" : "zip",
      h1: parseH1(h1),
    };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw malformedRecord(error.message, { cause: error });
  }
}
