import { expect, it } from "vitest";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { Activity } from "./activity.ts";

it("tells for how long nobody has waited: since the last one left, not at all while somebody does", async () => {
  const clock = createManualClock();
  const activity = new Activity(clock);
  expect([activity.isBusy, activity.quietMs]).toEqual([false, Number.POSITIVE_INFINITY]);
  const leaves = [activity.enter(), activity.enter()];
  await clock.advance(1000);
  leaves[0]?.();
  await clock.advance(1000);
  expect([activity.isBusy, activity.quietMs]).toEqual([true, 0]);
  leaves[1]?.();
  await clock.advance(200);
  expect([activity.isBusy, activity.quietMs]).toEqual([false, 200]);
});
