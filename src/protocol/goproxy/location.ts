import { escapePath, escapeVersion } from "../module/index.ts";
import type { ModuleRequest } from "./request.ts";

/** Go's path escaping leaves these as they are, and `!` needs no escape in a URL (SPEC §1.1). */
const urlUnsafe = /[^A-Za-z0-9\-_.~$&+,/:;=@!]/g;

/**
 * The request's path under any GOPROXY base, without a leading slash and not percent-encoded, as it also stands on disk
 * (SPEC §7): `github.com/!azure/go-autorest/@v/v1.0.0.zip`.
 */
export function blobKey(request: ModuleRequest): string {
  const escapedPath: string = escapePath(request.modulePath);
  if (request.kind === "list") return `${escapedPath}/@v/list`;
  if (request.kind === "latest") return `${escapedPath}/@latest`;
  if (request.kind === "query") return `${escapedPath}/@v/${escapeVersion(request.query)}.info`;
  return `${escapedPath}/@v/${escapeVersion(request.version)}.${request.kind}`;
}

/** Where a GOPROXY at `base` (with or without a path and a trailing slash) has the file. The query of `base` stays (SPEC §1.7). */
export function requestUrl(base: URL, request: ModuleRequest): URL {
  const url = new URL(base);
  const path = blobKey(request).replace(urlUnsafe, (character) => encodeURIComponent(character));
  url.pathname = `${base.pathname.replace(/\/$/, "")}/${path}`;
  return url;
}
