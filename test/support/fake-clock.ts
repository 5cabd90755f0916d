import type { Clock } from "../../src/core/ports.ts";

/** A clock on which every sleep is over at once, and moves the time by what was slept. */
export interface FakeClock extends Clock {
  /** Milliseconds of every sleep, in order. */
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
      sleeps.push(ms);
      now += ms;
    },
    advance(ms) {
      now += ms;
    },
  };
}
