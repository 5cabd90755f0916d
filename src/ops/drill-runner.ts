import { sleepUnlessAborted } from "../core/clock.ts";
import type { DrillReport, DrillStatus, RequestCounts } from "../core/drill.ts";
import { SluiceError } from "../core/errors.ts";
import type { FaultBoard } from "../core/faults.ts";
import type { PartHealth } from "../core/health.ts";
import type { Incidents } from "../core/incident.ts";
import type { Events } from "../core/events.ts";
import type { Clock } from "../core/ports.ts";
import { type Drill, drills } from "./drills.ts";

export interface DrillRunnerOptions {
  readonly faults: FaultBoard;
  readonly events: Events;
  readonly clock: Clock;
  readonly incidents: () => Incidents;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly requests: () => Promise<RequestCounts>;
  /** Breaks one stored file, and resolves when it is whole again. */
  readonly corruptFile: (signal: AbortSignal) => Promise<void>;
}

interface Run {
  readonly drill: Drill;
  readonly durationMs: number;
  /** Ends the fault. */
  readonly ending: AbortController;
  phase: "before" | "fault" | "after";
  faultEndsAt: number;
  endedBy: DrillReport["endedBy"];
  problem: string | undefined;
  readonly worst: Map<string, PartHealth>;
}

const maxSeconds = 600;
/** Requests are counted for so long before, to compare with. */
const maxBeforeMs = 10_000;
const sampleMs = 500;
/** So long a recovery is waited for. */
const maxRecoveryMs = 180_000;
const ranks: Readonly<Record<PartHealth["state"], number>> = { ok: 0, degraded: 1, down: 2 };

/** Breaks one thing of a running Sluice for a while, and reports what came of it. One at a time. */
export class DrillRunner {
  readonly #options: DrillRunnerOptions;
  readonly #closing = new AbortController();
  #run: Run | undefined;
  #running: Promise<void> | undefined;
  #report: DrillReport | undefined;

  constructor(options: DrillRunnerOptions) {
    this.#options = options;
  }

