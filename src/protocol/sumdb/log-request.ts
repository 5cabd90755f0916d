import type { ModulePath, Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { quoteShort } from "../go-text.ts";
import {
  checkPathMajor,
  escapePath,
  escapeVersion,
  parseVersion,
  splitPathVersion,
  unescapePath,
  unescapeVersion,
} from "../module/index.ts";
import { parseTilePath } from "./tile-path.ts";
import type { Tile } from "./tile.ts";

/** What one URL below the address of a log asks for (SPEC §6.4). */
export type LogRequest =
  /** Whether a proxy speaks for the log. */
  | { readonly kind: "supported" }
  /** The signed tree. */
  | { readonly kind: "latest" }
  | { readonly kind: "lookup"; readonly modulePath: ModulePath; readonly version: Version }
  | { readonly kind: "tile"; readonly tile: Tile };

const lookupShape = /^lookup\/([^@]+)@(v[0-9]+\.[0-9]+\.[0-9]+(?:-[^@]*)?(?:\+incompatible)?)$/;

/**
 * Reads what stands behind `/sumdb/<name>/` in a request's URL, or behind the address of a log: percent-encoded as it came over
 * the wire. `%21` and `!` are the same.
 *
 * @throws ProtocolError `malformed_request`
 */
export function parseLogRequest(rest: string): LogRequest {
  const path = rest.includes("%") ? percentDecode(rest) : rest;
  if (path === "supported" || path === "latest") return { kind: path };
  return refuseMalformed(() => {
    if (path.startsWith("tile/")) return { kind: "tile", tile: parseTilePath(path) };
    return parseLookupPath(path);
  });
}

/** Where a log answers for a module version, below its address: what `parseLogRequest` reads. */
export function lookupPath(modulePath: ModulePath, version: Version): string {
  return `lookup/${escapePath(modulePath)}@${escapeVersion(version)}`;
}

function parseLookupPath(path: string): LogRequest {
  const [, escapedPath, escapedVersion] = lookupShape.exec(path) ?? [];
  if (escapedPath === undefined || escapedVersion === undefined) {
    throw malformed(
      path.startsWith("lookup/")
        ? `invalid module@version syntax ${quoteShort(path.slice("lookup/".length))}`
        : `a checksum database has no ${quoteShort(path)}: it has latest, lookup/ and tile/`,
    );
  }
  const modulePath = unescapePath(escapedPath);
  const version = parseVersion(unescapeVersion(escapedVersion));
  checkPathMajor(version, splitPathVersion(modulePath)?.major ?? "");
  return { kind: "lookup", modulePath, version };
}

function percentDecode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw malformed(`${quoteShort(path)} has a malformed percent-encoding`);
  }
}

/** What is wrong with a path, a version or a tile is, on the wire, wrong with the request. */
function refuseMalformed(parse: () => LogRequest): LogRequest {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code === "malformed_request") throw error;
    throw new ProtocolError("malformed_request", error.message, { cause: error });
  }
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_request", message);
}
