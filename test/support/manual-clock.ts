import type { Clock } from "../../src/core/ports.ts";

interface Sleeper {
  readonly wakesAt: number;
  readonly wake: () => void;
}

/** Time that passes only when a test says so. */
export interface ManualClock extends Clock {
  /** Wakes everybody whose time comes within `ms`, in order, and lets what they do settle in between. */
  advance(ms: number): Promise<void>;
  /** How many sleep now. */
  readonly sleeping: number;
}

export function createManualClock(startsAt = 1_000_000): ManualClock {
  let now = startsAt;
  const sleepers = new Set<Sleeper>();
  return {
    now: () => now,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const sleeper: Sleeper = {
          wakesAt: now + ms,
          wake: () => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
          },
        };
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        sleepers.add(sleeper);
      });
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const next = [...sleepers].filter(({ wakesAt }) => wakesAt <= end).sort((a, b) => a.wakesAt - b.wakesAt)[0];
        if (next === undefined) break;
        now = Math.max(now, next.wakesAt);
        sleepers.delete(next);
        next.wake();
        await settle();
      }
      now = end;
      await settle();
    },
    get sleeping() {
      return sleepers.size;
    },
  };
}

/** A turn of the event loop comes behind all promises that are ready. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
