import { SluiceError } from "../core/errors.ts";

/** What an aborted fetch ends with: `upstream_timeout` when its time was up, else `cancelled`. */
export function interrupted(source: string, signal: AbortSignal): SluiceError {
  const cause: unknown = signal.reason;
  if (cause instanceof Error && cause.name === "TimeoutError") {
    return new SluiceError("upstream_timeout", `${source} did not deliver within the time for one fetch`, {
      cause,
      details: { upstream: source },
    });
  }
  return new SluiceError("cancelled", `the fetch from ${source} was given up, as nobody waits for it any more`, {
    cause,
  });
}
