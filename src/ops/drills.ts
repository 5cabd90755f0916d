import type { Fault } from "../core/faults.ts";

export interface Drill {
  readonly name: string;
  /** For people. */
  readonly what: string;
  /** What is put in for its time; without one it does something once. */
  readonly fault: Fault | undefined;
  /** The rule of healing-rules.ts that should notice it, where the node has and uses such a part. */
  readonly noticedBy: string;
}

export const drills: readonly Drill[] = [
  fault("upstream-503", "every upstream answers 503", "upstream-unwell"),
  fault("upstream-slow", "every answer of an upstream comes five seconds late", "upstream-unwell"),
  fault("upstream-cut", "every body from an upstream breaks off half-way", "upstream-unwell"),
  fault("upstream-down", "no upstream can be connected to", "upstream-unwell"),
  fault("bucket-down", "the bucket cannot be connected to", "bucket-down"),
  fault("bucket-slow", "every answer of the bucket comes three seconds late", "bucket-down"),
  fault("database-down", "PostgreSQL cannot be connected to", "database-down"),
  fault("redis-down", "Redis cannot be connected to", "redis-down"),
  fault("disk-full", "the data folder takes no more files", "disk-full"),
  {
    name: "corrupt-file",
    what: "a byte of one stored file is changed on the disk, and the file is checked and asked for",
    fault: undefined,
    noticedBy: "corrupt-file",
  },
];

function fault(name: Fault, what: string, noticedBy: string): Drill {
  return { name, what, fault: name, noticedBy };
}
