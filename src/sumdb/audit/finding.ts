/** Something about a log that is not as it must be, with the values that contradict each other. */
export interface Finding {
  /** What it is about, such as `record 17 (corp.example/lib v1.0.0)`. */
  readonly place: string;
  /** Who says what: a label such as `the signed tree has`, and the value. */
  readonly values: readonly (readonly [label: string, value: string])[];
}

/** The first of many findings, and how many there were. */
export class Findings {
  readonly first: Finding[] = [];
  #count = 0;
  readonly #limit: number;

  constructor(limit = 20) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  add(place: string, ...values: Finding["values"]): void {
    this.#count++;
    if (this.first.length < this.#limit) this.first.push({ place, values });
  }
}

export function base64(hash: Uint8Array): string {
  return Buffer.from(hash).toString("base64");
}

/** `1 record`, `2 records`. */
export function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
