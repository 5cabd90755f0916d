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