  /** Fails with `bad_request` for what is no drill, and with `drill_refused` while another one runs. */
  start({ name, seconds }: { readonly name: string; readonly seconds: number }): DrillStatus {
    const drill = drills.find((candidate) => candidate.name === name);
    if (drill === undefined) {
      const names = drills.map((known) => known.name).join(", ");
      throw new SluiceError("bad_request", `there is no drill ${JSON.stringify(name)}; there are ${names}`);
    }
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > maxSeconds) {
      throw new SluiceError("bad_request", `seconds is ${seconds}; write a whole number from 1 to ${maxSeconds}`);
    }
    if (this.#run !== undefined) {
      const which = this.#run.drill.name;
      throw new SluiceError(
        "drill_refused",
        `the drill ${which} runs; wait for its end, or end it with DELETE /-/drill`,
      );
    }
    if (this.#closing.signal.aborted) throw new SluiceError("drill_refused", "this Sluice is ending");
    const durationMs = seconds * 1000;
    const beforeMs = Math.min(maxBeforeMs, durationMs / 20);
    const run: Run = {
      drill,
      durationMs,
      ending: new AbortController(),
      phase: "before",
      faultEndsAt: this.#options.clock.now() + beforeMs + durationMs,
      endedBy: "time",
      problem: undefined,
      worst: new Map(),
    };
    this.#run = run;
    this.#report = undefined;
    this.#running = this.#do(run, beforeMs).finally(() => {
      this.#options.faults.end();
      this.#run = undefined;
    });
    // What goes wrong with a drill is in its report; a bug is told by whoever closes.
    this.#running.catch(() => undefined);
    return this.status();
  }

  /** The fault ends at once; the report follows when Sluice has recovered. */
  stop(): DrillStatus {
    this.#end("operator");
    return this.status();
  }

  status(): DrillStatus {
    const run = this.#run;
    return {
      isEnabled: true,
      drills: drills.map(({ name, what }) => ({ name, what })),
      running: run && { drill: run.drill.name, phase: run.phase, faultEndsAt: run.faultEndsAt },
      report: this.#report,
    };
  }

  async close(): Promise<void> {
    this.#end("shutdown");
    this.#closing.abort();
    await this.#running;
  }

  #end(by: Run["endedBy"]): void {
    const run = this.#run;
    if (run === undefined || run.phase === "after" || run.ending.signal.aborted) return;
    run.endedBy = by;
    run.ending.abort();
    this.#options.faults.end();
  }

  async #do(run: Run, beforeMs: number): Promise<void> {
    const { clock, faults, events, requests, health } = this.#options;
    const { drill, ending } = run;
    const counts = [await requests()];
    const partsBefore = await health();
    await sleepUnlessAborted(clock, beforeMs, ending.signal);
    counts.push(await requests());
    const startedAt = clock.now();
    run.phase = "fault";
    run.faultEndsAt = startedAt + run.durationMs;
    if (!ending.signal.aborted) {
      events.emit({ type: "drill_started", drill: drill.name, seconds: run.durationMs / 1000 });
      if (drill.fault === undefined) await this.#corrupt(run);
      else {
        faults.begin(drill.fault);
        await this.#hold(run, partsBefore);
        faults.end();
      }
    }
    const endedAt = clock.now();
    run.phase = "after";
    counts.push(await requests());
    const recoveryMs = await this.#recovery(run, { startedAt, endedAt, partsBefore });
    counts.push(await requests());
    const [zero = {}, one = {}, two = {}, three = {}] = counts;
    const report: DrillReport = {
      drill: drill.name,
      what: drill.what,
      startedAt,
      faultMs: endedAt - startedAt,
      endedBy: run.endedBy,
      requests: { before: difference(zero, one), during: difference(one, two), after: difference(two, three) },
      incidents: this.#incidentsSince(startedAt),
      parts: [...run.worst.values()],
      recoveryMs,
      problem: run.problem,
    };
    this.#report = report;
    events.emit({ type: "drill_ended", report });
  }

  async #corrupt(run: Run): Promise<void> {
    const { clock, corruptFile } = this.#options;
    const over = new AbortController();
    const late = sleepUnlessAborted(clock, run.durationMs, AbortSignal.any([over.signal, run.ending.signal])).then(() =>
      over.abort(),
    );
    try {
      await corruptFile(over.signal);
    } catch (error) {
      run.problem = error instanceof Error ? error.message : String(error);
    }
    over.abort();
    await late;
  }

  async #hold(run: Run, partsBefore: readonly PartHealth[]): Promise<void> {
    const { clock } = this.#options;
    while (clock.now() < run.faultEndsAt) {
      await this.#look(run, partsBefore);
      const ms = Math.max(0, Math.min(sampleMs, run.faultEndsAt - clock.now()));
      if (!(await sleepUnlessAborted(clock, ms, run.ending.signal))) return;
    }
  }

  /** Remembers the worst of each part. Answers whether one is worse than before. */
  async #look(run: Run, before: readonly PartHealth[]): Promise<boolean> {
    const states = new Map(before.map(({ part, state }) => [part, state]));
    let isWorse = false;
    for (const part of await this.#options.health()) {
      if (ranks[part.state] <= ranks[states.get(part.part) ?? "ok"]) continue;
      isWorse = true;
      const known = run.worst.get(part.part);
      if (known === undefined || ranks[part.state] > ranks[known.state]) run.worst.set(part.part, part);
    }
    return isWorse;
  }

  async #recovery(
    run: Run,
    at: { readonly startedAt: number; readonly endedAt: number; readonly partsBefore: readonly PartHealth[] },
  ): Promise<number | undefined> {
    const { clock, incidents } = this.#options;
    while (clock.now() - at.endedAt < maxRecoveryMs) {
      const isWorse = await this.#look(run, at.partsBefore);
      const isOpen = incidents().open.some(({ openedAt }) => openedAt >= at.startedAt);
      if (!isWorse && !isOpen) return clock.now() - at.endedAt;
      if (!(await sleepUnlessAborted(clock, sampleMs, this.#closing.signal))) return undefined;
    }
    return undefined;
  }

  #incidentsSince(startedAt: number): DrillReport["incidents"] {
    const { open, ended } = this.#options.incidents();
    return [...ended.toReversed(), ...open].filter(({ openedAt }) => openedAt >= startedAt);
  }
}

function difference(from: RequestCounts, to: RequestCounts): RequestCounts {
  const changed = Object.entries(to).map(([outcome, count]) => [outcome, count - (from[outcome] ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, count]) => count > 0));
}
