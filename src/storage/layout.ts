import type { ModulePath, Version } from "../protocol/brand.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type FileRequest, type ModuleRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { escapePath } from "../protocol/module/index.ts";
import type { BlobKey } from "../core/ports.ts";

// Keys of the layout of SPEC §7, which a module cache's `cache/download` and a `file://` GOPROXY share.

/** Holds everything of a module but `@latest`. */
export function versionsFolder(modulePath: ModulePath): string {
  return `${escapePath(modulePath)}/@v`;
}

/** Beside each zip go keeps its h1. */
export function zipHashKey(zipKey: BlobKey): BlobKey {
  return `${zipKey}hash`;
}

/** What the key is an answer to; undefined for the other files of a module cache, such as `.ziphash`, `.lock` and sumdb tiles. */
export function requestOf(key: BlobKey): ModuleRequest | undefined {
  try {
    const request = parseRequest(`/${key}`);
    // A key is never percent-encoded, a request may be.
    return blobKey(request) === key ? request : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

export function isFileRequest(request: ModuleRequest): request is FileRequest {
  return request.kind === "info" || request.kind === "mod" || request.kind === "zip";
}

/** The version whose go.mod the key is. */
export function goModVersion(key: BlobKey): Version | undefined {
  const request = requestOf(key);
  return request?.kind === "mod" ? request.version : undefined;
}
