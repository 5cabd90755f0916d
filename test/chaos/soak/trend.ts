import type { Sample } from "./samples.ts";

/** How one figure went over the last two thirds of a run; what comes before is warming up. */
export interface Trend {
  readonly name: keyof Sample;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** What a straight line through the samples gains over that time, as a share of the median. */
  readonly growth: number;
}

const leastWindows = 8;

/** Of each `most` samples in a row (fewer in a short run) the one with the least counts: what is left of a heap when its garbage is gone. */
export function trendOf(samples: readonly Sample[], name: keyof Sample, most = 1): Trend {
  const all = samples.slice(Math.floor(samples.length / 3));
  // A short run has at least some of them.
  const window = Math.max(1, Math.min(most, Math.floor(all.length / leastWindows)));
  const late = Array.from({ length: Math.floor(all.length / window) }, (_, index) =>
    all
      .slice(index * window, (index + 1) * window)
      .reduce((least, sample) => (sample[name] < least[name] ? sample : least)),
  );
  const values = late.map((sample) => sample[name]);
  const sorted = values.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const times = late.map(({ seconds }) => seconds);
  const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
  const growth = median === 0 ? 0 : (slope(times, values) * span) / median;
  return { name, median, least: sorted[0] ?? 0, most: sorted.at(-1) ?? 0, growth };
}

/** By least squares. */
function slope(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x0, y0] = [mean(xs), mean(ys)];
  const spread = xs.reduce((sum, x) => sum + (x - x0) ** 2, 0);
  return spread === 0 ? 0 : xs.reduce((sum, x, index) => sum + (x - x0) * ((ys[index] ?? y0) - y0), 0) / spread;
}
