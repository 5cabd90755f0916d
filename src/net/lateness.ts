/** How many of the newest came late. */
export interface Lateness {
  add(isLate: boolean): void;
  /** More late than in time: what comes late then is not lost, but the server is slow. */
  readonly isUsual: boolean;
}

const newest = 32;
/** Fewer tell nothing. */
const minSamples = 8;

export function createLateness(): Lateness {
  const samples: boolean[] = [];
  return {
    add(isLate) {
      samples.push(isLate);
      if (samples.length > newest) samples.shift();
    },
    get isUsual() {
      return samples.length >= minSamples && samples.filter(Boolean).length > samples.length / 2;
    },
  };
}
