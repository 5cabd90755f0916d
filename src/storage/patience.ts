import { SluiceError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";

/** The promise's outcome, unless it takes longer than `ms`: then `storage_failed`, and what comes later goes to `onLate`. */
export async function withPatience<T>(
  promise: Promise<T>,
  { clock, ms, onLate }: { readonly clock: Clock; readonly ms: number; readonly onLate?: (late: T) => void },
): Promise<T> {
  const over = new AbortController();
  let isLate = false;
  const outOfPatience = clock.sleep(ms, over.signal).then(() => {
    isLate = true;
    throw new SluiceError("storage_failed", `it did not answer within ${ms} ms`, { retryAfterSeconds: 10 });
  });
  outOfPatience.catch(() => undefined);
  promise.then(
    (value) => void (isLate && onLate?.(value)),
    () => undefined,
  );
  try {
    return await Promise.race([promise, outOfPatience]);
  } finally {
    over.abort();
  }
}
