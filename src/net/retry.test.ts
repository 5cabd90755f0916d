import { describe, expect, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createRandom } from "../../test/support/random.ts";
import { SluiceError, type ErrorCode } from "../core/errors.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { isTransient, parseRetryAfter, withRetry, type RetryOptions } from "./retry.ts";

const forever = new AbortController().signal;

/** An operation that fails with the given errors, one after the other, then succeeds. */
function failing(...errors: Error[]): { operation: (attempt: number) => Promise<string>; attempts: number[] } {
  const attempts: number[] = [];
  return {
    attempts,
    async operation(attempt) {
      attempts.push(attempt);
      const error = errors[attempt - 1];
      if (error !== undefined) throw error;
      return "done";
    },
  };
}

function repeat(count: number, code: ErrorCode = "upstream_failed"): SluiceError[] {
  return Array.from({ length: count }, (_, index) => new SluiceError(code, `failure ${index + 1}`));
}

/** Runs to the end on a clock of its own and answers what happened and how long each wait was. */
async function run(
  errors: Error[],
  options: Partial<RetryOptions> = {},
): Promise<{ outcome: unknown; attempts: number[]; delays: number[] }> {
  const clock = createManualClock();
  const delays: number[] = [];
  const { operation, attempts } = failing(...errors);
  const outcome = withRetry(operation, {
    clock,
    signal: forever,
    name: "upstream.example",
    random: () => 0.5,
    onRetry: (_error, { delayMs }) => delays.push(delayMs),
    ...options,
  }).catch((error: unknown) => error);
  await clock.advance(10_000_000);
  return { outcome: await outcome, attempts, delays };
}

test("a success is not tried again", async () => {
  expect(await run([])).toEqual({ outcome: "done", attempts: [1], delays: [] });
});

