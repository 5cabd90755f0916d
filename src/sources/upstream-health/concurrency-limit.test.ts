import { expect, test } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import { type ConcurrencyLimit, createConcurrencyLimit } from "./concurrency-limit.ts";

const tooMany = failure(429);
const unavailable = failure(503);
const hung = new SluiceError("upstream_timeout", "did not begin to answer");

function failure(status: number, retryAfterSeconds?: number): SluiceError {
  return new SluiceError("upstream_failed", `answered ${status}`, { details: { status }, retryAfterSeconds });
}

function open({ max = 64, min = undefined as number | undefined } = {}) {
  let now = 1_000_000;
  const limit = createConcurrencyLimit({ clock: { now: () => now }, max, min });
  return { limit, pass: (ms: number): number => (now += ms), fail: (error: SluiceError) => limit.failed(error, now) };
}

function answer(limit: ConcurrencyLimit, times: number): void {
  for (let time = 0; time < times; time++) limit.answered();
}

test("all that is allowed, until the upstream says that it is too much", () => {
  const { limit, fail } = open();
  answer(limit, 100);
  expect(limit.now).toBe(64);
  fail(failure(404));
  fail(failure(500));
  expect(limit.now).toBe(64);
  expect(limit.reason).toBe(undefined);
  fail(tooMany);
  expect([limit.now, limit.reason]).toEqual([44, "overload"]);
});

test("answers of one load count once", () => {
  const { limit, pass } = open();
  const sentAt = pass(0);
  pass(100);
  limit.failed(failure(503, 1), sentAt);
  for (let time = 0; time < 20; time++) limit.failed(tooMany, sentAt);
  expect(limit.now).toBe(44);
  limit.failed(tooMany, pass(0));
  expect(limit.now).toBe(31);
});

test("it falls to eight, or to what is given, and not below", () => {
  for (const [min, lowest] of [
    [undefined, 8],
    [3, 3],
    [100, 64],
  ] as const) {
    const { limit, fail } = open({ min });
    for (let time = 0; time < 100; time++) fail(tooMany);
    expect(limit.now).toBe(lowest);
  }
  const { limit, fail } = open({ max: 1 });
  fail(tooMany);
  expect(limit.now).toBe(1);
});

test("it grows slowly where it was cut, by some for each round of answers", () => {
  const { limit, fail } = open();
  fail(tooMany);
  answer(limit, 44);
  expect(limit.now).toBe(48);
  answer(limit, 1000);
  expect(limit.now).toBe(64);
});

test.each([
  ["503", unavailable],
  ["no answer in time", hung],
])("%s now and then is no sign of it; most of the time it is", (_name, error) => {
  const { limit, fail } = open();
  for (let time = 0; time < 100; time++) {
    if (time % 10 < 4) fail(error);
    else limit.answered();
  }
  expect(limit.now).toBe(64);
  for (let time = 0; time < 20; time++) fail(error);
  expect(limit.now).toBe(44);
});

test("after an outage it starts low, and every answer adds one", () => {
  const { limit } = open();
  limit.restart();
  expect(limit.now).toBe(8);
  answer(limit, 10);
  expect([limit.now, limit.reason]).toEqual([18, "outage"]);
  answer(limit, 100);
  expect(limit.now).toBe(64);
});

test("while nothing is under way a second counts as an answer", () => {
  const { limit, pass, fail } = open();
  limit.restart();
  pass(10_500);
  expect([limit.now, limit.reason]).toEqual([18, "outage"]);
  pass(500);
  expect(limit.now).toBe(19);
  for (let time = 0; time < 100; time++) fail(tooMany);
  expect([limit.now, limit.reason]).toEqual([8, "overload"]);
  pass(100_000);
  expect([limit.now, limit.reason]).toEqual([29, "overload"]);
});

test("while it owes answers time says nothing", () => {
  const { limit, pass } = open();
  limit.restart();
  pass(2000);
  limit.sent();
  limit.sent();
  pass(60_000);
  limit.ended();
  pass(60_000);
  expect(limit.now).toBe(10);
  limit.ended();
  pass(3000);
  expect(limit.now).toBe(13);
});

test("a clock that is set back takes nothing away", () => {
  const { limit, pass } = open();
  limit.restart();
  pass(-100_000);
  expect(limit.now).toBe(8);
  pass(4000);
  expect(limit.now).toBe(12);
});

test("what was learnt long ago is forgotten", () => {
  const { limit, pass, fail } = open();
  limit.sent();
  fail(tooMany);
  pass(299_000);
  expect(limit.now).toBe(44);
  pass(2000);
  expect(limit.now).toBe(64);
});
