import { describe, expect, test } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import { createManualClock, type ManualClock } from "../../../test/support/manual-clock.ts";
import { type Breaker, type BreakerState, createBreaker } from "./breaker.ts";

const refused = new SluiceError("upstream_failed", "refused the connection");
const hung = new SluiceError("upstream_timeout", "did not begin to answer");

interface Scene {
  readonly clock: ManualClock;
  readonly breaker: Breaker;
  readonly states: BreakerState[];
}

/** A breaker that waits as long as its rules allow. */
function open(): Scene {
  const clock = createManualClock();
  const states: BreakerState[] = [];
  const breaker = createBreaker({ clock, random: () => 1, onChange: (state) => states.push(state) });
  return { clock, breaker, states };
}

function send(breaker: Breaker) {
  const pass = breaker.enter();
  if (pass === undefined) throw new Error(`nothing may be sent while it is ${breaker.state}`);
  return pass;
}

async function fail({ breaker, clock }: Scene, times: number, everyMs = 200): Promise<void> {
  for (let time = 0; time < times && breaker.state === "closed"; time++) {
    send(breaker).failed(refused);
    await clock.advance(everyMs);
  }
}

describe("opens", () => {
  test("after fifteen failures in a row, and lets nobody through", async () => {
    const scene = open();
    await fail(scene, 14);
    expect(scene.breaker.state).toBe("closed");
    send(scene.breaker).failed(refused);
    expect([scene.breaker.state, scene.breaker.enter()]).toEqual(["open", undefined]);
    expect(scene.breaker.outage).toMatchObject({ reason: "no answer to 15 requests in a row", cause: refused });
    expect(scene.breaker.outage?.since).toBe(1_000_000);
  });

  test("not for a moment in which everything fails", async () => {
    const scene = open();
    await fail(scene, 100, 10);
    expect(scene.breaker.state).toBe("closed");
  });

  test("at once for many that hung until their time was up", async () => {
    const { breaker, clock } = open();
    const passes = Array.from({ length: 16 }, () => send(breaker));
    await clock.advance(60_000);
    for (const pass of passes) pass.failed(hung);
    expect(breaker.state).toBe("open");
  });

  test("not while requests are under way that may be the good ones", async () => {
    const scene = open();
    const slow = Array.from({ length: 5 }, () => send(scene.breaker));
    await fail(scene, 44);
    expect(scene.breaker.state).toBe("closed");
    slow[0]?.end();
    await fail(scene, 1);
    expect(scene.breaker.state).toBe("open");
  });

  test("when nine of ten fail for long, if never fifteen in a row", async () => {
    const scene = open();
    for (let round = 0; round < 5 && scene.breaker.state === "closed"; round++) {
      send(scene.breaker).answered();
      await fail(scene, 14);
    }
    expect(scene.breaker.outage?.reason).toMatch(/^\d+ of the last \d+ requests failed$/);
  });

  test("for what somebody else has found out", () => {
    const { breaker } = open();
    breaker.trip("it hangs", hung);
    expect(breaker.outage).toMatchObject({ reason: "it hangs", cause: hung });
  });
});

