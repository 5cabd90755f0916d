import { describe, expect, test } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { createLookout } from "./lookout.ts";

const late = new SluiceError("upstream_timeout", "did not answer a check");
const broken = new SluiceError("upstream_failed", "answered a check with 502", { details: { status: 502 } });

type Outcome = "alive" | "unknown" | SluiceError;

function open(outcomes: readonly Outcome[]) {
  const clock = createManualClock();
  const left = [...outcomes];
  const silences: number[] = [];
  let asked = 0;
  let oldest: number | undefined;
  const lookout = createLookout({
    clock,
    check: async () => {
      asked += 1;
      return left.shift() ?? "unknown";
    },
    oldestUnanswered: () => oldest,
    onSilent: (silentMs) => silences.push(silentMs),
    onChecked: () => undefined,
  });
  return {
    clock,
    lookout,
    silences,
    asked: () => asked,
    send(): void {
      oldest ??= clock.now();
      lookout.sent();
    },
    giveUp(): void {
      if (oldest !== undefined) lookout.gaveUp(oldest);
      oldest = undefined;
    },
    answer(times = 1): void {
      oldest = undefined;
      for (let time = 0; time < times; time++) lookout.answered();
    },
  };
}

describe("an upstream of which nothing comes for ten seconds", () => {
  test("is asked twice, and hangs when both fail", async () => {
    const scene = open(["alive", late, late]);
    scene.answer(20);
    scene.send();
    await scene.clock.advance(9000);
    expect(scene.asked()).toBe(1);
    await scene.clock.advance(1000);
    expect([scene.asked(), scene.silences]).toEqual([3, [10_000]]);
  });

  test("works when it answers one of them, and is asked again after as long", async () => {
    const scene = open(["alive", late, "alive", late, late]);
    scene.answer(20);
    scene.send();
    await scene.clock.advance(19_000);
    expect([scene.asked(), scene.silences]).toEqual([3, []]);
    await scene.clock.advance(1000);
    expect([scene.asked(), scene.silences]).toEqual([5, [10_000]]);
  });

  test("is left alone as long as answers come", async () => {
    const scene = open([]);
    for (let second = 0; second < 60; second++) {
      scene.send();
      await scene.clock.advance(1000);
      scene.answer(0);
      scene.send();
      scene.lookout.answered();
    }
    // Once it was asked, after twenty answers.
    expect([scene.asked(), scene.silences]).toEqual([1, []]);
  });
});

test("what was waited for requests that were given up counts, the time between them does not", async () => {
  const scene = open([late, late]);
  const silences: number[] = [];
  for (let number = 0; number < 3; number++) {
    scene.send();
    await scene.clock.advance(4000);
    scene.giveUp();
    await scene.clock.advance(60_000);
    silences.push(scene.silences.length);
  }
  scene.send();
  await scene.clock.advance(5000);
  expect([silences, scene.silences]).toEqual([[0, 0, 1], [12_000]]);
});

test.each([
  ["nothing", Number.POSITIVE_INFINITY],
  ["others that are given up, every second", 1000],
  ["others that are given up, every two seconds", 2000],
])("a request that hangs tells after ten seconds beside %s", async (_, everyMs) => {
  const scene = open([late, late]);
  scene.send();
  for (let ms = 200; ms <= 10_000; ms += 200) {
    await scene.clock.advance(200);
    if (ms % everyMs === 200) scene.lookout.gaveUp(scene.clock.now() - 200);
  }
  expect(scene.silences).toEqual([10_000]);
});

test("an answer makes up for all that was given up before", async () => {
  const scene = open([]);
  for (let number = 0; number < 20; number++) {
    scene.send();
    await scene.clock.advance(7000);
    scene.giveUp();
    scene.send();
    scene.answer(0);
    scene.lookout.answered();
  }
  // Once it was asked, after twenty answers.
  expect([scene.asked(), scene.silences]).toEqual([1, []]);
});

describe("what a check fails with counts for nothing", () => {
  test("where none was ever answered, though requests are", async () => {
    const scene = open(Array.from({ length: 9 }, () => late));
    scene.answer(20);
    scene.send();
    await scene.clock.advance(40_000);
    expect(scene.silences).toEqual([]);
    expect(await scene.lookout.ask()).toBe("unknown");
  });

  test("where it is an answer, and none was ever good", async () => {
    const scene = open([broken, broken]);
    scene.send();
    await scene.clock.advance(10_000);
    expect([scene.asked(), scene.silences]).toEqual([1, []]);
  });
});

test("one that never answered anything hangs when a check does, too", async () => {
  const scene = open([late, late]);
  scene.send();
  await scene.clock.advance(10_000);
  expect(scene.silences).toEqual([10_000]);
});

test("nobody watches an upstream that is not used, or is closed", async () => {
  const scene = open([late, late]);
  scene.send();
  scene.answer();
  await scene.clock.advance(5000);
  expect(scene.clock.sleeping).toBe(0);
  scene.send();
  scene.lookout.close();
  await scene.clock.advance(60_000);
  expect([scene.clock.sleeping, scene.asked()]).toEqual([0, 0]);
});
