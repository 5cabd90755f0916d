import { createHistogram } from "node:perf_hooks";
import { expect, it, onTestFinished } from "vitest";
import { LoadMeter } from "./load-signals.ts";

it("notices that the process is busy with something else again and again", async () => {
  const meter = new LoadMeter();
  onTestFinished(() => meter.close());
  while (meter.measure().eventLoopDelayMs < 100) {
    for (const end = performance.now() + 200; performance.now() < end;);
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
  expect(meter.measure().memoryBytes).toBeGreaterThan(1_000_000);
});

it("counts what most timers say, and not before there are some", () => {
  const delays = createHistogram();
  const meter = new LoadMeter(delays);
  onTestFinished(() => meter.close());
  const record = (...delaysMs: readonly number[]): void => delaysMs.forEach((ms) => delays.record(ms * 1e6));
  record(5000);
  expect(meter.measure().eventLoopDelayMs).toBe(0);
  record(20, 20, 20, 20);
  expect(meter.measure().eventLoopDelayMs).toBeLessThan(1);
  record(1020, 1020, 1020, 20, 20);
  expect(Math.round(meter.measure().eventLoopDelayMs)).toBeCloseTo(1000, -1);
  record(20);
  expect(Math.round(meter.measure().eventLoopDelayMs)).toBeCloseTo(1000, -1);
});
