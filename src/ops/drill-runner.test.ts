import { expect, it } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { FaultBoard } from "../core/faults.ts";
import type { PartHealth } from "../core/health.ts";
import { DrillRunner } from "./drill-runner.ts";
import { drills } from "./drills.ts";
import { healingRules } from "./healing-rules.ts";

function setUp() {
  const faults = new FaultBoard();
  const events = recordEvents();
  const clock = createManualClock();
  let parts: readonly PartHealth[] = [{ part: "bucket", state: "ok", detail: "answers", isNeeded: false }];
  let hits = 0;
  const runner = new DrillRunner({
    faults,
    events,
    clock,
    incidents: () => ({ open: [], ended: [] }),
    health: () => Promise.resolve(parts),
    requests: () => Promise.resolve({ "200 hit": (hits += 10) }),
    corruptFile: () => Promise.reject(new Error("nothing is stored")),
  });
  const set = (state: PartHealth["state"]): void => {
    parts = parts.map((part) => ({ ...part, state }));
  };
  return { faults, events, clock, runner, set };
}

it("puts the fault in for its time, and reports when all is as before", async () => {
  const { faults, events, clock, runner, set } = setUp();
  runner.start({ name: "bucket-down", seconds: 10 });
  await clock.advance(499);
  expect(faults.is("bucket-down")).toBe(false);
  await clock.advance(1);
  expect(faults.is("bucket-down")).toBe(true);
  set("down");
  await clock.advance(9999);
  expect(faults.is("bucket-down")).toBe(true);
  await clock.advance(1);
  expect(faults.is("bucket-down")).toBe(false);
  await clock.advance(3000);
  expect(runner.status()).toMatchObject({ running: { phase: "after" }, report: undefined });
  set("ok");
  await clock.advance(500);
  expect(runner.status()).toMatchObject({
    running: undefined,
    report: {
      drill: "bucket-down",
      faultMs: 10_000,
      endedBy: "time",
      requests: { before: { "200 hit": 10 }, during: { "200 hit": 10 }, after: { "200 hit": 10 } },
      parts: [{ part: "bucket", state: "down" }],
      recoveryMs: 3500,
      problem: undefined,
    },
  });
  expect(events.all.map(({ type }) => type)).toStrictEqual(["drill_started", "drill_ended"]);
});

it("ends at once when an operator says so, and can be started again", async () => {
  const { faults, clock, runner } = setUp();
  runner.start({ name: "redis-down", seconds: 600 });
  await clock.advance(20_000);
  expect(faults.is("redis-down")).toBe(true);
  runner.stop();
  expect(faults.is("redis-down")).toBe(false);
  await clock.advance(0);
  expect(runner.status().report).toMatchObject({ endedBy: "operator", recoveryMs: 0 });
  runner.start({ name: "disk-full", seconds: 1 });
  await clock.advance(2000);
  expect(runner.status().report).toMatchObject({ drill: "disk-full", endedBy: "time" });
});

it("ends when Sluice ends, recovered or not", async () => {
  const { faults, clock, runner, set, events } = setUp();
  runner.start({ name: "disk-full", seconds: 600 });
  await clock.advance(20_000);
  set("down");
  await runner.close();
  expect(faults.is("disk-full")).toBe(false);
  expect(clock.sleeping).toBe(0);
  expect(events.of("drill_ended")).toMatchObject([{ report: { endedBy: "shutdown", recoveryMs: undefined } }]);
});

it("tells what it could not do", async () => {
  const { clock, runner } = setUp();
  runner.start({ name: "corrupt-file", seconds: 5 });
  await clock.advance(2000);
  expect(runner.status().report?.problem).toBe("nothing is stored");
  expect(clock.sleeping).toBe(0);
});

it("gives up waiting for a recovery that does not come", async () => {
  const { clock, runner, set } = setUp();
  runner.start({ name: "bucket-slow", seconds: 5 });
  await clock.advance(2000);
  set("degraded");
  await clock.advance(200_000);
  expect(runner.status().report?.recoveryMs).toBeUndefined();
});

it("takes one drill at a time, with a name there is and a time that is bounded", async () => {
  const { runner } = setUp();
  expect(() => runner.start({ name: "meteor", seconds: 1 })).toThrow(
    /^there is no drill "meteor"; there are upstream-503/,
  );
  for (const seconds of [0, -1, 1.5, 601, Number.NaN]) {
    expect(() => runner.start({ name: "disk-full", seconds })).toThrow("write a whole number from 1 to 600");
  }
  runner.start({ name: "disk-full", seconds: 1 });
  expect(() => runner.start({ name: "redis-down", seconds: 1 })).toThrow(/^the drill disk-full runs/);
  await runner.close();
  expect(() => runner.start({ name: "redis-down", seconds: 1 })).toThrow("this Sluice is ending");
});

it("has drills that rules should notice", () => {
  const rules = new Set(healingRules.map(({ name }) => name));
  expect(drills.filter(({ noticedBy }) => !rules.has(noticedBy))).toStrictEqual([]);
});
