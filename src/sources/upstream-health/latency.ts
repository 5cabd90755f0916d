import type { Clock, FirstByteMs } from "../../core/ports.ts";

/** How long an upstream takes to its first byte. */
export interface Latency {
  add(ms: number): void;
  /** Of the newest answers; undefined when they are too few to tell. */
  readonly firstByteMs: FirstByteMs | undefined;
  /** The newest answers came so many times later than it is usual for this upstream; 1 is as always. */
  readonly slowdown: number;
}

const maxSamples = 200;
const maxAgeMs = 600_000;
const minSamples = 20;
/** Of these the middle one is what it takes now. */
const newest = 30;
/** One answer moves what is usual by this part of the way. */
const learning = 1 / 300;
/** A difference below it does nobody harm, whatever its factor. */
const noticeableMs = 1000;

/**
 * Answers of one upstream differ by a factor of hundreds, as it has some files at hand and fetches others. So it goes by the
 * middle of several, and learns what is usual slowly, on a scale of factors.
 */
export function createLatency(clock: Pick<Clock, "now">): Latency {
  const samples: { readonly at: number; readonly ms: number }[] = [];
  let usual: number | undefined;
  return {
    add(ms) {
      samples.push({ at: clock.now(), ms });
      if (samples.length > maxSamples) samples.shift();
      if (usual !== undefined) usual += (scaled(ms) - usual) * learning;
      else if (samples.length >= minSamples) usual = scaled(quantile(sorted(samples), 0.5));
    },
    get firstByteMs() {
      const times = sorted(young());
      if (times.length < minSamples) return undefined;
      return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) };
    },
    get slowdown() {
      const now = young().slice(-newest);
      if (usual === undefined || now.length < minSamples) return 1;
      const ms = quantile(sorted(now), 0.5);
      const usualMs = Math.exp(usual);
      return ms - usualMs < noticeableMs ? 1 : ms / usualMs;
    },
  };

  function young(): typeof samples {
    const oldest = clock.now() - maxAgeMs;
    return samples.filter(({ at }) => at >= oldest);
  }
}

function scaled(ms: number): number {
  return Math.log(Math.max(ms, 1));
}

function sorted(samples: readonly { readonly ms: number }[]): number[] {
  return samples.map(({ ms }) => ms).sort((a, b) => a - b);
}

function quantile(times: readonly number[], share: number): number {
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
}
