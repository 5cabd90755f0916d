import { expect, test } from "vitest";
import { type ErrorCode, SluiceError } from "../../core/errors.ts";
import type { Attempt } from "./http.ts";
import { createRetryJudge, type RetryJudge } from "./retry-judge.ts";

const mebibyte = 1024 * 1024;

/** What the judge says of an attempt: the error of its body, or of whoever read it. */
function judged(judge: RetryJudge, code: ErrorCode, seen: Partial<Attempt> & { readonly isBodys?: boolean }): boolean {
  const error = new SluiceError(code, "failed");
  const { isBodys = false, ...attempt } = seen;
  const bodyError = isBodys ? error : undefined;
  judge.ended({ status: 200, firstByteAt: 0, start: 0, received: 0, isRestRefused: false, bodyError, ...attempt });
  return judge.isRetryable(error);
}

test("a body that stops coming late is asked for again as long as good parts of it come", () => {
  let now = 0;
  const judge = createRetryJudge({ clock: { now: () => now, sleep: async () => undefined }, patienceMs: 60_000 });
  now = 61_000;
  const stalled = (seen: Partial<Attempt>): boolean => judged(judge, "upstream_timeout", { ...seen, isBodys: true });
  expect([stalled({ received: mebibyte }), judge.wentFurther()]).toEqual([true, false]);
  expect([stalled({ start: mebibyte, received: mebibyte }), judge.wentFurther()]).toEqual([true, true]);
  expect([stalled({ start: mebibyte, received: mebibyte }), judge.wentFurther()]).toEqual([false, false]);
  expect([stalled({ start: 2 * mebibyte, received: 1000 }), judge.wentFurther()]).toEqual([false, false]);
  expect([stalled({ received: 4 * mebibyte }), judge.wentFurther()]).toEqual([true, false]);
});

test("a file of several parts that is wrong is asked for once more, and then a whole one that is wrong", () => {
  const judge = createRetryJudge({ clock: { now: () => 0, sleep: async () => undefined }, patienceMs: 60_000 });
  expect(judged(judge, "integrity", { start: 1000, received: 1000 })).toBe(true);
  expect(judged(judge, "integrity", { received: 2000 })).toBe(true);
  expect(judged(judge, "integrity", { received: 2000 })).toBe(false);
});

test("parts that never fit are given up", () => {
  const judge = createRetryJudge({ clock: { now: () => 0, sleep: async () => undefined }, patienceMs: 60_000 });
  expect(judged(judge, "integrity", { start: 1000, received: 1000 })).toBe(true);
  expect(judged(judge, "integrity", { start: 1000, received: 1000 })).toBe(false);
});
