import type { PeerName } from "./peers/peer.ts";

/** Who was measured: a server, the go command without one in between, or a Sluice that asks no checksum database. */
export type Contestant = PeerName | "direct" | "unverified";

export type Unit = "requests/s" | "records/s" | "bytes/s" | "ms" | "s" | "CPU s" | "bytes" | "count" | "×";

/** One row of the report. */
export interface Measurement {
  /** As in `--only`. */
  readonly workload: string;
  readonly title: string;
  readonly unit: Unit;
  /** One number per round, in order. */
  readonly samples: ReadonlyMap<Contestant, readonly number[]>;
  readonly aims: readonly Aim[];
}

/** What the median of Sluice should be: so many times another's, or a plain number. */
export interface Aim {
  readonly is: "at least" | "at most";
  readonly factor: number;
  readonly of?: Exclude<Contestant, "sluice">;
}

/** Collects the samples of one row. */
export class Row {
  readonly #samples = new Map<Contestant, number[]>();
  readonly #head: Omit<Measurement, "samples">;

  constructor(head: Omit<Measurement, "samples">) {
    this.#head = head;
  }

  add(contestant: Contestant, value: number): void {
    const samples = this.#samples.get(contestant);
    if (samples === undefined) this.#samples.set(contestant, [value]);
    else samples.push(value);
  }

  measurement(): Measurement {
    return { ...this.#head, samples: this.#samples };
  }
}

/** Every one takes a turn per round, another one first each time, so that what changes on the machine hits all alike. */
export async function takeTurns<T>(
  rounds: number,
  contestants: readonly T[],
  turn: (contestant: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const first = round % Math.max(1, contestants.length);
    for (const contestant of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      await turn(contestant, round);
    }
  }
}
