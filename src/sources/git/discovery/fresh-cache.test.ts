import { expect, test } from "vitest";
import { SluiceError } from "../../../core/errors.ts";
import { createFakeClock, type FakeClock } from "../../../../test/support/fake-clock.ts";
import { FreshCache } from "./fresh-cache.ts";

const times = { ttlMs: 1000, refreshMs: 10_000, negativeMs: 100, restMs: 50 };
const down = new SluiceError("upstream_failed", "a.b: refused the connection");

interface Harness {
  readonly clock: FakeClock;
  /** What the next question is answered with. An error is thrown. */
  answer: string | Error | Promise<string>;
  readonly asked: () => number;
  get(options?: { signal?: AbortSignal; notBefore?: number }): Promise<string>;
}

/** An answer that begins with "no" is negative. */
function harness(): Harness {
  const clock = createFakeClock();
  const cache = new FreshCache<string>({
    clock,
    times,
    name: (key) => key,
    isPositive: (answer) => !answer.startsWith("no"),
    maxEntries: 10,
  });
  let asked = 0;
  const made: Harness = {
    clock,
    answer: "yes",
    asked: () => asked,
    get: ({ signal = new AbortController().signal, notBefore } = {}) =>
      cache.get({
        key: "a.b",
        signal,
        notBefore,
        load: async () => {
          asked += 1;
          if (made.answer instanceof Error) throw made.answer;
          return made.answer;
        },
      }),
  };
  return made;
}

test("an answer is given without asking again while it is fresh, then while a new one is fetched, later not before that is there", async () => {
  const cache = harness();
  expect(await cache.get()).toBe("yes");
  cache.clock.advance(999);
  cache.answer = "yes, elsewhere";
  expect([await cache.get(), cache.asked()]).toEqual(["yes", 1]);
  cache.clock.advance(1);
  expect([await cache.get(), cache.asked()]).toEqual(["yes", 2]);
  expect([await cache.get(), cache.asked()]).toEqual(["yes, elsewhere", 2]);
  cache.clock.advance(11_000);
  cache.answer = "yes, there";
  expect(await cache.get()).toBe("yes, there");
});

test("a negative answer counts for a short time only", async () => {
  const cache = harness();
  cache.answer = "no";
  expect(await cache.get()).toBe("no");
  cache.answer = "yes";
  cache.clock.advance(99);
  expect(await cache.get()).toBe("no");
  cache.clock.advance(1);
  expect(await cache.get()).toBe("yes");
});

test("a failure is never an answer", async () => {
  const cache = harness();
  cache.answer = down;
  await expect(cache.get()).rejects.toBe(down);
  cache.answer = "yes";
  expect(await cache.get()).toBe("yes");
});

test("while nobody answers an old answer stays, and is not asked about for a while", async () => {
  const cache = harness();
  await cache.get();
  cache.answer = down;
  cache.clock.advance(20_000);
  expect([await cache.get(), cache.asked()]).toEqual(["yes", 2]);
  cache.clock.advance(49);
  expect([await cache.get(), cache.asked()]).toEqual(["yes", 2]);
  cache.clock.advance(1);
  expect([await cache.get(), cache.asked()]).toEqual(["yes", 3]);
});

test("while nobody answers an old negative answer does not stay", async () => {
  const cache = harness();
  cache.answer = "no";
  await cache.get();
  cache.answer = down;
  cache.clock.advance(100);
  await expect(cache.get()).rejects.toBe(down);
});

test("who wants to know anew does not get what was known before", async () => {
  const cache = harness();
  await cache.get();
  cache.clock.advance(5);
  cache.answer = "yes, elsewhere";
  const notBefore = cache.clock.now();
  expect([await cache.get({ notBefore }), cache.asked()]).toEqual(["yes, elsewhere", 2]);
  expect([await cache.get({ notBefore }), cache.asked()]).toEqual(["yes, elsewhere", 2]);
});

test("any number of askers cost one question, and one who goes away does not end it for the others", async () => {
  const cache = harness();
  const answer = Promise.withResolvers<string>();
  cache.answer = answer.promise;
  const leaver = new AbortController();
  const left = cache.get({ signal: leaver.signal });
  const waiting = [cache.get(), cache.get()];
  leaver.abort();
  await expect(left).rejects.toMatchObject({ code: "cancelled" });
  answer.resolve("yes");
  expect([await Promise.all(waiting), cache.asked()]).toEqual([["yes", "yes"], 1]);
});
