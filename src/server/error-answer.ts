import { errorTable, isSluiceError, SluiceError } from "../core/errors.ts";

/** An error as HTTP. Made only here and in the parser-error answers of `http-server.ts`. */
export interface ErrorAnswer {
  readonly error: SluiceError;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What `go` prints of an error body whole (SPEC §1.6): 8 lines, 648 bytes, graphic characters and spaces. */
const maxLines = 8;
const maxBytes = 648;
const defaultRetryAfterSeconds = 5;
const waitStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Maps any error to the outcome table (DESIGN §3.2). */
export function answerError(thrown: unknown, requestId: string): ErrorAnswer {
  const error = isSluiceError(thrown) ? thrown : new SluiceError("internal", "internal error", { cause: thrown });
  const rule = errorTable[error.code];
  const message = rule.public
    ? error.message
    : `internal error of this Sluice; its log says more under request ${requestId}`;
  const headers: Record<string, string> = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  if (rule.retryable && waitStatuses.has(rule.status)) {
    headers["retry-after"] = String(Math.ceil(error.retryAfterSeconds ?? defaultRetryAfterSeconds));
  }
  return { error, status: rule.status, headers, body: fitForGo(message, `(${error.code}, request ${requestId})`) };
}

/** Cuts so that go's own output shows everything, `last` included. */
function fitForGo(message: string, last: string): string {
  const lines = message
    .split("\n")
    .map((line) => line.replaceAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]/gu, "?").trimEnd())
    .filter((line) => line !== "")
    .slice(0, maxLines - 1);
  let text = lines.join("\n");
  const room = maxBytes - Buffer.byteLength(last) - 2;
  while (Buffer.byteLength(text) > room) text = `${text.slice(0, Math.max(0, text.length - 8))}…`;
  return `${text}\n${last}\n`;
}
