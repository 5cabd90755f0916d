import type { EscapedPath, ModulePath } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";
import { elementProblem } from "./check.ts";
import { parseModulePath } from "./path.ts";

/** Writes `A` as `!a` (SPEC §2.4), so that file systems without case cannot mix up two paths. */
export function escapePath(modulePath: ModulePath): EscapedPath {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the place where escaped paths are made
  return escapeUppercase(modulePath) as EscapedPath;
}

/**
 * Escapes a version or query for a URL or file name, the same way. Throws `malformed_version` for what cannot be one path
 * element, has a `!`, or is not ASCII.
 */
export function escapeVersion(version: string): string {
  const isElement = elementProblem(version, { start: 0, end: version.length, kind: "file" }) === undefined;
  if (!isElement || version.includes("!") || !isAscii(version)) {
    throw new ProtocolError("malformed_version", `version ${goQuote(version)} invalid: disallowed version string`);
  }
  return escapeUppercase(version);
}

/** Reads an escaped module path. Throws `malformed_path`; a raw uppercase letter is an error, as two URLs would be one module. */
export function unescapePath(text: string): ModulePath {
  const path = unescapeUppercase(text);
  if (path === undefined) {
    throw new ProtocolError("malformed_path", `invalid escaped module path ${goQuote(text)}`);
  }
  try {
    return parseModulePath(path);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError("malformed_path", `invalid escaped module path ${goQuote(text)}: ${error.message}`);
  }
}

/** Reads an escaped version or query: one path element in ASCII. Throws `malformed_version`. */
export function unescapeVersion(text: string): string {
  const version = unescapeUppercase(text);
  if (version === undefined) {
    throw new ProtocolError("malformed_version", `invalid escaped version ${goQuote(text)}`);
  }
  const problem = elementProblem(version, { start: 0, end: version.length, kind: "file" });
  if (problem !== undefined) {
    throw new ProtocolError("malformed_version", `invalid escaped version ${goQuote(version)}: ${problem}`);
  }
  return version;
}

function escapeUppercase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

function unescapeUppercase(text: string): string | undefined {
  let unescaped = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 128 || (code >= 0x41 && code <= 0x5a)) return undefined;
    if (code !== 0x21) continue;
    const letter = text.charCodeAt(at + 1);
    if (!(letter >= 0x61 && letter <= 0x7a)) return undefined;
    unescaped += text.slice(copied, at) + String.fromCharCode(letter - 0x20);
    at++;
    copied = at + 1;
  }
  return copied === 0 ? text : unescaped + text.slice(copied);
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) >= 128) return false;
  }
  return true;
}
