import { isSluiceError } from "../../core/errors.ts";
import { Outrun } from "../outrun.ts";
import type { SentRequest } from "../upstream-health/health.ts";
import type { Attempt } from "./http.ts";

/** Statuses besides those from 500 on by which a server says that it cannot answer now. 508 is a loop, which works well. */
const unable: ReadonlySet<number> = new Set([408, 425, 429]);
const loop = 508;

/** Whether a server that answers so works, whatever it says. A 200 is worth what comes behind it. */
export function isWorking(status: number): boolean {
  return status === loop || (status < 500 && status !== 200 && status !== 206 && !unable.has(status));
}

/** Tells what an attempt says of its upstream. `error`: what it ended with. */
export function tellHealth(
  sent: SentRequest,
  { error, seen, signal }: { readonly error: unknown; readonly seen: Attempt; readonly signal: AbortSignal },
): void {
  if (error === undefined) sent.answered();
  const isTheirs = isSluiceError(error, "upstream_failed", "upstream_timeout", "upstream_invalid") && !signal.aborted;
  // A page in the place of a file says nothing of whether the upstream is there, a body that never began does.
  if (isTheirs && (error.code !== "upstream_invalid" || seen.status === undefined || error === seen.bodyError)) {
    sent.failed(error);
  }
  const isGood = error === undefined || isSluiceError(error, "not_found") ? true : undefined;
  // Somebody else answered in its place, which says no less of it than an answer that is given up.
  const isTooLate = isGood === undefined && signal.reason instanceof Outrun && signal.reason.wasLate;
  sent.end(isTheirs || isTooLate ? false : isGood);
}
