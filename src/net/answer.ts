import { SluiceError } from "../core/errors.ts";
import type { HttpResponse } from "./http.ts";
import { parseRetryAfter } from "./retry.ts";

export interface AnswerRules {
  /** The upstream's printable name. */
  readonly name: string;
  /** Statuses besides 404 and 410 by which it says "does not exist". */
  readonly notFoundStatus: readonly number[];
  readonly hasCredentials: boolean;
  /** Milliseconds since the epoch, for a `Retry-After` that is a date. */
  readonly now: number;
}

/** What an answer means that is not a file, by SPEC §1.6; undefined for a file. Of its body only the reason of a 404 is read. */
export async function refusalOf(response: HttpResponse, rules: AnswerRules): Promise<SluiceError | undefined> {
  const { status, headers } = response;
  const { name } = rules;
  const details = { upstream: name, status };
  if (status === 200) {
    if (mediaType(headers["content-type"]).type !== "text/html") return undefined;
    return new SluiceError("upstream_invalid", `${name}: answered with an HTML page instead of a file`, { details });
  }
  if (status === 404 || status === 410 || rules.notFoundStatus.includes(status)) {
    const reason = await readReason(response);
    const kept = reason === undefined ? details : { ...details, reason };
    return new SluiceError("not_found", `${name}: answered ${status}`, { details: kept });
  }
  const context = { details, retryAfterSeconds: parseRetryAfter(headers["retry-after"], rules.now) };
  if (status === 508) {
    return new SluiceError(
      "loop",
      `${name}: leads back to a Sluice that is asking already; take it out of the chain`,
      context,
    );
  }
  if (status >= 500 || status === 429 || status === 408 || status === 425) {
    return new SluiceError("upstream_failed", `${name}: answered ${status}`, context);
  }
  if (status === 401) {
    const what = rules.hasCredentials ? "does not accept the credentials it got" : "wants credentials and got none";
    return new SluiceError("upstream_refused", `${name}: answered 401: it ${what}`, context);
  }
  if (status >= 400) return new SluiceError("upstream_refused", `${name}: answered ${status}`, context);
  return new SluiceError("upstream_invalid", `${name}: answered ${status}, and only 200 is a file`, context);
}

const maxReasonBytes = 4096;
const maxReasonLength = 200;

/**
 * The first line of `not found: …`, for logs, under the rules by which go itself shows a body (SPEC §1.6). Clients do not get
 * it: an upstream's text is not ours to pass on.
 */
async function readReason({ headers, body }: HttpResponse): Promise<string | undefined> {
  const { type, charset } = mediaType(headers["content-type"]);
  if (type !== "text/plain" || !["", "utf-8", "us-ascii"].includes(charset)) return undefined;
  if (Number(headers["content-length"] ?? 0) > maxReasonBytes) return undefined;
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.length;
      if (size > maxReasonBytes) return undefined;
      chunks.push(chunk);
    }
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
    const [line = ""] = text.split("\n", 1);
    if (!line.startsWith("not found: ") || /[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]/u.test(line.trimEnd())) return undefined;
    return line.trimEnd().slice(0, maxReasonLength);
  } catch {
    // The status has said it; a body that breaks off or is no text changes nothing.
    return undefined;
  }
}

function mediaType(value = ""): { type: string; charset: string } {
  const [type = "", ...parameters] = value.toLowerCase().split(";");
  const charset = parameters
    .map((text) => /^\s*charset\s*=\s*"?([^"\s]*)/.exec(text)?.[1])
    .find((text) => text !== undefined);
  return { type: type.trim(), charset: charset ?? "" };
}
