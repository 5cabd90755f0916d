import { describe, expect, test } from "vitest";
import type { Source } from "../../src/core/ports.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { createUpstreamSource } from "../../src/sources/upstream/http.ts";
import { checkUrl, createCheck } from "../../src/sources/upstream-health/check.ts";
import { createUpstreamHealth } from "../../src/sources/upstream-health/health.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { createRandom, type Random } from "../support/random.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { type SimulatedUpstream, simulateUpstream, type Turn } from "../support/simulated-upstream.ts";
import { contextOf, failureOf, fetchBytes, openUpstream } from "../support/source-harness.ts";

const mod = "example.com/leaf/@v/v1.2.0.mod";

/** A source before a simulated upstream, in the time of a manual clock. */
function simulate(random: Random, play: (clock: ManualClock) => Turn) {
  const clock = createManualClock();
  const events = recordEvents();
  const upstream = simulateUpstream({ clock, play: () => play(clock), latencyMs: () => 20 + random.int(400) });
  const source = createUpstreamSource({
    name: "https://proxy.example.com",
    url: new URL("https://proxy.example.com"),
    http: upstream.http,
    clock,
    events,
    retry: { random: () => random.int(1_000_000) / 1_000_000 },
    waitWhileDownMs: 30_000,
  });
  return { clock, events, upstream, source };
}

/** Passes time until everything is settled. */
async function settle<T>(clock: ManualClock, work: Promise<T>[], stepMs = 1000): Promise<PromiseSettledResult<T>[]> {
  const over = new AbortController();
  const settled = Promise.allSettled(work).finally(() => over.abort());
  while (!over.signal.aborted) await clock.advance(stepMs);
  return settled;
}

function fetchMany(source: Source, count: number): Promise<Buffer>[] {
  return Array.from({ length: count }, (_, index) => fetchBytes(source, `example.com/m${index}/@v/v1.0.0.zip`));
}

describe("an upstream that fails three times in ten is never left alone, and everything comes", () => {
  const kinds: readonly (readonly Turn[])[] = [[503], ["reset"], ["refused"], ["cut"], ["late"]];
  test.each([...kinds, kinds.flat()].flatMap((faults) => [1, 2, 3].map((seed) => ({ faults, seed }))))(
    "$faults, seed $seed",
    async ({ faults, seed }) => {
      const random = createRandom(seed);
      const { clock, events, source } = simulate(random, () => (random.chance(30) ? random.pick(faults) : "ok"));
      const outcomes = await settle(clock, fetchMany(source, 1143));
      expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(events.of("upstream_state").filter(({ state }) => state === "down")).toEqual([]);
    },
  );
});

describe("an upstream that comes and goes", () => {
  const outages: readonly Turn[] = ["refused", "reset", "hang", 503, 429];
  test.each(Array.from({ length: 12 }, (_, seed) => ({ seed })))(
    "is used soon after it is back, and hardly asked while it is down (seed $seed)",
    async ({ seed }) => {
      const random = createRandom(seed);
      let outage: Turn | undefined;
      const { clock, events, upstream, source } = simulate(random, () => outage ?? (random.chance(10) ? 503 : "ok"));
      for (let round = 0; round < 4; round++) {
        outage = random.pick(outages);
        await passOutage({ clock, source, upstream, ms: 1000 * (5 + random.int(400)), random, events });
        outage = undefined;
        const back = await settle(clock, fetchMany(source, 20), 100);
        expect(back.filter(({ status }) => status === "rejected")).toEqual([]);
        expect(source.condition?.().state).not.toBe("down");
      }
      await source.close();
    },
  );

  const lengths = [5, 11, 18];
  test.each(
    (["refused", "reset", "cut", 503] as const).flatMap((turn) => lengths.map((seconds) => ({ turn, seconds }))),
  )("is waited for by who asks alone: $turn for $seconds s", async ({ turn, seconds }) => {
    for (let seed = 0; seed < 8; seed++) {
      const { clock, source } = simulate(createRandom(seed), (time) => (time.now() < endsAt ? turn : "ok"));
      const endsAt = clock.now() + seconds * 1000;
      const [outcome] = await settle(clock, fetchMany(source, 1), 500);
      expect(outcome).toMatchObject({ status: "fulfilled" });
      await source.close();
    }
  });

  test("is not waited for longer than that, nor by who has somebody else to ask", async () => {
    const { clock, source } = simulate(createRandom(1), () => "refused");
    const startedAt = clock.now();
    await settle(clock, fetchMany(source, 1), 500);
    expect(clock.now() - startedAt).toBeGreaterThan(20_000);
    expect(clock.now() - startedAt).toBeLessThan(35_000);
    const again = clock.now();
    await clock.advance(600_000);
    await settle(clock, [fetchBytes(source, mod, { ...contextOf(), failFast: true, mayMoveOn: true })], 500);
    expect(clock.now() - again - 600_000).toBeLessThan(5_000);
    await source.close();
  });

  /** Somebody asks for something every few hundred milliseconds. */
  async function passOutage(scene: {
    readonly clock: ManualClock;
    readonly source: Source;
    readonly upstream: SimulatedUpstream;
    readonly events: ReturnType<typeof recordEvents>;
    readonly random: Random;
    readonly ms: number;
  }): Promise<void> {
    const { clock, source, upstream, random, ms } = scene;
    const over = new AbortController();
    const asked: Promise<unknown>[] = [];
    let requests = upstream.requests;
    let most = 0;
    for (const end = clock.now() + ms; clock.now() < end;) {
      asked.push(fetchBytes(source, `example.com/m${asked.length}/@v/list`, contextOf(over.signal)).catch(() => 0));
      const wasDown = source.condition?.().state === "down";
      await clock.advance(200 + random.int(500));
      if (wasDown && source.condition?.().state === "down") most = Math.max(most, upstream.requests - requests);
      requests = upstream.requests;
    }
    // Within less than a second, as it rests for half a second at the least.
    expect(most).toBeLessThanOrEqual(6);
    over.abort();
    await Promise.all(asked);
  }
});

