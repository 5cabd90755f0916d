import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 20;
/** One long pause (a collection of garbage, a machine that slept) is no overload. */
const minTimers = 5;

type Delays = Pick<ReturnType<typeof monitorEventLoopDelay>, "count" | "percentile" | "reset">;

/** Measures this process: how late its timers were since the last time that somebody looked, and its memory. */
export class LoadMeter {
  readonly #delays: Delays;
  readonly #end: () => void;
  #delayMs = 0;

  /** `delays` is given by tests. */
  constructor(delays?: Delays) {
    const own = monitorEventLoopDelay({ resolution: resolutionMs });
    if (delays === undefined) own.enable();
    this.#delays = delays ?? own;
    this.#end = () => void own.disable();
  }

  /** The lateness is that of half of the timers or more. */
  measure(): { readonly eventLoopDelayMs: number; readonly memoryBytes: number } {
    if (this.#delays.count >= minTimers) {
      // Nanoseconds from one timer to the next.
      this.#delayMs = Math.max(0, this.#delays.percentile(50) / 1e6 - resolutionMs);
      this.#delays.reset();
    }
    return { eventLoopDelayMs: this.#delayMs, memoryBytes: process.memoryUsage.rss() };
  }

  close(): void {
    this.#end();
  }
}
