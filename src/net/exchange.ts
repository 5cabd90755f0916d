import { SluiceError } from "../core/errors.ts";
import { givenUp } from "./given-up.ts";

/** The time in which one request lives, with its redirects and its body. */
export interface Exchange {
  /** Aborted when the caller gave up or the time is over. */
  readonly signal: AbortSignal;
  /** Why it was stopped, or undefined while it was not. */
  stopped(): SluiceError | undefined;
  /** Settles as the promise does, or at once with the reason when the exchange is stopped. */
  race<T>(promise: Promise<T>): Promise<T>;
  /** Frees the timer and the caller's signal. Safe to call twice. */
  end(): void;
}

/** Lives until one of `callers` is aborted or the time is over. */
export function startExchange(
  callers: readonly AbortSignal[],
  { host, totalMs }: { host: string; totalMs: number },
): Exchange {
  const stop = new AbortController();
  let reason: SluiceError | undefined;
  const halt = (error: SluiceError): void => {
    reason ??= error;
    end();
    stop.abort(reason);
  };
  const onAbort = ({ target }: { readonly target: unknown }): void => {
    const caller = callers.find((signal) => signal === target);
    if (caller !== undefined) halt(givenUp(caller, host));
  };
  const timer = setTimeout(
    () =>
      halt(
        new SluiceError("upstream_timeout", `${host}: did not finish within ${totalMs / 1000} s.`, {
          details: { host },
        }),
      ),
    totalMs,
  );
  for (const caller of callers) {
    if (caller.aborted) halt(givenUp(caller, host));
    else caller.addEventListener("abort", onAbort, { once: true });
  }

  return {
    signal: stop.signal,
    stopped: () => reason,
    race(promise) {
      return new Promise((resolve, reject) => {
        const onStop = (): void => reject(reason);
        if (reason !== undefined) onStop();
        stop.signal.addEventListener("abort", onStop, { once: true });
        promise.then(resolve, reject).finally(() => stop.signal.removeEventListener("abort", onStop));
      });
    },
    end,
  };

  function end(): void {
    clearTimeout(timer);
    for (const caller of callers) caller.removeEventListener("abort", onAbort);
  }
}
