import { systemClock } from "../../src/core/clock.ts";
import type { Clock } from "../../src/core/ports.ts";

/** The system's clock, set ahead by a test: for what goes by the age of files, whose times are the system's. Sleeps take their time. */
export function createMovableClock(): Clock & { move(ms: number): void } {
  let aheadMs = 0;
  return {
    now: () => systemClock.now() + aheadMs,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    move(ms) {
      aheadMs += ms;
    },
  };
}
