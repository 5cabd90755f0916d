import { SluiceError } from "../core/errors.ts";

/** What work ends with whose signal was aborted: `upstream_timeout` when the caller's time was up (`AbortSignal.timeout`), else `cancelled`. */
export function givenUp(signal: AbortSignal, what: string): SluiceError {
  const cause: unknown = signal.reason;
  if (cause instanceof Error && cause.name === "TimeoutError") {
    return new SluiceError("upstream_timeout", `${what}: not finished within the time for it.`, { cause });
  }
  return new SluiceError("cancelled", `${what}: given up, as nobody waits for it any more.`, { cause });
}
