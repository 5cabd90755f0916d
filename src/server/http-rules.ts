import type { ByteRange } from "../core/ports.ts";

/** Whether `If-None-Match` names this strong ETag (RFC 9110 §13.1.2: weak comparison). */
export function matchesEtag(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.trim() === "*" || ifNoneMatch.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}

/**
 * The one range that a `Range` header asks of `size` bytes. `undefined`: answer the whole (no range, several, or another unit;
 * RFC 9110 §14.2 lets a server ignore those). `"unsatisfiable"`: 416.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (match === null) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "") {
    if (last === "") return undefined;
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "unsatisfiable" : { start: size - suffix, end: size };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= size) return "unsatisfiable";
  return { start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/** Whether `Range` counts: without `If-Range`, or when it names this strong ETag (RFC 9110 §13.1.5: strong comparison, dates never). */
export function isRangeWanted(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === etag;
}

const requestIdPattern = /^[\w.-]{1,64}$/;

/** A request id from a front end, if it is safe to log and to answer. */
export function acceptRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && requestIdPattern.test(header) ? header : undefined;
}
