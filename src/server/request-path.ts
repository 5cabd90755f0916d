import type { IncomingMessage } from "node:http";
import { SluiceError } from "../core/errors.ts";

export interface RequestRules {
  /** `""` or `/go`. */
  readonly basePath: string;
  readonly maxUrlBytes: number;
  /** As it stands in the `Via` header of our own outbound requests. */
  readonly viaName: string;
}

/** The protocol's part of a URL. */
export interface RequestPath {
  /** From its slash on, still percent-encoded, without base path and query. */
  readonly path: string;
  /** The client wants nothing fetched (`/cached-only/`, `Disable-Module-Fetch`). */
  readonly cachedOnly: boolean;
}

const cachedOnlyPrefix = "/cached-only";
/** Where checksum databases are served (SPEC §6.4). */
export const sumdbPrefix = "/sumdb/";

/** Fails for what no handler has to look at: other methods, endless URLs, our own requests that came back, another base path. */
export function readRequestPath(request: IncomingMessage, rules: RequestRules): RequestPath {
  const { method, headers, url = "/" } = request;
  if (method !== "GET" && method !== "HEAD") {
    throw new SluiceError(
      "method_not_allowed",
      `${method} is not a method of the module proxy protocol: use GET or HEAD`,
    );
  }
  if (url.length > rules.maxUrlBytes) {
    throw new SluiceError("uri_too_long", `the URL is longer than ${rules.maxUrlBytes} bytes`);
  }
  if (headers.via?.includes(rules.viaName) === true) {
    throw new SluiceError(
      "loop",
      "this request was sent by this Sluice itself: one of its upstreams leads back to it. Take that upstream out of the chain",
    );
  }
  const path = withoutBasePath(url, rules.basePath);
  if (path.startsWith(`${cachedOnlyPrefix}/`)) return { path: path.slice(cachedOnlyPrefix.length), cachedOnly: true };
  const header = headers["disable-module-fetch"];
  return { path, cachedOnly: typeof header === "string" && header.toLowerCase() === "true" };
}

/** Whether a URL is one of a checksum database. No module path begins so: its first element has a dot. */
export function isSumdbUrl(url: string, basePath: string): boolean {
  return (
    url.startsWith(basePath + sumdbPrefix) ||
    url.startsWith(basePath + cachedOnlyPrefix + sumdbPrefix) ||
    url.startsWith(sumdbPrefix)
  );
}

function withoutBasePath(url: string, basePath: string): string {
  const query = url.indexOf("?");
  const path = query < 0 ? url : url.slice(0, query);
  if (basePath === "") return path;
  if (path.startsWith(`${basePath}/`)) return path.slice(basePath.length);
  throw new SluiceError(
    "malformed_request",
    `not found: this Sluice serves modules under ${basePath}/: set GOPROXY to that address`,
  );
}