test("transient failures are tried again, waiting longer each time up to the cap", async () => {
  const { outcome, attempts, delays } = await run(repeat(8));
  expect(outcome).toBe("done");
  expect(attempts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(delays).toEqual([12.5, 37.5, 112.5, 337.5, 1012.5, 2500, 2500, 2500]);
});

test("the wait is anything from nothing to the whole step", async () => {
  expect((await run(repeat(2), { random: () => 0 })).delays).toEqual([0, 0]);
  expect((await run(repeat(2), { random: () => 0.999 })).delays).toEqual([24.975, 74.925]);
});

test("the last error is the outcome when the attempts are used up", async () => {
  const errors = repeat(5);
  const { outcome, attempts } = await run(errors, { attempts: 4 });
  expect(outcome).toBe(errors[3]);
  expect(attempts).toHaveLength(4);
});

test("no attempt starts behind the time limit", async () => {
  const errors = repeat(9);
  const { outcome, attempts } = await run(errors, { maxElapsedMs: 300 });
  expect(outcome).toBe(errors[3]);
  expect(attempts).toHaveLength(4);
});

describe("what is tried again", () => {
  test.each<[error: Error, again: boolean]>([
    [new SluiceError("upstream_failed", ""), true],
    [new SluiceError("upstream_timeout", ""), true],
    [new SluiceError("upstream_invalid", ""), true],
    [new SluiceError("upstream_failed", "unknown CA", { details: { permanent: true } }), false],
    [new SluiceError("not_found", ""), false],
    [new SluiceError("upstream_refused", ""), false],
    [new SluiceError("integrity", ""), false],
    [new SluiceError("cancelled", ""), false],
    [new SluiceError("overloaded", ""), false],
    [new SluiceError("storage_failed", ""), false],
    [new SluiceError("unverified", ""), false],
    [new TypeError("a bug"), false],
  ])("%o: %s", async (error, again) => {
    const { outcome } = await run([error]);
    expect(outcome).toBe(again ? "done" : error);
  });

  test("the caller may know better", async () => {
    const isRetryable = (error: SluiceError): boolean => isTransient(error) || error.code === "integrity";
    expect((await run(repeat(2, "integrity"), { isRetryable })).outcome).toBe("done");
  });
});

describe("Retry-After", () => {
  test("is waited for, with jitter on top", async () => {
    const { outcome, delays } = await run([new SluiceError("upstream_failed", "429", { retryAfterSeconds: 3 })]);
    expect(outcome).toBe("done");
    expect(delays).toEqual([3012.5]);
  });

  test("beyond the limit it goes on to the client at once", async () => {
    const error = new SluiceError("upstream_failed", "503", { retryAfterSeconds: 11 });
    const { outcome, attempts } = await run([error]);
    expect(outcome).toBe(error);
    expect(attempts).toEqual([1]);
  });

  test.each([
    ["120", 120],
    [" 5 ", 5],
    ["0", 0],
    ["Wed, 21 Oct 2015 07:28:10 GMT", 10],
    ["Wed, 21 Oct 2015 07:27:00 GMT", 0],
    ["-1", undefined],
    ["1.5", undefined],
    ["soon", undefined],
    ["", undefined],
    ["99999999999999999999", undefined],
    [undefined, undefined],
  ])("%o is %o seconds", (value, seconds) => {
    expect(parseRetryAfter(value, Date.UTC(2015, 9, 21, 7, 28, 0))).toBe(seconds);
  });
});

describe("giving up", () => {
  test("ends a wait at once", async () => {
    const clock = createManualClock();
    const caller = new AbortController();
    const { operation, attempts } = failing(...repeat(3));
    const outcome = withRetry(operation, { clock, signal: caller.signal, name: "upstream.example" }).catch(
      (error: unknown) => error,
    );
    await clock.advance(0);
    caller.abort();
    expect(await outcome).toMatchObject({ code: "cancelled" });
    expect(attempts).toEqual([1]);
    expect(clock.sleeping).toBe(0);
  });

  test("beforehand means that nothing is tried", async () => {
    const { operation, attempts } = failing();
    const options = { clock: createManualClock(), name: "upstream.example" };
    await expect(withRetry(operation, { ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
    const timedOut = AbortSignal.abort(new DOMException("", "TimeoutError"));
    await expect(withRetry(operation, { ...options, signal: timedOut })).rejects.toMatchObject({
      code: "upstream_timeout",
    });
    expect(attempts).toEqual([]);
  });
});

describe("with a budget", () => {
  /** So many requests, `parallel` at a time, to an upstream that fails as `fails` says. */
  async function download(
    requests: number,
    parallel: number,
    fails: () => boolean,
  ): Promise<{ asked: number; lost: number }> {
    const clock = createManualClock();
    const budget = createRetryBudget(clock);
    const random = fractions(42);
    let asked = 0;
    let lost = 0;
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < requests) {
        next += 1;
        const operation = async (): Promise<void> => {
          asked += 1;
          await clock.sleep(50);
          if (fails()) throw new SluiceError("upstream_failed", "503");
        };
        await withRetry(operation, { clock, signal: forever, name: "upstream.example", budget, random }).catch(
          () => (lost += 1),
        );
      }
    };
    const all = Promise.all(Array.from({ length: parallel }, worker));
    await clock.advance(3_600_000);
    await all;
    return { asked, lost };
  }

  test("381 modules all arrive while 30 % of upstream requests fail", async () => {
    const random = fractions(7);
    const { asked, lost } = await download(3 * 381, 20, () => random() < 0.3);
    expect(lost).toBe(0);
    expect(asked).toBeGreaterThan((3 * 381) / 0.8);
  });

  test("an upstream that is down is soon asked about once per request", async () => {
    const { asked, lost } = await download(5000, 100, () => true);
    expect(lost).toBe(5000);
    expect(asked).toBeLessThan(5000 * 1.1);
  });
});

/** Numbers at least 0 and below 1, the same for every run. */
function fractions(seed: number): () => number {
  const random = createRandom(seed);
  return () => random.int(1_000_000) / 1_000_000;
}

test("attempts that went on with what was there and got further count as the first, and cost no budget", async () => {
  const clock = createManualClock();
  const budget = createRetryBudget(clock, { capacity: 1, perSuccess: 0, perSecond: 0 });
  let attempt = 0;
  const wentFurther = (): boolean => ++attempt > 1 && attempt < 20;
  const { attempts, delays } = await run(repeat(30), { attempts: 2, budget, wentFurther });
  expect(attempts).toHaveLength(20);
  expect(delays).toEqual(Array.from({ length: 19 }, () => 12.5));
  expect(budget.left).toBe(0);
});

test("a wait is cut short where it is no use, and leaves no timer", async () => {
  const clock = createManualClock();
  const waits = new Set<() => void>();
  const { operation, attempts } = failing(new SluiceError("upstream_failed", "refused the connection"));
  const result = withRetry(operation, {
    clock,
    signal: forever,
    name: "upstream",
    baseMs: 10_000,
    random: () => 0.5,
    onWait(wake) {
      waits.add(wake);
      return () => void waits.delete(wake);
    },
  });
  await clock.advance(1);
  expect([attempts, clock.sleeping, waits.size]).toEqual([[1], 1, 1]);
  for (const wake of waits) wake();
  await result;
  expect([attempts, clock.sleeping, waits.size]).toEqual([[1, 2], 0, 0]);
});
