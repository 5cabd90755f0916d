import type { Clock } from "../../src/core/ports.ts";

/**
 * A clock on which every sleep is over at once, and moves the time by what was slept. Sleeps of a minute or more are the
 * deadlines of somebody who hopes not to wake up: they end only when aborted.
 */
export interface FakeClock extends Clock {
  /** Milliseconds of every sleep that was over, in order. */
  readonly sleeps: number[];
  advance(ms: number): void;
}

export function createFakeClock(startAt = Date.UTC(2026, 0, 2, 3, 4, 5)): FakeClock {
  let now = startAt;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      if (ms >= 60_000) await untilAborted(signal);
      sleeps.push(ms);
      now += ms;
    },
    advance(ms) {
      now += ms;
    },
  };
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
