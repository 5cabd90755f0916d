import { expect, it } from "vitest";
import type { Sample } from "./samples.ts";
import { trendOf } from "./trend.ts";

it("tells growth over the last two thirds, and passes over how it began", () => {
  const grows = trendOf(
    samples((minute) => (minute < 20 ? 900 : 100 + minute)),
    "rssMib",
  );
  expect(grows).toMatchObject({ name: "rssMib", median: 140, least: 120, most: 159 });
  expect(grows.growth).toBeCloseTo(39 / 140);
});

it.each([
  ["what goes up and down", (minute: number) => 100 + (minute % 2) * 50],
  ["what stands still", () => 100],
  ["what shrinks", (minute: number) => 300 - minute],
  ["nothing at all", () => 0],
])("takes %s for no growth", (_, value) => {
  expect(trendOf(samples(value), "rssMib").growth).toBeLessThan(0.05);
});

it("tells growth of what is left of a heap, not of its garbage", () => {
  const flat = samples((minute) => 100 + (minute % 5) * (minute < 50 ? 10 : 40));
  expect(trendOf(flat, "rssMib").growth).toBeGreaterThan(0.1);
  expect(trendOf(flat, "rssMib", 5)).toMatchObject({ median: 100, least: 100, most: 100, growth: 0 });
  const leaking = samples((minute) => 100 + minute + (minute % 5) * 20);
  expect(trendOf(leaking, "rssMib", 5).growth).toBeGreaterThan(0.2);
});

function samples(value: (minute: number) => number): Sample[] {
  const none = {
    heapMib: 0,
    externalMib: 0,
    cpuSeconds: 0,
    files: 0,
    sockets: 0,
    threads: 0,
    resources: 0,
    modulesMib: 0,
    stagingFiles: 0,
    databasesMib: 0,
    outboxFiles: 0,
    evictedFiles: 0,
  };
  return Array.from({ length: 60 }, (_, minute) => ({ ...none, seconds: minute * 60, rssMib: value(minute) }));
}
