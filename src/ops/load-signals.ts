import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 20;

/** Measures this process: how late its timers are since the last time that somebody looked, and its memory. */
export class LoadMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs });

  constructor() {
    this.#delay.enable();
  }

  measure(): { readonly eventLoopDelayMs: number; readonly memoryBytes: number } {
    // Nanoseconds, and from one timer to the next. Without any it is 0.
    const p90 = this.#delay.percentile(90) / 1e6;
    this.#delay.reset();
    return { eventLoopDelayMs: Math.max(0, p90 - resolutionMs), memoryBytes: process.memoryUsage.rss() };
  }

  close(): void {
    this.#delay.disable();
  }
}
