import { expect, test } from "vitest";
import { createRetryBudget, withinBudget } from "./retry-budget.ts";

function takeAll(budget: { take(): boolean }): number {
  let taken = 0;
  while (budget.take()) taken += 1;
  return taken;
}

test("there are as many retries at the start as can be saved up", () => {
  expect(takeAll(createRetryBudget({ now: () => 0 }, { capacity: 20 }))).toBe(20);
});

test("every success earns its part of a retry", () => {
  const budget = createRetryBudget({ now: () => 0 }, { capacity: 20, perSuccess: 0.5, perSecond: 0 });
  takeAll(budget);
  for (let index = 0; index < 7; index++) budget.succeeded();
  expect(takeAll(budget)).toBe(3);
});

test("some retries come with time alone, and none when the clock is set back", () => {
  let now = 0;
  const budget = createRetryBudget({ now: () => now }, { capacity: 20, perSecond: 4 });
  takeAll(budget);
  now += 1500;
  expect(budget.left).toBe(6);
  expect(takeAll(budget)).toBe(6);
  now -= 10_000;
  expect(takeAll(budget)).toBe(0);
  now += 1000;
  expect(takeAll(budget)).toBe(4);
});

test("no more is saved up than the capacity", () => {
  let now = 0;
  const budget = createRetryBudget({ now: () => now }, { capacity: 3 });
  now += 1_000_000;
  for (let index = 0; index < 100; index++) budget.succeeded();
  expect(takeAll(budget)).toBe(3);
});

test("a retry within another budget costs both, and none when one of them has none left", () => {
  const options = { capacity: 10, perSecond: 0 };
  const clock = { now: () => 0 };
  const [first, second, shared] = [5, 20, 10].map((capacity) => createRetryBudget(clock, { ...options, capacity }));
  if (first === undefined || second === undefined || shared === undefined) throw new Error("unreachable");
  const [one, other] = [withinBudget(first, shared), withinBudget(second, shared)];
  expect([one.left, takeAll(one), takeAll(other), second.left]).toEqual([5, 5, 5, 15]);
  one.succeeded();
  expect([first.left, shared.left, other.left]).toEqual([1, 1, 1]);
});
