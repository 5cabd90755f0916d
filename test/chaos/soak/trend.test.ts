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
