import { expect, test } from "vitest";
import { createLatency } from "./latency.ts";

function fill(latency: ReturnType<typeof createLatency>, times: number, ms: (index: number) => number): void {
  for (let index = 0; index < times; index++) latency.add(ms(index));
}

test("nothing is told of a few answers, nor of old ones", () => {
  let now = 0;
  const latency = createLatency({ now: () => now });
  fill(latency, 19, () => 100);
  expect(latency.firstByteMs).toBe(undefined);
  fill(latency, 1, () => 100);
  expect(latency.firstByteMs).toEqual({ p50: 100, p95: 100, p99: 100 });
  now += 601_000;
  expect(latency.firstByteMs).toBe(undefined);
});

test("quantiles are of the newest answers", () => {
  const latency = createLatency({ now: () => 0 });
  fill(latency, 300, () => 10_000);
  fill(latency, 200, (index) => (index * 7) % 200);
  expect(latency.firstByteMs).toEqual({ p50: 100, p95: 190, p99: 198 });
});

test("answers that come late one and all are a slowdown; some that do are none", () => {
  const latency = createLatency({ now: () => 0 });
  fill(latency, 100, () => 200);
  fill(latency, 100, (index) => (index % 10 < 3 ? 5200 : 200));
  expect(latency.slowdown).toBe(1);
  fill(latency, 30, () => 2400);
  expect(latency.slowdown).toBeGreaterThan(5);
});

test("a factor of little time is none", () => {
  const latency = createLatency({ now: () => 0 });
  fill(latency, 100, () => 5);
  fill(latency, 30, () => 500);
  expect(latency.slowdown).toBe(1);
});

test("what stays so becomes usual", () => {
  const latency = createLatency({ now: () => 0 });
  fill(latency, 100, () => 200);
  fill(latency, 2000, () => 5000);
  expect(latency.slowdown).toBe(1);
});
