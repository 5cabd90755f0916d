import { describe, expect, test } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { recordEvents } from "../../../test/support/recorded-events.ts";
import { type Asker, createUpstreamHealth, isKnownDown, type UpstreamHealthOptions } from "./health.ts";

const name = "https://proxy.example.com";
const refused = new SluiceError("upstream_failed", `${name}: refused the connection (ECONNREFUSED).`, {
  details: { upstream: name },
});
const startsAt = Date.UTC(2026, 0, 2, 3, 4, 5);

function open(options: Partial<UpstreamHealthOptions> = {}) {
  const clock = createManualClock(startsAt);
  const events = recordEvents();
  const health = createUpstreamHealth({ name, clock, events, random: () => 1, ...options });
  return { clock, events, health, ask, send, fail };

  function ask(asker: Partial<Asker> = {}): Promise<string> {
    const signal = new AbortController().signal;
    return health.ready({ signal, since: clock.now(), failFast: false, ...asker }).then(
      () => "ready",
      (error: unknown) => {
        if (!(error instanceof SluiceError)) throw error;
        return isKnownDown(error) ? `${error.message} [${error.code} ${error.retryAfterSeconds}]` : error.code;
      },
    );
  }

  function send(error?: SluiceError, firstByteMs = 100): void {
    const sent = health.send({ failFast: false });
    if (sent === undefined) throw new Error("nothing may be sent");
    if (error === undefined) sent.answered(firstByteMs);
    else sent.failed(error);
    sent.end(error === undefined);
  }

  async function fail(error = refused): Promise<void> {
    for (let time = 0; health.condition.state !== "down"; time++) {
      send(error);
      await clock.advance(200);
    }
  }
}

describe("an upstream that is down", () => {
  test("is waited for, and used as soon as it is back", async () => {
    const { clock, health, ask, send, fail } = open();
    await fail();
    const asked = ask();
    await clock.advance(800);
    expect(await asked).toBe("ready");
    send();
    expect(health.condition.state).not.toBe("down");
    expect(await ask()).toBe("ready");
  });

  test("is not waited for longer than patience lasts", async () => {
    const { clock, health, ask, fail } = open();
    await fail();
    await clock.advance(1000);
    for (let trial = 0; trial < 3; trial++) health.send({ failFast: false });
    const asked = ask();
    await clock.advance(30_000);
    expect(await asked).toBe(
      `${name}: down since 2026-01-02T03:04:05Z (no answer to 15 requests in a row), being asked again now: refused the connection (ECONNREFUSED). [upstream_failed 1]`,
    );
  });

  test("is not waited for where patience ends before it is asked again; the answer says since when, why, and when that is", async () => {
    const { clock, ask, send, fail } = open({ patienceMs: 1500 });
    await fail();
    await clock.advance(1000);
    for (let trial = 0; trial < 3; trial++) send(refused);
    expect(await ask()).toBe(
      `${name}: down since 2026-01-02T03:04:05Z (no answer to 15 requests in a row), asked again in 2 s: refused the connection (ECONNREFUSED). [upstream_failed 2]`,
    );
  });

  test("fails at once who can be answered by something else", async () => {
    const { ask, fail } = open();
    await fail();
    expect(await ask({ failFast: true })).toMatch(/down since/);
  });

  test("fails at once where only a person can mend it", async () => {
    const { ask, fail } = open();
    await fail(new SluiceError("upstream_failed", "unknown authority", { details: { permanent: true } }));
    expect(await ask()).toMatch(/down since .*unknown authority/);
  });

  test("fails at once where it asked to be left alone for longer than anybody waits", async () => {
    const { ask, fail } = open();
    await fail(new SluiceError("upstream_failed", "answered 429", { retryAfterSeconds: 120 }));
    expect(await ask()).toMatch(/asked again in 120 s: answered 429 \[upstream_failed 120\]/);
  });

  test.each([
    ["young", 1, "ready"],
    ["old", 12, "down since"],
  ])(
    "in an outage that is %s is waited for accordingly when it was asked again in vain",
    async (_age, rounds, answer) => {
      const { clock, health, ask, fail } = open();
      await fail();
      for (let round = 0; ; round++) {
        await clock.advance(10_000);
        const trials = [
          health.send({ failFast: false }),
          health.send({ failFast: false }),
          health.send({ failFast: false }),
        ];
        const asked = round === rounds ? ask() : undefined;
        for (const trial of trials) trial?.failed(refused);
        if (asked === undefined) continue;
        await clock.advance(10_000);
        expect(await asked).toContain(answer);
        return;
      }
    },
  );

  test("keeps only so many waiting", async () => {
    const { clock, ask, fail } = open({ maxWaiting: 2 });
    await fail();
    const waiting = [ask(), ask()];
    expect(await ask()).toMatch(/down since/);
    await clock.advance(1000);
    expect(await Promise.all(waiting)).toEqual(["ready", "ready"]);
  });

  test("is not waited for by who is gone", async () => {
    const { ask, fail } = open();
    await fail();
    const gone = new AbortController();
    const asked = ask({ signal: gone.signal });
    gone.abort();
    expect(await asked).toBe("cancelled");
  });
});

