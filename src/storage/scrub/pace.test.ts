import { expect, it } from "vitest";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { Pace } from "./pace.ts";

it("lets so many bytes through in a second, and what was not used is lost", async () => {
  const clock = createManualClock();
  const pace = new Pace(clock, { bytesPerSecond: 1000, signal: new AbortController().signal });
  let read = 0;
  const reading = (async () => {
    for (; read < 50; read++) await pace.spend(100);
  })();
  await clock.advance(1000);
  expect(read).toBeGreaterThanOrEqual(10);
  expect(read).toBeLessThanOrEqual(11);
  await clock.advance(4000);
  await reading;
  await clock.advance(60_000);
  let isThrough = false;
  const later = pace.spend(1000).then(() => (isThrough = true));
  await clock.advance(999);
  expect(isThrough).toBe(false);
  await clock.advance(1);
  await later;
});

it("ends at once when it is over", async () => {
  const clock = createManualClock();
  const over = new AbortController();
  const pace = new Pace(clock, { bytesPerSecond: 1, signal: over.signal });
  const waiting = pace.spend(1000);
  over.abort(new Error("over"));
  await expect(waiting).rejects.toThrow("over");
  expect(clock.sleeping).toBe(0);
});
