import type { SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { isTransient } from "../../net/retry.ts";
import { errorCode, isPermanent } from "../../net/transport-error.ts";
import type { Attempt } from "./http.ts";

/** Says which failures of one fetch are worth another attempt at the same upstream. */
export interface RetryJudge {
  /** Tells it how the attempt went that `isRetryable` will be asked about. */
  readonly ended: (attempt: Attempt) => void;
  readonly isRetryable: (error: SluiceError) => boolean;
  /** Whether it says nothing of the file, but that the upstream, or the way there, does not work. */
  readonly isOutage: (error: SluiceError) => boolean;
  /** Whether that attempt went on where another one broke off, and brought a good part of the file. */
  readonly wentFurther: () => boolean;
  /** Whether the next attempt may ask for the rest of a file: not of an upstream that fails whenever it is asked for that. */
  readonly mayAskForRest: () => boolean;
}

/** What an attempt has to bring that no attempt before it brought, for it to have been worth it. */
const goodPartBytes = 64 * 1024;
/** Some servers answer 500 to every `Range`; others fail now and then. */
const maxRefusedRests = 3;

/**
 * - A file that is complete and wrong may have been damaged on the way, so it is asked for once more, and not again.
 *   Where a file that was put together from several attempts is wrong, it is asked for as a whole first.
 * - A body that was cut is asked for however late it is, as it may have taken long to get so far; so is one that stopped
 *   coming, if a good part of it came.
 * - Any other failure is tried again within `patienceMs` from the first attempt: who hangs for a minute hangs on.
 */
export function createRetryJudge({
  clock,
  patienceMs,
}: {
  readonly clock: Clock;
  readonly patienceMs: number;
}): RetryJudge {
  const startedAt = clock.now();
  let last: Attempt | undefined;
  let wrongFiles = 0;
  let partsWrong = 0;
  let refusedRests = 0;
  let furthest = 0;
  let isFurther = false;
  return {
    ended(attempt) {
      last = attempt;
      if (attempt.isRestRefused) refusedRests += 1;
      const reached = attempt.start + attempt.received;
      isFurther = reached - Math.max(furthest, attempt.start) >= goodPartBytes;
      furthest = Math.max(furthest, reached);
    },
    isRetryable(error) {
      if (isPermanent(error)) return false;
      const isCut = last !== undefined && wasCut(error, last);
      if (isCut && last?.received !== 0) return true;
      if (!isCut && (error.code === "upstream_invalid" || error.code === "integrity")) {
        if (last !== undefined && last.start > 0) partsWrong += 1;
        else wrongFiles += 1;
        return partsWrong <= 1 && wrongFiles <= 1;
      }
      if (isFurther && error === last?.bodyError) return isTransient(error);
      return isTransient(error) && clock.now() - startedAt < patienceMs;
    },
    isOutage(error) {
      if (last === undefined) return false;
      if (wasCut(error, last) || last.status === 503) return true;
      return last.status === undefined && error.code === "upstream_failed";
    },
    mayAskForRest: () => refusedRests < maxRefusedRests,
    wentFurther: () => isFurther && last !== undefined && last.start > 0,
  };
}

/** The connection ended before the body did; not a body that stopped coming, nor one that came and was wrong. */
function wasCut(error: SluiceError, { bodyError }: Attempt): boolean {
  if (error !== bodyError || error.code === "upstream_timeout") return false;
  // What the body itself finds wrong, such as its size, has no cause; a gzip stream that is broken has zlib's.
  const reason = errorCode(error.cause);
  return reason !== undefined && !reason.startsWith("Z_");
}