async function disposable(started: Promise<FixtureUpstream>): Promise<FixtureUpstream & AsyncDisposable> {
  const upstream = await started;
  return { ...upstream, [Symbol.asyncDispose]: () => upstream.close() };
}

test("an outage of many hours is asked about every few seconds, and by nobody when nobody asks", async () => {
  const random = createRandom(1);
  const { clock, upstream, source } = simulate(random, () => "refused");
  await settle(clock, fetchMany(source, 10));
  expect(source.condition?.().state).toBe("down");
  const before = upstream.requests;
  await clock.advance(3_600_000);
  expect([upstream.requests, clock.sleeping]).toEqual([before, 0]);
});

describe("a real upstream", () => {
  test("that hangs is left as soon as a check hangs, too, and used again when one is answered", async () => {
    await using upstream = await disposable(startFixtureUpstream());
    const clock = createManualClock();
    const events = recordEvents();
    const http = createHttpClient({ ca: [], userAgent: "Sluice/test", instanceId: "test", connections: 9 });
    const url = new URL(upstream.url);
    const check = createCheck({ name: url.host, url: checkUrl(url, "healthz"), http, clock });
    const health = createUpstreamHealth({ name: upstream.url, clock, events, check, concurrency: 8 });
    const source = createUpstreamSource({ name: upstream.url, url, http, clock, events, health });
    const gone = new AbortController();
    try {
      upstream.setFault(/./, { kind: "hang" });
      const fast = { ...contextOf(), failFast: true };
      const hung = Array.from({ length: 8 }, () => failureOf(fetchBytes(source, mod, fast)));
      const patient = fetchBytes(source, mod, contextOf(gone.signal));
      await upstream.arrived(mod, 8);
      for (let number = 1; number <= 2; number++) {
        await clock.advance(number === 1 ? 10_000 : 5000);
        await upstream.arrived("healthz", number);
      }
      await clock.advance(5000);
      await settle(clock, hung, 100);
      const codes = (await Promise.all(hung)).map(({ code, message }) => [code, message.includes("down since")]);
      expect(codes).toEqual(Array.from({ length: 8 }, () => ["upstream_failed", true]));
      upstream.clearFaults();
      for (let second = 0; source.condition?.().state === "down"; second++) {
        expect(second).toBeLessThan(30);
        await clock.advance(1000);
        await upstream.arrived("healthz", 3);
        await Promise.race([patient, new Promise((resolve) => setImmediate(resolve))]);
      }
      expect((await patient).toString()).toContain("module example.com/leaf");
      expect((await fetchBytes(source, mod, fast)).toString()).toContain("module example.com/leaf");
      expect(events.of("upstream_state").map(({ state }) => state)).toEqual(["down", "ok"]);
    } finally {
      gone.abort();
      await source.close();
      await http.close();
    }
  });

  test("that dies and comes back: what was asked meanwhile is answered", async () => {
    let upstream = await startFixtureUpstream();
    const { port } = upstream;
    await using opened = openUpstream(upstream.url, { retry: { attempts: 10 } });
    await fetchBytes(opened.source, mod);
    await upstream.close();
    const error = await failureOf(fetchBytes(opened.source, mod));
    expect([error.code, error.message]).toEqual(["upstream_failed", expect.stringMatching(/ECONNREFUSED/)]);
    upstream = await startFixtureUpstream({ port });
    expect((await fetchBytes(opened.source, mod)).toString()).toContain("module example.com/leaf");
    await upstream.close();
  });
});
