import { SluiceError } from "./errors.ts";
import type { PartHealth } from "./health.ts";
import type { Events } from "./events.ts";
import type { Clock, Source } from "./ports.ts";

/**
 * What a node takes on, in the order in which it is given up when there is too much: what nobody waits for, what costs most, and last
 * what is here already. Answers that the server has ready in memory are never given up: a refusal would cost as much.
 */
export const workClasses = ["background", "cold_git", "cold_file", "revalidation", "hit"] as const;

export type WorkClass = (typeof workClasses)[number];

/** From which share of a limit on. Without the work of the classes before it, a limit is rarely reached. */
const givenUpFrom: Readonly<Record<WorkClass, number>> = {
  background: 0.8,
  cold_git: 0.85,
  cold_file: 0.9,
  revalidation: 0.95,
  hit: 1.1,
};

const words: Readonly<Record<WorkClass, string>> = {
  background: "work in the background",
  cold_git: "what is not stored and comes from a repository",
  cold_file: "what is not stored",
  revalidation: "lists and queries that are not stored",
  hit: "everything that is not in memory",
};

export interface LoadSignals {
  /** Files and records being fetched, those that wait for their turn included. */
  readonly fetching: number;
  /** How late half of the timers are, or more of them. */
  readonly eventLoopDelayMs: number;
  /** Of the process, as the operating system counts it. */
  readonly memoryBytes: number;
}

export interface LoadLimits {
  readonly maxFetching: number;
  readonly maxEventLoopDelayMs: number;
  /** 0 is none. */
  readonly maxMemoryBytes: number;
}

/** How near a node is to its limits: the share of the one that is nearest, and which that is, for people. */
export interface Pressure {
  readonly share: number;
  readonly reason: string;
}

export function pressureOf(signals: LoadSignals, limits: LoadLimits): Pressure {
  const { fetching, eventLoopDelayMs, memoryBytes } = signals;
  const { maxFetching, maxEventLoopDelayMs, maxMemoryBytes } = limits;
  const all: Pressure[] = [
    { share: fetching / maxFetching, reason: `${fetching} of ${maxFetching} fetches are under way` },
    {
      share: eventLoopDelayMs / maxEventLoopDelayMs,
      reason: `its timers are ${Math.round(eventLoopDelayMs)} ms late, of ${maxEventLoopDelayMs} ms`,
    },
  ];
  if (maxMemoryBytes > 0) {
    const reason = `${mebibytes(memoryBytes)} of ${mebibytes(maxMemoryBytes)} MiB of memory are in use`;
    all.push({ share: memoryBytes / maxMemoryBytes, reason });
  }
  return all.reduce((most, one) => (one.share > most.share ? one : most));
}

export function isGivenUp(work: WorkClass, { share }: Pressure): boolean {
  return share >= givenUpFrom[work];
}

export interface LoadOptions {
  readonly limits: LoadLimits;
  readonly clock: Clock;
  readonly events: Events;
  readonly fetching: () => number;
  /** Looked at a few times a second at most. */
  readonly measure: () => Omit<LoadSignals, "fetching">;
}

const measureEveryMs = 250;
const tellEveryMs = 10_000;
const retryAfterSeconds = 5;

/** Decides what a node takes on now. */
export class Load {
  readonly #options: LoadOptions;
  #measured: Omit<LoadSignals, "fetching"> = { eventLoopDelayMs: 0, memoryBytes: 0 };
  #measuredAt = Number.NEGATIVE_INFINITY;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Fails with `overloaded` when this is to be given up now. */
  admit(work: WorkClass): void {
    const { clock, events } = this.#options;
    const pressure = this.#pressure();
    if (!isGivenUp(work, pressure)) return;
    const isTold = clock.now() - this.#toldAt < tellEveryMs;
    if (!isTold) this.#toldAt = clock.now();
    events.emit({ type: "work_shed", work, reason: pressure.reason, isNews: !isTold });
    throw new SluiceError(
      "overloaded",
      `this Sluice has too much to do (${pressure.reason}), so ${words[work]} must wait; ask again in ${retryAfterSeconds} s`,
      { retryAfterSeconds, details: { work } },
    );
  }

  /** The same as an answer. Nobody is told: nobody misses it. */
  mayAdmit(work: WorkClass): boolean {
    return !isGivenUp(work, this.#pressure());
  }

  health(): readonly PartHealth[] {
    const pressure = this.#pressure();
    const given = workClasses.filter((work) => isGivenUp(work, pressure));
    const part = { part: "load", isNeeded: false } as const;
    if (given.length === 0) return [{ ...part, state: "ok", detail: pressure.reason }];
    return [{ ...part, state: "degraded", detail: `${pressure.reason}; given up: ${given.join(", ")}` }];
  }

  #pressure(): Pressure {
    const { clock, limits, fetching, measure } = this.#options;
    const now = clock.now();
    // A clock that was set back counts, too.
    if (Math.abs(now - this.#measuredAt) >= measureEveryMs) {
      this.#measured = measure();
      this.#measuredAt = now;
    }
    return pressureOf({ ...this.#measured, fetching: fetching() }, limits);
  }
}

/** Asks it while there is room for this class of work. */
export function withLoad(source: Source, load: Load, work: WorkClass): Source {
  return {
    ...source,
    async fetch(request, receive, context) {
      load.admit(work);
      return source.fetch(request, receive, context);
    },
  };
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
