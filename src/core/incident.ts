/** Something that went wrong, from the first sign of it until a check says that it is over. */
export interface Incident {
  /** Unique within this start of Sluice, such as `12-3f0a`. */
  readonly id: string;
  /** Of ops/healing-rules.ts. */
  readonly rule: string;
  /** What it is about: a file, an upstream, a bucket. Printable, without secrets. */
  readonly subject: string;
  /** What was seen first, for people. */
  readonly seen: string;
  /** What Sluice does about it, for people. */
  readonly did: string;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
  /** Of the last sign. */
  readonly lastSeenAt: number;
  /** How often it was seen. */
  readonly signs: number;
}

export interface EndedIncident extends Incident {
  /** `healed`: the rule's check says so. `stopped`: Sluice ended before that. */
  readonly outcome: "healed" | "stopped";
  /** What the check found, for people. */
  readonly how: string;
  readonly durationMs: number;
}

export interface Incidents {
  readonly open: readonly Incident[];
  /** The newest that ended, the last one first. */
  readonly ended: readonly EndedIncident[];
}
