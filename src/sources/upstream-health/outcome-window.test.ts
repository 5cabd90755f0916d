import { expect, test } from "vitest";
import { createOutcomeWindow } from "./outcome-window.ts";

test("only so many count, and none that is older", () => {
  let now = 0;
  const window = createOutcomeWindow({ now: () => now }, { maxSize: 3, maxAgeMs: 1000 });
  expect([window.size, window.failures, window.spanMs]).toEqual([0, 0, 0]);
  for (const isFailure of [true, true, false, true]) {
    window.add(isFailure);
    now += 100;
  }
  expect([window.size, window.failures, window.spanMs]).toEqual([3, 2, 300]);
  now = 1150;
  expect([window.size, window.failures]).toEqual([2, 1]);
  now = 5000;
  expect([window.size, window.failures]).toEqual([0, 0]);
});

test("a clock that is set back makes none older", () => {
  let now = 1_000_000;
  const window = createOutcomeWindow({ now: () => now }, { maxSize: 3, maxAgeMs: 1000 });
  window.add(true);
  now = 0;
  expect([window.size, window.failures]).toEqual([1, 1]);
});
