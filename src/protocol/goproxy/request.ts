import type { ModulePath, Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { quoteShort } from "../go-text.ts";
import {
  canonicalVersion,
  checkPathMajor,
  matchesPathMajor,
  splitPathVersion,
  unescapePath,
  unescapeVersion,
} from "../module/index.ts";
import { isValid } from "../semver/index.ts";

/** `/@v/list` and `/@latest`: their answers change as the module gets new versions. */
export type RecordRequest = ModuleOnly<"list"> | ModuleOnly<"latest">;

interface ModuleOnly<Kind> {
  readonly kind: Kind;
  readonly modulePath: ModulePath;
}

/** An immutable file of one version. `version` is canonical and has the major version of the module path. */
export type FileRequest = OneVersion<"info"> | OneVersion<"mod"> | OneVersion<"zip">;

interface OneVersion<Kind> {
  readonly kind: Kind;
  readonly modulePath: ModulePath;
  readonly version: Version;
}

/**
 * `.info` of anything else: a branch, a tag, a commit hash, `v1.2.3+meta`, or `v2.0.0` of a path without `/v2`. The answer
 * names a canonical version and changes over time.
 */
export interface QueryRequest {
  readonly kind: "query";
  readonly modulePath: ModulePath;
  readonly query: string;
}

/** What one URL of the GOPROXY protocol asks for (SPEC §1.1). */
export type ModuleRequest = RecordRequest | FileRequest | QueryRequest;

/**
 * Reads the path of a request URL, as it came over the wire: with its leading slash, percent-encoded, without base path and
 * query. Percent-encoding is removed once and `+` stays (SPEC §1.1); `%21` and `!` are the same.
 *
 * @throws ProtocolError `malformed_request` for everything that no `go` command would ask, with go's words where it has some.
 */
export function parseRequest(path: string): ModuleRequest {
  const decoded = path.includes("%") ? percentDecode(path) : path;
  const cut = decoded.indexOf("/@");
  if (cut < 0) throw malformed(`${quoteShort(path)} is no module URL: it has neither /@v/ nor /@latest`);
  if (cut === 0 || !decoded.startsWith("/")) throw malformed(`${quoteShort(path)} has no module path`);
  const rest = decoded.slice(cut + 2);
  const modulePath = refuseMalformed(unescapePath, decoded.slice(1, cut));
  if (rest === "v/list") return { kind: "list", modulePath };
  if (rest === "latest") return { kind: "latest", modulePath };
  if (!rest.startsWith("v/")) throw malformed(`${quoteShort(`@${rest}`)} is none of @latest and @v/`);
  return parseFile(modulePath, rest.slice(2));
}

function parseFile(modulePath: ModulePath, file: string): FileRequest | QueryRequest {
  const dot = file.lastIndexOf(".");
  const extension = file.slice(dot + 1);
  if (dot < 0 || (extension !== "info" && extension !== "mod" && extension !== "zip")) {
    throw malformed(`@v/ has no file ${quoteShort(file)}: it has list, and .info, .mod and .zip of every version`);
  }
  const escaped = file.slice(0, dot);
  if (escaped.includes("/")) {
    throw malformed(
      `disallowed version string ${quoteShort(escaped)}: a name with a slash cannot be asked of a proxy; use the commit hash`,
    );
  }
  const text = refuseMalformed(unescapeVersion, escaped);
  const version = canonicalVersion(text);
  if (version === text) {
    const major = splitPathVersion(modulePath)?.major ?? "";
    if (matchesPathMajor(version, major)) return { kind: extension, modulePath, version };
    if (extension !== "info") refuseMalformed((invalid) => checkPathMajor(invalid, major), version);
  }
  if (extension !== "info") throw malformed(`version ${text.slice(0, 80)} is not canonical`);
  checkQuery(text);
  return { kind: "query", modulePath, query: text };
}

/** The client resolves these itself, from `list` and `@latest`, and never asks for their `.info` (SPEC §1.5). */
function checkQuery(query: string): void {
  if (query === "latest") throw malformed(`@v/latest.info is not a URL of the protocol: ask for @latest`);
  if (query === "upgrade" || query === "patch" || isVersionPrefix(query)) {
    throw malformed(`the query ${quoteShort(query)} is not answered by a proxy: ask for @v/list and choose`);
  }
}

function isVersionPrefix(query: string): boolean {
  return isValid(query) && !/[-+]|\..*\./.test(query);
}

function percentDecode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw malformed(`${quoteShort(path)} has a malformed percent-encoding`);
  }
}

/** What is wrong with a path or a version is, on the wire, wrong with the request. */
function refuseMalformed<Input, Output>(parse: (input: Input) => Output, input: Input): Output {
  try {
    return parse(input);
  } catch (error) {
    if (error instanceof ProtocolError) throw new ProtocolError("malformed_request", error.message, { cause: error });
    throw error;
  }
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_request", message);
}