test("who waits for something else hears when an upstream is down, unless it has ended that", async () => {
  const { health, fail } = open();
  const heard: string[] = [];
  health.onDown(() => heard.push("first"));
  health.onDown(() => heard.push("ended"))();
  expect(heard).toEqual([]);
  await fail();
  health.onDown(() => heard.push("later"));
  expect(heard).toEqual(["first", "later"]);
});

describe("checks", () => {
  const hung = new SluiceError("upstream_timeout", `${name}: did not answer a check within 5 s`);

  function openChecked(outcomes: readonly ("alive" | "unknown" | SluiceError)[]) {
    const left = [...outcomes];
    const delay = { ms: 0 };
    let asked = 0;
    const check = async () => {
      asked += 1;
      if (delay.ms > 0) await scene.clock.sleep(delay.ms);
      return left.shift() ?? hung;
    };
    const scene = open({ check });
    return { ...scene, delay, asked: () => asked };
  }

  test("find out that an upstream hangs: requests under way end, those of which something came do not", async () => {
    const { clock, health } = openChecked([]);
    const [begun, silent] = [health.send({ failFast: false }), health.send({ failFast: false })];
    await clock.advance(3000);
    begun?.answered(3000);
    const late = health.send({ failFast: false });
    await clock.advance(6000);
    expect(health.condition.state).toBe("ok");
    // What answered a request may fail checks for reasons of its own.
    await clock.advance(60_000);
    expect([health.condition.state, silent?.signal.aborted, late?.signal.aborted]).toEqual(["ok", false, false]);

    const fresh = openChecked([]);
    const sent = fresh.health.send({ failFast: false });
    await fresh.clock.advance(10_000);
    expect(sent?.signal.reason).toMatchObject({ code: "upstream_timeout" });
    expect(fresh.health.part).toMatchObject({
      state: "down",
      detail: expect.stringMatching(/no answer to any request for 10 s.*: did not answer a check within 5 s$/),
    });
  });

  test("find it out where each request is given up soon, and one comes after the other", async () => {
    const late = new SluiceError("upstream_timeout", `${name}: no answer within 5 s`);
    const { clock, health } = openChecked([]);
    const states: string[] = [];
    for (let number = 0; number < 3; number++) {
      const sent = health.send({ failFast: false });
      await clock.advance(5000);
      sent?.failed(late);
      sent?.end(false);
      // Somebody else answers, and there is nothing to ask for a while.
      await clock.advance(1000);
      states.push(health.condition.state);
    }
    expect(states).toEqual(["ok", "ok", "down"]);
  });

  test("are not made where requests fail at once", async () => {
    const { clock, health, asked, send } = openChecked([]);
    for (let number = 0; number < 14; number++) {
      send(refused);
      await clock.advance(5000);
    }
    const given = health.send({ failFast: false });
    await clock.advance(8000);
    given?.end(undefined);
    await clock.advance(60_000);
    expect([asked(), health.condition.state]).toEqual([0, "ok"]);
  });

  test("keep who has something else to answer from an upstream that is still down", async () => {
    const { clock, ask, health, fail, asked } = openChecked([hung, hung, "alive"]);
    await fail();
    for (let round = 0; round < 2; round++) {
      await clock.advance(health.condition.state === "down" ? 2000 * (round + 1) : 0);
      expect(await ask({ failFast: true })).toMatch(/down since/);
      expect(health.send({ failFast: true })).toBe(undefined);
    }
    await clock.advance(4000);
    expect(asked()).toBe(3);
    expect(await ask({ failFast: true })).toBe("ready");
    health.send({ failFast: true })?.answered();
    expect(health.condition.state).not.toBe("down");
  });

  test("keep nobody from it where it never answered one", async () => {
    const { clock, ask, send, fail } = openChecked([]);
    send();
    await fail();
    await clock.advance(1000);
    expect(await ask({ failFast: true })).toBe("ready");
  });

  test("let more requests through when it answers them", async () => {
    const { clock, health, fail } = openChecked(["alive"]);
    await fail();
    await clock.advance(1000);
    const trials = Array.from({ length: 10 }, () => health.send({ failFast: false }));
    expect(trials.filter((trial) => trial !== undefined).length).toBe(6);
  });

  test("are made again where trials came to nothing", async () => {
    const { clock, ask, health, fail, asked, delay } = openChecked(["alive", hung, "alive"]);
    for (let answer = 0; answer < 20; answer++) health.send({ failFast: false })?.answered();
    await fail();
    delay.ms = 500;
    await clock.advance(1000);
    const trial = health.send({ failFast: false });
    expect(trial).toBeDefined();
    await clock.advance(500);
    // Nobody waits for it any more.
    trial?.end(undefined);
    expect(await ask({ failFast: true })).toMatch(/down since/);
    expect(asked()).toBe(2);
    await clock.advance(5000);
    expect(await ask({ failFast: true })).toMatch(/down since/);
    await clock.advance(500);
    expect(asked()).toBe(3);
    expect(await ask({ failFast: true })).toBe("ready");
  });

  test("are not made while nobody asks for anything", async () => {
    const { clock, ask, fail, asked } = openChecked([]);
    await fail();
    await clock.advance(300_000);
    const before = asked();
    await clock.advance(3_600_000);
    expect([asked() - before, clock.sleeping]).toEqual([0, 0]);
    expect(await ask({ failFast: true })).toMatch(/down since/);
    expect(asked() - before).toBe(1);
  });
});

