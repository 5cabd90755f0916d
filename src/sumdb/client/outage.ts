import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";

/** Knows whether a database can be reached at all. */
export interface Outage {
  /** Fails at once while the database rests. Once in a while somebody is let through to see: `"trial"`. */
  enter(): "open" | "trial";
  /** Resolves when the trial under way is over. Undefined: there is none. */
  readonly trial: Promise<void> | undefined;
  /** Whoever was let through is done; nothing happens when it has told what came of it. */
  endTrial(): void;
  readonly isResting: boolean;
  answered(): void;
  failed(error: unknown): void;
}

const failuresUntilRest = 4;
/** Doubled with each trial that fails: what is required to be confirmed cannot be had meanwhile. */
const firstRestMs = 1000;
const longestRestMs = 15_000;

/**
 * Where the way to a database is blocked, nobody should wait for it with every module that is fetched: after some failures in a
 * row without any answer, good or bad, it rests.
 */
export function createOutage(clock: Pick<Clock, "now">): Outage {
  let failures = 0;
  let restsUntil = 0;
  let restMs = firstRestMs;
  let trial: PromiseWithResolvers<void> | undefined;
  let last: SluiceError | undefined;
  const outage: Outage = {
    get trial() {
      return trial?.promise;
    },
    endTrial() {
      if (trial === undefined) return;
      // Nothing came of it: the next one tries.
      restsUntil = clock.now();
      conclude();
    },
    get isResting() {
      const leftMs = restsUntil - clock.now();
      // More is left only when the clock was set back.
      return failures >= failuresUntilRest && leftMs > 0 && leftMs <= longestRestMs;
    },
    enter() {
      if (last === undefined || failures < failuresUntilRest) return "open";
      if (outage.isResting) throw resting(last);
      trial ??= Promise.withResolvers();
      // For as long as it may take.
      restsUntil = clock.now() + longestRestMs;
      return "trial";
    },
    answered() {
      failures = 0;
      restMs = firstRestMs;
      conclude();
    },
    failed(error) {
      if (!isSluiceError(error)) return;
      if ("status" in error.details) outage.answered();
      else if (isSluiceError(error, "upstream_failed", "upstream_timeout", "upstream_invalid")) {
        failures += 1;
        last = error;
        if (failures < failuresUntilRest) return;
        if (trial !== undefined) restMs = Math.min(2 * restMs, longestRestMs);
        restsUntil = clock.now() + restMs;
        conclude();
      }
    },
  };
  return outage;

  function conclude(): void {
    trial?.resolve();
    trial = undefined;
  }

  function resting(error: SluiceError): SluiceError {
    return new SluiceError(
      error.code,
      `${error.message.replace(/\.$/, "")} (and is not asked again for some seconds)`,
      {
        cause: error,
        details: error.details,
        retryAfterSeconds: Math.ceil((restsUntil - clock.now()) / 1000),
      },
    );
  }
}
