/** Random choices that a seed repeats exactly, for generated cases and fuzzing. Not for secrets. */
export interface Random {
  /** An integer from 0 to `below` - 1. */
  int(below: number): number;
  pick<T>(list: readonly T[]): T;
  /** True in about `percent` of 100 calls. */
  chance(percent: number): boolean;
}

/** A generator of the xorshift family (32 bits of state): fast and even enough for tests. */
export function createRandom(seed: number): Random {
  // Neighbouring seeds must not start alike, and a state of 0 would stay 0.
  let state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) >>> 0 || 1;
  function next(): number {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  }
  for (let round = 0; round < 8; round++) next();

  function int(below: number): number {
    return next() % below;
  }
  return {
    int,
    pick<T>(list: readonly T[]): T {
      const chosen = list[int(list.length)];
      if (chosen === undefined) throw new Error("cannot pick from an empty list");
      return chosen;
    },
    chance: (percent) => int(100) < percent,
  };
}
