import type { Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { decodeText, quoteShort } from "../go-text.ts";
import { canonicalVersion, matchesPathMajor, splitPathVersion } from "../module/index.ts";
import type { FileRequest, QueryRequest, RecordRequest } from "./request.ts";
import { tryNormalizeTime } from "./time.ts";

/** An `.info` is some hundred bytes. More than this many is refused. */
export const maxInfoBytes = 1 << 20;

/** Where a version came from (SPEC §1.3). Every field is optional and never empty. */
export interface Origin {
  /** `git` and so on. */
  readonly vcs?: string | undefined;
  readonly url?: string | undefined;
  readonly subdir?: string | undefined;
  /** Full commit hash. */
  readonly hash?: string | undefined;
  readonly tagPrefix?: string | undefined;
  readonly tagSum?: string | undefined;
  /** `refs/tags/v1.0.0`, `refs/heads/main`, `HEAD`. */
  readonly ref?: string | undefined;
  readonly repoSum?: string | undefined;
}

/** The content of `.info` and `@latest` (SPEC §1.2). */
export interface ModuleInfo {
  readonly version: Version;
  /** RFC 3339 in UTC with `Z`, as go writes it. */
  readonly time?: string | undefined;
  readonly origin?: Origin | undefined;
}

/** Requests whose answer is such a JSON object. */
export type InfoRequest =
  | Extract<FileRequest, { readonly kind: "info" }>
  | Extract<RecordRequest, { readonly kind: "latest" }>
  | QueryRequest;

/** In the order go writes them. */
const originFields = [
  ["VCS", "vcs"],
  ["URL", "url"],
  ["Subdir", "subdir"],
  ["Hash", "hash"],
  ["TagPrefix", "tagPrefix"],
  ["TagSum", "tagSum"],
  ["Ref", "ref"],
  ["RepoSum", "repoSum"],
] as const;

/**
 * Reads what an upstream answered for `.info` or `@latest`, by the rules of Go's JSON decoder: keys in any case, unknown ones
 * ignored, the last of several wins, a malformed `Time` fails. The version must be canonical and fit the module path, and be
 * the one asked for if one was. What clients get should be written anew by `formatInfo`.
 *
 * @throws ProtocolError `malformed_info`. The message never has more of the body than 80 escaped characters of one value.
 */
export function parseInfo(bytes: Uint8Array, request: InfoRequest): ModuleInfo {
  if (bytes.byteLength > maxInfoBytes)
    throw malformed(`version info has ${bytes.byteLength} bytes, more than ${maxInfoBytes}`);
  const info = collect(parseJson(decodeText(bytes)), "version info");
  const version = checkVersion(readString(info, "version", "Version") ?? "", request);
  return { version, time: readTime(info), origin: readOrigin(info) };
}

/**
 * Writes the form of go's own cache: no spaces, no trailing newline, `<`, `>`, `&` escaped (SPEC §1.2). A time that is not
 * known is left out.
 */
export function formatInfo(info: ModuleInfo): string {
  const { version, time, origin } = info;
  const value = { Version: version, Time: time, Origin: origin && formatOrigin(origin) };
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function checkVersion(text: string, request: InfoRequest): Version {
  if (text === "") throw malformed("version info has no Version");
  if (request.kind === "info" && text !== request.version) {
    throw malformed(
      `proxy returned info for version ${quoteShort(text)} instead of requested version ${request.version}`,
    );
  }
  const version = canonicalVersion(text);
  if (version === undefined || version !== text) {
    throw malformed(`version info names version ${quoteShort(text)}, which is not canonical`);
  }
  if (!matchesPathMajor(version, splitPathVersion(request.modulePath)?.major ?? "")) {
    throw malformed(`version info names version ${quoteShort(text)}, which is not of the module path's major version`);
  }
  return version;
}

function readTime(info: ReadonlyMap<string, unknown>): string | undefined {
  const text = readString(info, "time", "Time");
  if (text === undefined) return undefined;
  const time = tryNormalizeTime(text);
  if (time === undefined) throw malformed(`version info has the malformed Time ${quoteShort(text)}`);
  return time;
}

function readOrigin(info: ReadonlyMap<string, unknown>): Origin | undefined {
  const value = info.get("origin");
  if (value === undefined || value === null) return undefined;
  const fields = collect(value, "Origin of version info");
  const origin: { -readonly [name in keyof Origin]: string } = {};
  for (const [key, name] of originFields) {
    const text = readString(fields, key.toLowerCase(), `Origin.${key}`);
    if (text !== undefined && text !== "") origin[name] = text;
  }
  return origin;
}

function formatOrigin(origin: Origin): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [key, name] of originFields) {
    const text = origin[name];
    if (text !== undefined && text !== "") fields[key] = text.toWellFormed();
  }
  return fields;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's message quotes the body, which may be anybody's page.
    throw malformed(/^\s*</.test(text) ? "version info is an HTML page, not JSON" : "version info is not JSON");
  }
}

/** The object's fields under folded keys. */
function collect(value: unknown, what: string): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(`${what} is not a JSON object`);
  const fields = new Map<string, unknown>();
  for (const [key, field] of Object.entries(value)) {
    // Go's decoder folds ſ to s as well. Null sets nothing.
    const folded = key.replaceAll("ſ", "s").toLowerCase();
    if (field !== null || !fields.has(folded)) fields.set(folded, field);
  }
  return fields;
}

function readString(fields: ReadonlyMap<string, unknown>, key: string, name: string): string | undefined {
  const value = fields.get(key);
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw malformed(`${name} of version info is not a string`);
  return value;
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_info", message);
}
