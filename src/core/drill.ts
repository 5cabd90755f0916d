import type { PartHealth } from "./health.ts";
import type { EndedIncident, Incident } from "./incident.ts";

/** Answered requests by outcome, such as `200 hit`. */
export type RequestCounts = Readonly<Record<string, number>>;

export interface DrillReport {
  readonly drill: string;
  /** What was broken, for people. */
  readonly what: string;
  /** Milliseconds since the epoch, of the fault. */
  readonly startedAt: number;
  readonly faultMs: number;
  readonly endedBy: "time" | "operator" | "shutdown";
  /** What was hurt. */
  readonly requests: { readonly before: RequestCounts; readonly during: RequestCounts; readonly after: RequestCounts };
  /** What was noticed. Those that are over have an outcome. */
  readonly incidents: readonly (Incident | EndedIncident)[];
  /** Parts that were worse than before, as they were at their worst. */
  readonly parts: readonly PartHealth[];
  /** From the end of the fault until all incidents were over and all parts as before; undefined where that was not seen. */
  readonly recoveryMs: number | undefined;
  /** Why the drill could not do what it should, for people. */
  readonly problem: string | undefined;
}

export interface DrillStatus {
  readonly isEnabled: boolean;
  readonly drills: readonly { readonly name: string; readonly what: string }[];
  readonly running:
    | { readonly drill: string; readonly phase: "before" | "fault" | "after"; readonly faultEndsAt: number }
    | undefined;
  /** Of the last one that ended. */
  readonly report: DrillReport | undefined;
}
