import type { PartialFile } from "../../core/ports.ts";
import type { HttpResponse } from "../../net/http.ts";

/** So much of what is there is asked for again, for the asker to compare: a rest of other bytes is noticed before it is used. */
const overlapBytes = 16 * 1024;

/** A request for the end of a file. */
export interface RestRequest {
  /** Of the first byte that is asked for. */
  readonly start: number;
  /** Bytes of the whole file. */
  readonly total: number;
  /** Of the file whose rest is asked for, where the same upstream gave a strong one. */
  readonly etag: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** How to ask the upstream of this printable name for the rest; undefined where little would be spared. */
export function requestRest(partial: PartialFile | undefined, name: string): RestRequest | undefined {
  if (partial === undefined || partial.size <= overlapBytes) return undefined;
  const { total } = partial;
  const start = partial.size - overlapBytes;
  const range = `bytes=${start}-`;
  const etag = partial.source === name ? partial.etag : undefined;
  // RFC 9110 §13.1.5: with another file there, its whole content is the answer.
  const headers = etag === undefined ? { range } : { range, "if-range": etag };
  return { start, total, etag, headers };
}

/** Whether this is the rest that was asked for, up to the end of a file of the same size, and of no other file. */
export function isRest({ status, headers, size }: HttpResponse, { start, total, etag }: RestRequest): boolean {
  if (status !== 206 || (headers["content-encoding"] ?? "identity").toLowerCase() !== "identity") return false;
  if (headers["content-range"]?.trim().toLowerCase() !== `bytes ${start}-${total - 1}/${total}`) return false;
  if (etag !== undefined && headers["etag"] !== undefined && headers["etag"] !== etag) return false;
  return size === undefined || size === total - start;
}

/** Whether all of the file may be had where a part of it was answered so: another part, none as the file is another one by now, or a refusal. */
export function isOnlyAboutRest(status: number): boolean {
  return status === 206 || (status >= 400 && status < 500 && ![404, 410, 429].includes(status));
}

/** The ETag, unless it is a weak one, which other bytes may have too. */
export function strongEtag({ headers }: HttpResponse): string | undefined {
  const etag = headers["etag"];
  return etag !== undefined && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : undefined;
}