describe("while it is open", () => {
  async function down(): Promise<Scene> {
    const scene = open();
    await fail(scene, 15);
    return scene;
  }

  test("it is asked again after a while that grows, and by three requests each time", async () => {
    const scene = await down();
    const waits: number[] = [];
    for (let round = 0; round < 6; round++) {
      let waitedMs = 0;
      for (; scene.breaker.state === "open"; waitedMs += 100) await scene.clock.advance(100);
      waits.push(waitedMs);
      const trials = [send(scene.breaker), send(scene.breaker), send(scene.breaker)];
      expect(scene.breaker.enter()).toBe(undefined);
      for (const trial of trials) trial.failed(refused);
      expect(scene.breaker.state).toBe("open");
    }
    // The first one began before the last 200 ms of the failures were over.
    expect(waits).toEqual([800, 2000, 4000, 8000, 10_000, 10_000]);
  });

  test("the first answer ends it, also one to a request from before", async () => {
    const scene = open();
    const early = send(scene.breaker);
    await fail(scene, 20);
    expect(scene.breaker.state).toBe("open");
    early.answered();
    expect([scene.breaker.state, scene.breaker.outage]).toEqual(["closed", undefined]);
    await scene.clock.advance(60_000);
    expect(scene.states).toEqual(["open", "closed"]);
  });

  test("one of three trials is enough", async () => {
    const scene = await down();
    await scene.clock.advance(1000);
    const trials = [send(scene.breaker), send(scene.breaker), send(scene.breaker)];
    trials[0]?.failed(refused);
    trials[1]?.failed(refused);
    expect(scene.breaker.state).toBe("half-open");
    trials[2]?.answered();
    expect(scene.breaker.state).toBe("closed");
  });

  test("a trial that was given up leaves its place to another", async () => {
    const scene = await down();
    await scene.clock.advance(1000);
    const trials = [send(scene.breaker), send(scene.breaker), send(scene.breaker)];
    const changed = scene.breaker.changed();
    trials[0]?.end();
    await changed;
    trials[1]?.failed(refused);
    trials[2]?.failed(refused);
    expect(scene.breaker.state).toBe("half-open");
    send(scene.breaker).failed(refused);
    expect(scene.breaker.state).toBe("open");
  });

  test("requests that were sent before and fail now change nothing", async () => {
    const scene = open();
    const early = [send(scene.breaker), send(scene.breaker)];
    await fail(scene, 20);
    early[0]?.failed(refused);
    await scene.clock.advance(1000);
    expect(scene.breaker.state).toBe("half-open");
    early[1]?.failed(refused);
    expect(scene.breaker.state).toBe("half-open");
  });

  test("a Retry-After is waited for, within reason", async () => {
    const { breaker, clock } = open();
    breaker.trip("busy", new SluiceError("upstream_failed", "answered 429", { retryAfterSeconds: 60 }));
    expect(breaker.outage?.nextTryAt).toBe(clock.now() + 60_000);
    await clock.advance(59_999);
    expect(breaker.state).toBe("open");
    await clock.advance(1);
    expect(breaker.state).toBe("half-open");
    send(breaker).answered();
    breaker.trip("busy", new SluiceError("upstream_failed", "answered 429", { retryAfterSeconds: 86_400 }));
    expect(breaker.outage?.nextTryAt).toBe(clock.now() + 300_000);
  });

  test("an outage soon after another one is waited out for longer, one much later is not", async () => {
    const scene = open();
    const { breaker, clock } = scene;
    const openMs = async (): Promise<number> => {
      breaker.trip("down", refused);
      const ms = (breaker.outage?.nextTryAt ?? 0) - clock.now();
      await clock.advance(ms);
      send(breaker).answered();
      return ms;
    };
    expect([await openMs(), await openMs()]).toEqual([1000, 2000]);
    for (let answer = 0; answer < 20; answer++) send(breaker).answered();
    expect(await openMs()).toBe(1000);
  });

  test("no timer is left when it is closed for good", async () => {
    const { breaker, clock } = await down();
    breaker.close();
    expect(clock.sleeping).toBe(0);
  });
});

test("a wall clock that is set back keeps it neither closed nor open", async () => {
  const clock = createManualClock(5_000_000);
  let offset = 0;
  const breaker = createBreaker({
    clock: { now: () => clock.now() + offset, sleep: (ms, signal) => clock.sleep(ms, signal) },
    onChange: () => undefined,
  });
  send(breaker).failed(refused);
  offset = -3_600_000;
  for (let time = 0; time < 14; time++) {
    await clock.advance(200);
    send(breaker).failed(refused);
  }
  expect(breaker.state).toBe("open");
  offset = -7_200_000;
  await clock.advance(2000);
  expect(breaker.state).toBe("half-open");
});
