import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SluiceError } from "../../src/core/errors.ts";
import { createRetryBudget } from "../../src/net/retry-budget.ts";
import { fixtureVersions } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import {
  attemptsOf,
  contextOf,
  failureOf,
  fetchBytes,
  type HarnessOptions,
  openUpstream,
} from "../support/source-harness.ts";

const list = "example.com/leaf/@v/list";
const info = "example.com/leaf/@v/v1.2.0.info";
const mod = "example.com/leaf/@v/v1.2.0.mod";

let upstream: FixtureUpstream;

beforeEach(async () => {
  upstream = await startFixtureUpstream();
});
afterEach(() => upstream.close());

describe("waiting between attempts", () => {
  test("grows, with jitter", async () => {
    upstream.setFault(mod, { kind: "status", status: 503 });
    await using opened = openUpstream(upstream.url, {
      retry: { attempts: 5, baseMs: 100, capMs: 400, random: () => 0.5 },
    });
    await failureOf(fetchBytes(opened.source, mod));
    expect(opened.clock.sleeps).toEqual([50, 150, 200, 200]);
  });

  test.each<[number, string, number]>([
    [429, "3", 3000],
    [503, "2", 2000],
    [429, "Fri, 02 Jan 2026 03:04:09 GMT", 4000],
  ])("%i with Retry-After %j", async (status, value, waitMs) => {
    upstream.setFault(mod, { kind: "status", status, headers: { "retry-after": value }, times: 1 });
    await using opened = openUpstream(upstream.url, { retry: { random: () => 0 } });
    await fetchBytes(opened.source, mod);
    expect(opened.clock.sleeps).toEqual([waitMs]);
  });

  test("a Retry-After beyond patience is not waited for but passed on", async () => {
    upstream.setFault(mod, { kind: "status", status: 429, headers: { "retry-after": "3600" } });
    await using opened = openUpstream(upstream.url);
    const error = await failureOf(fetchBytes(opened.source, mod));
    expect([error.code, error.retryAfterSeconds, upstream.requests.length]).toEqual(["upstream_failed", 3600, 1]);
  });

  test("is not begun after a minute of failures, but a body that was cut is asked for again", async () => {
    await using opened = openUpstream(upstream.url);
    upstream.setFault(mod, {
      kind: "handler",
      handle: (_request, response) => {
        opened.clock.advance(61_000);
        response.writeHead(503).end();
      },
    });
    expect((await failureOf(fetchBytes(opened.source, mod))).details["attempts"]).toBe(1);
    upstream.clearFaults();
    upstream.setFault(mod, {
      kind: "handler",
      times: 1,
      handle: (_request, response) => {
        opened.clock.advance(61_000);
        response.writeHead(200, { "content-length": 100 });
        response.write("module", () => response.destroy());
      },
    });
    expect((await fetchBytes(opened.source, mod)).toString()).toContain("module example.com/leaf");
    expect(attemptsOf(opened.events)).toEqual(["1 upstream_failed 503", "1 upstream_invalid 200", "2 ok 200"]);
  });

  test("is not begun after a minute when a body stopped coming, either", async () => {
    await using opened = openUpstream(upstream.url, { client: { timeouts: { idleBodyMs: 50 } } });
    upstream.setFault(mod, {
      kind: "handler",
      handle: (_request, response) => {
        opened.clock.advance(61_000);
        response.writeHead(200, { "content-length": 100 });
        response.write("module");
      },
    });
    await failureOf(fetchBytes(opened.source, mod));
    expect(attemptsOf(opened.events)).toEqual(["1 upstream_timeout 200"]);
  });

  test("ends with the fetch", async () => {
    upstream.setFault(mod, { kind: "status", status: 503 });
    const abort = new AbortController();
    const waiting = Promise.withResolvers<void>();
    await using opened = openUpstream(upstream.url, {
      clock: {
        now: () => 0,
        sleep: (_ms, signal) => {
          waiting.resolve();
          return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
        },
      },
    });
    const fetched = failureOf(fetchBytes(opened.source, mod, contextOf(abort.signal)));
    await waiting.promise;
    abort.abort();
    expect((await fetched).code).toBe("cancelled");
    expect(upstream.requests.length).toBe(1);
  });

  test("is paid from the budget of the whole upstream", async () => {
    upstream.setFault(/./, { kind: "status", status: 503 });
    await using opened = openUpstream(upstream.url, {
      budget: createRetryBudget({ now: () => 0 }, { capacity: 5, perSuccess: 0, perSecond: 0 }),
    });
    for (const path of [mod, info, list]) await failureOf(fetchBytes(opened.source, path));
    expect(upstream.requests.length).toBe(3 + 5);
  });

  test("is earned by every answer, also by one that says what does not exist", async () => {
    upstream.setFault(mod, { kind: "status", status: 503 });
    const budget = createRetryBudget({ now: () => 0 }, { capacity: 2, perSecond: 0 });
    await using opened = openUpstream(upstream.url, { budget });
    await failureOf(fetchBytes(opened.source, mod));
    expect(budget.left).toBe(0);
    await failureOf(fetchBytes(opened.source, "example.com/absent/@v/list"));
    expect(budget.left).toBe(1);
    await fetchBytes(opened.source, info);
    expect(budget.left).toBe(2);
  });
});
describe("the queue", () => {
  const paths = fixtureVersions
    .slice(0, 8)
    .map(({ path, version }) => `${path}/@v/${version}.mod`.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`));

  async function hold(options: HarnessOptions) {
    const gate = Promise.withResolvers<void>();
    upstream.setFault(/./, { kind: "delay", until: gate.promise });
    return { opened: openUpstream(upstream.url, options), release: gate.resolve };
  }

  test("lets only so many through at a time, and reports", async () => {
    const { opened, release } = await hold({ queue: { concurrency: 3 } });
    await using _opened = opened;
    const fetches = paths.map((path) => fetchBytes(opened.source, path));
    await upstream.arrived(/./, 3);
    expect(opened.events.at(-1)).toEqual({
      type: "upstream_queue",
      upstream: upstream.url,
      running: 3,
      waiting: 5,
      limit: 3,
    });
    release();
    await Promise.all(fetches);
    const queue = opened.events.filter((event) => event.type === "upstream_queue");
    expect(Math.max(...queue.map(({ running }) => running))).toBe(3);
    expect(queue.at(-1)).toMatchObject({ running: 0, waiting: 0 });
  });

  test("refuses what finds no room", async () => {
    const { opened, release } = await hold({ queue: { concurrency: 1, maxWaiting: 2 } });
    await using _opened = opened;
    const outcomes = paths.slice(0, 5).map((path) =>
      fetchBytes(opened.source, path).then(
        () => "ok",
        (error: unknown) => (error instanceof SluiceError ? error.code : error),
      ),
    );
    await upstream.arrived(/./);
    release();
    expect(await Promise.all(outcomes)).toEqual(["ok", "ok", "ok", "overloaded", "overloaded"]);
  });

  test("is left by who gives up, and nothing is asked for it", async () => {
    const { opened, release } = await hold({ queue: { concurrency: 1 } });
    await using _opened = opened;
    const abort = new AbortController();
    const first = fetchBytes(opened.source, mod);
    const second = failureOf(fetchBytes(opened.source, info, contextOf(abort.signal)));
    await upstream.arrived(mod);
    abort.abort();
    expect((await second).code).toBe("cancelled");
    release();
    await first;
    expect(upstream.requests.map(({ path }) => path)).toEqual([mod]);
  });

  test("does not hold a place for who waits to try again", async () => {
    upstream.setFault(mod, { kind: "status", status: 503, times: 1 });
    const asleep = Promise.withResolvers<void>();
    const wake = Promise.withResolvers<void>();
    await using opened = openUpstream(upstream.url, {
      queue: { concurrency: 1 },
      clock: {
        now: () => 0,
        // The queue's own sleep is the longest that anybody may wait in it.
        sleep: (ms) => {
          if (ms >= 60_000) return new Promise(() => undefined);
          asleep.resolve();
          return wake.promise;
        },
      },
    });
    const retried = fetchBytes(opened.source, mod);
    await asleep.promise;
    await fetchBytes(opened.source, info);
    wake.resolve();
    await retried;
    expect(upstream.requests.map(({ path }) => path)).toEqual([mod, info, mod]);
  });
});
