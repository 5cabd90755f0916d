import type { Clock } from "../core/ports.ts";

/** How much trying again one upstream is worth, shared by all requests to it. */
export interface RetryBudget {
  /** A request succeeded: the upstream works, so trying again is likely to help. */
  succeeded(): void;
  /** Takes one retry, or answers false when there is none left. */
  take(): boolean;
  /** Whole retries left. */
  readonly left: number;
}

/** One budget within another, such as an upstream's within the process's: a retry costs both. */
export function withinBudget(own: RetryBudget, shared: RetryBudget): RetryBudget {
  return {
    succeeded() {
      own.succeeded();
      shared.succeeded();
    },
    take: () => shared.left >= 1 && own.take() && shared.take(),
    get left() {
      return Math.min(own.left, shared.left);
    },
  };
}

export interface RetryBudgetOptions {
  /** Retries that every success earns. Default 1: with half of all requests failing, there is still one for each failure. */
  readonly perSuccess?: number;
  /** Retries there are without any success, so that a first request or a quiet upstream has some too. Default 5. */
  readonly perSecond?: number;
  /** The most that can be saved up, and what there is at the start. Default 200. */
  readonly capacity?: number;
}

/**
 * A token bucket filled by successes, and slowly by time. While a part of the requests fails, every failure can be repaired; when
 * all fail, the upstream soon sees each request once and a few retries per second, instead of several times its usual load.
 */
export function createRetryBudget(clock: Pick<Clock, "now">, options: RetryBudgetOptions = {}): RetryBudget {
  const { perSuccess = 1, perSecond = 5, capacity = 200 } = options;
  let tokens = capacity;
  let filledAt = clock.now();
  return {
    succeeded() {
      fill(perSuccess);
    },
    take() {
      fill(0);
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    get left() {
      fill(0);
      return Math.floor(tokens);
    },
  };

  function fill(earned: number): void {
    const now = clock.now();
    // A clock that was set back earns nothing.
    const elapsedMs = Math.max(now - filledAt, 0);
    filledAt = now;
    tokens = Math.min(capacity, tokens + earned + (elapsedMs * perSecond) / 1000);
  }
}
