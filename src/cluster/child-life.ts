import { sleepUnlessAborted } from "../core/clock.ts";
import type { Clock } from "../core/ports.ts";
import { type Child, StartFailure } from "./child.ts";

// How a child is known to be alive: it answers pings, from its first moment on, and is ready within some time.

const pingEveryMs = 5000;
/** A child that does not answer for so many pings hangs. */
const missedPings = 6;
/** With a bucket, a database and Redis that all hang, a start takes half a minute. */
const startLimitMs = 120_000;

/** It hung while it was being started, and is killed. */
export class StartHung extends StartFailure {
  constructor(how: string) {
    super(`a process of Sluice ${how} while it was being started; its log says more`, 1);
  }
}

export interface Watch {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** So many times the usual time is waited: a disk may be that slow. Default 1. */
  readonly patience?: number;
}

/** Resolves with what is wrong with it, for people, when it does not answer any more, and with undefined when `signal` ends the watch. */
export async function untilSilent(
  child: Pick<Child, "on" | "send">,
  { clock, signal, patience = 1 }: Watch,
  onAnswer?: () => void,
): Promise<string | undefined> {
  const allowed = missedPings * patience;
  let missed = 0;
  const end = child.on((message) => {
    if (message.sluice !== "pong") return;
    missed = 0;
    onAnswer?.();
  });
  try {
    while (missed < allowed) {
      child.send({ sluice: "ping" });
      missed += 1;
      if (!(await sleepUnlessAborted(clock, pingEveryMs, signal))) return undefined;
    }
  } finally {
    end();
  }
  return `did not answer for ${(allowed * pingEveryMs) / 1000} s`;
}

/** Resolves with its port. Fails with `StartFailure`, with `StartHung`, or when `signal` is aborted; then it is killed. */
export async function untilReady(child: Child, { clock, signal, patience = 1 }: Watch): Promise<number> {
  const over = new AbortController();
  const watch = { clock, signal: AbortSignal.any([signal, over.signal]), patience };
  const limitMs = startLimitMs * patience;
  const late = sleepUnlessAborted(clock, limitMs, watch.signal).then((isLate) =>
    isLate ? `was not ready within ${limitMs / 1000} s` : undefined,
  );
  const hung = Promise.race([untilSilent(child, watch), late]).then((how) => {
    if (how !== undefined) throw new StartHung(how);
    if (signal.aborted) throw new StartFailure("Sluice ends before one of its processes is ready", 1);
    return child.ready;
  });
  try {
    return await Promise.race([child.ready, hung]);
  } catch (error) {
    child.kill();
    throw error;
  } finally {
    over.abort();
  }
}
