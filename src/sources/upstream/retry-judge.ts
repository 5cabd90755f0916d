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
}

/**
 * - A file that is complete and wrong may have been damaged on the way, so it is asked for once more, and not again.
 * - A body that was cut is asked for however late it is, as it may have taken long to get so far.
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
  return {
    ended(attempt) {
      last = attempt;
    },
    isRetryable(error) {
      if (isPermanent(error)) return false;
      const isCut = last !== undefined && wasCut(error, last);
      if (isCut && last?.received !== 0) return true;
      if (!isCut && (error.code === "upstream_invalid" || error.code === "integrity")) {
        wrongFiles += 1;
        return wrongFiles === 1;
      }
      return isTransient(error) && clock.now() - startedAt < patienceMs;
    },
  };
}

/** The connection ended before the body did; not a body that stopped coming, nor one that came and was wrong. */
function wasCut(error: SluiceError, { bodyError }: Attempt): boolean {
  if (error !== bodyError || error.code === "upstream_timeout") return false;
  // What the body itself finds wrong, such as its size, has no cause; a gzip stream that is broken has zlib's.
  const reason = errorCode(error.cause);
  return reason !== undefined && !reason.startsWith("Z_");
}
