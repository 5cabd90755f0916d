import { expect, it, onTestFinished } from "vitest";
import { LoadMeter } from "./load-signals.ts";

it("notices that the process does nothing else for a while", async () => {
  const meter = new LoadMeter();
  onTestFinished(() => meter.close());
  const turn = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 1));
  while (meter.measure().eventLoopDelayMs < 100) {
    await turn();
    for (const end = performance.now() + 200; performance.now() < end;);
    await turn();
  }
  expect(meter.measure().memoryBytes).toBeGreaterThan(1_000_000);
});
