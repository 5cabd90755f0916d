import { ProtocolError } from "../error.ts";
import { canonicalVersion, checkPathMajor, splitPathVersion } from "../module/index.ts";
import { goQuote } from "../quote.ts";
import { tryUnquote } from "./unquote.ts";

export function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_gomod", message);
}

/** A path as written or in double quotes. Other quotes are reserved, which leaves backquoted strings out as well. */
export function readPath(token: string): string {
  const path = readString(token);
  if (typeof path === "string") return path;
  throw malformed(`invalid quoted string: ${path.problem}`);
}

/** Why a token is no string. */
export interface Unreadable {
  readonly problem: string;
}

/** A version as written, semantic or not: for retractions, which may name anything. */
export function readAnyVersion(verb: string, token: string): string | Unreadable {
  const version = readString(token);
  return typeof version === "string" ? version : { problem: describeVersion(verb, "", token, version.problem) };
}

export function readCanonicalVersion(verb: string, path: string, token: string): string {
  const text = readString(token);
  if (typeof text !== "string") throw malformed(describeVersion(verb, path, token, text.problem));
  const version = canonicalVersion(text);
  if (version === undefined) throw malformed(describeVersion(verb, path, text, "must be of the form v1.2.3"));
  return version;
}

function describeVersion(verb: string, path: string, version: string, problem: string): string {
  return `${about(verb, path)}version ${goQuote(version)} invalid: ${problem}`;
}

/** The major version suffix of a path. */
export function readMajor(path: string): string {
  const split = splitPathVersion(path);
  if (split === undefined) throw malformed("invalid module path");
  return split.major;
}

export function checkMajor(verb: string, path: string, version: string): void {
  try {
    checkPathMajor(version, readMajor(path));
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code === "malformed_gomod") throw error;
    throw malformed(`${about(verb, path)}${error.message}`);
  }
}

/** The arguments of `require` and `exclude`. */
export function checkRequirement(verb: string, args: readonly string[]): { path: string; version: string } {
  const [pathToken, versionToken] = args;
  if (pathToken === undefined || versionToken === undefined || args.length > 2) {
    throw malformed(`usage: ${verb} module/path v1.2.3`);
  }
  const path = readPath(pathToken);
  const version = readCanonicalVersion(verb, path, versionToken);
  checkMajor(verb, path, version);
  return { path, version };
}

function readString(token: string): string | Unreadable {
  if (token.startsWith('"')) return tryUnquote(token) ?? { problem: "invalid syntax" };
  return /["'`]/.test(token) ? { problem: "unquoted string cannot contain quote" } : token;
}

export function about(verb: string, path: string): string {
  return path === "" ? `${verb}: ` : `${verb} ${path}: `;
}
