import { errorTable, isSluiceError, type ErrorCode, type SluiceError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { givenUp } from "./given-up.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { isPermanent } from "./transport-error.ts";

export interface RetryOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is tried, for the message of a retry that was given up, such as the upstream's name. */
  readonly name: string;
  readonly budget?: RetryBudget | undefined;
  /**
   * The most that it is tried, the first time included. Default 10: with 3 of 10 requests failing, four attempts lose one file in
   * 120, so that a download of some hundred modules never succeeds; ten lose one in 170 000.
   */
  readonly attempts?: number;
  /** Asked when the attempts are used up: whether this failure is followed by another one all the same. Default: never. */
  readonly persists?: ((error: SluiceError) => boolean) | undefined;
  /**
   * The first wait is between 0 and this, the next between 0 and three times that, and so on. Default 25 ms: most failures are gone
   * at once, so the first retries cost little, and the last ones are still far apart. A crowd of them is what the budget prevents.
   */
  readonly baseMs?: number;
  /** The longest wait. Default 5 s. */
  readonly capMs?: number;
  /** A source that asks to wait for longer than this is not asked again; its error goes on to the client. Default 10 s. */
  readonly maxRetryAfterSeconds?: number;
  /** No attempt starts later than this after the first one. Default 60 s. */
  readonly maxElapsedMs?: number;
  /** Which errors are worth another attempt. Default: `isTransient`. */
  readonly isRetryable?: (error: SluiceError) => boolean;
  /** Whether the attempt that just failed went on with an earlier one and got further: it counts as the first, and costs no budget. */
  readonly wentFurther?: (() => boolean) | undefined;
  /** Told of each wait: calls `wake` when it is no use to wait out the rest. Answers how to end that. */
  readonly onWait?: ((wake: () => void) => () => void) | undefined;
  readonly onRetry?: (error: SluiceError, next: { readonly attempt: number; readonly delayMs: number }) => void;
  /** At least 0 and below 1. */
  readonly random?: () => number;
}

/** How many times as long as the wait before it a wait may be. */
const growth = 3;

// Retryable for a client, but not by asking the same upstream again now: they are about us or about the asker.
const notTheirs: ReadonlySet<ErrorCode> = new Set([
  "cancelled",
  "draining",
  "overloaded",
  "offline",
  "internal",
  "storage_failed",
  "unverified",
]);

/** An error of an upstream that may be gone on the next attempt: retryable by the error table, and nothing a person has to mend. */
export function isTransient(error: SluiceError): boolean {
  return errorTable[error.code].retryable && !notTheirs.has(error.code) && !isPermanent(error);
}

/** Runs `operation` until it succeeds, or fails with its last error. `attempt` counts from 1. */
export async function withRetry<T>(operation: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { clock, signal, budget, attempts = 10, maxElapsedMs = 60_000, isRetryable = isTransient } = options;
  const startedAt = clock.now();
  let failures = 0;
  for (let attempt = 1; ; attempt++) {
    if (signal.aborted) throw givenUp(signal, options.name);
    try {
      const result = await operation(attempt);
      budget?.succeeded();
      return result;
    } catch (error) {
      const isFurther = options.wentFurther?.() === true;
      failures = isFurther ? 1 : failures + 1;
      if (!isSluiceError(error) || signal.aborted || !isRetryable(error)) throw error;
      if (failures >= attempts && options.persists?.(error) !== true) throw error;
      const delayMs = delayBefore(failures, error, options);
      if (delayMs === undefined || clock.now() - startedAt + delayMs > maxElapsedMs) throw error;
      if (budget !== undefined && !isFurther && !budget.take()) throw error;
      options.onRetry?.(error, { attempt: attempt + 1, delayMs });
      await pause(delayMs, options);
    }
  }
}

/** Seconds of a `Retry-After` header, in either of its forms (RFC 9110 §10.2.3), or undefined. Never negative. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const at = /^[A-Z][a-z]{2,8},/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1000));
}

/** Undefined: longer than anybody should wait. */
function delayBefore(failures: number, error: SluiceError, options: RetryOptions): number | undefined {
  const { baseMs = 25, capMs = 5000, maxRetryAfterSeconds = 10, random = Math.random } = options;
  // Full jitter: what failed together does not come back together.
  const jitterMs = random() * Math.min(capMs, baseMs * growth ** (failures - 1));
  const asked = error.retryAfterSeconds;
  if (asked === undefined) return jitterMs;
  return asked > maxRetryAfterSeconds ? undefined : asked * 1000 + jitterMs;
}

async function pause(delayMs: number, { clock, signal, name, onWait }: RetryOptions): Promise<void> {
  const over = new AbortController();
  const forget = onWait?.(() => over.abort());
  try {
    await clock.sleep(delayMs, AbortSignal.any([signal, over.signal]));
  } catch (error) {
    if (signal.aborted) throw givenUp(signal, name);
    if (!over.signal.aborted) throw error;
  } finally {
    forget?.();
  }
}