describe("what operators are told", () => {
  test("an outage and its end, once each", async () => {
    const { clock, events, health, send, fail } = open();
    await fail();
    expect(health.part).toEqual({
      part: `upstream ${name}`,
      state: "down",
      detail:
        "down since 2026-01-02T03:04:05Z (no answer to 15 requests in a row), asked again in 1 s: refused the connection (ECONNREFUSED).",
      isNeeded: false,
    });
    await clock.advance(1000);
    for (let trial = 0; trial < 3; trial++) send(refused);
    await clock.advance(2000);
    send();
    expect(health.part).toMatchObject({
      state: "degraded",
      detail: "asked for 9 files at a time instead of 64, and for more with each answer, as it was down",
    });
    for (let answer = 0; answer < 60; answer++) send();
    expect(events.of("upstream_state").map(({ state }) => state)).toEqual(["down", "degraded", "ok"]);
  });

  test("an upstream that is back, and that nobody asks for anything: its load comes back by itself", async () => {
    const { clock, events, health, send, fail } = open();
    await fail();
    await clock.advance(1000);
    for (let trial = 0; trial < 3; trial++) send();
    expect(health.part).toMatchObject({ state: "degraded" });
    await clock.advance(30_000);
    expect(health.part).toMatchObject({ state: "ok" });
    expect(events.of("upstream_state").map(({ state }) => state)).toEqual(["down", "degraded", "ok"]);
  });

  test("an upstream that has too much to do", () => {
    const { clock, health, send } = open({ concurrency: 10, minConcurrency: 4 });
    for (let time = 0; time < 3; time++)
      send(new SluiceError("upstream_failed", "answered 429", { details: { status: 429 } }));
    expect([health.concurrency, health.part]).toMatchObject([
      4,
      { state: "degraded", detail: "asked for 4 files at a time instead of 10, as it said that it has too much to do" },
    ]);
    return clock.advance(300_000).then(() => expect(health.condition.state).toBe("ok"));
  });

  test("an upstream that fails often, until it does so rarely", () => {
    const { events, health, send } = open();
    for (let request = 0; request < 100; request++) send(request % 10 < 3 ? refused : undefined);
    expect(health.part).toMatchObject({
      state: "degraded",
      detail:
        "30 of the last 100 requests failed or came too late, and were asked for again; answers begin after 0.10 s, 1 of 20 after 0.10 s",
    });
    for (let request = 0; request < 100; request++) send(request % 10 < 1.5 ? refused : undefined);
    expect(health.condition.state).toBe("degraded");
    for (let request = 0; request < 100; request++) send();
    expect(events.of("upstream_state").map(({ state }) => state)).toEqual(["degraded", "ok"]);
  });

  test("an upstream that is much slower than it was", () => {
    const { health, send } = open();
    for (let request = 0; request < 100; request++) send();
    for (let request = 0; request < 40; request++) send(undefined, 3000);
    expect(health.condition).toMatchObject({ state: "degraded", firstByteMs: { p50: 100, p95: 3000 } });
    expect(health.part.detail).toMatch(/answers begin after 0.10 s, 1 of 20 after 3.0 s, \d+ times as late as usual/);
    for (let request = 0; request < 40; request++) send();
    expect(health.condition.state).toBe("ok");
  });

  test("nothing of one that was never asked", () => {
    const { health } = open();
    expect(health.part).toMatchObject({ state: "ok", detail: "nothing wrong is known" });
    expect(health.condition).toEqual({ state: "ok", firstByteMs: undefined });
  });
});
