import { SluiceError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { givenUp } from "./given-up.ts";

export interface FairQueueOptions {
  readonly clock: Clock;
  /** What is waited for, for messages and metrics: the upstream's printable name. */
  readonly name: string;
  /** Tasks under way at the same time, where that changes as it is now: it is asked whenever one begins or ends. */
  readonly concurrency: number | (() => number);
  /** Tasks that may wait. */
  readonly maxWaiting: number;
  /** How long one may wait. */
  readonly maxWaitMs: number;
  readonly onChange?: (queue: Pick<FairQueue, "running" | "waiting" | "limit">) => void;
}

/** Bounded concurrency for one upstream. Who waits takes turns with all other clients, whatever their number of waiting tasks. */
export interface FairQueue {
  /** Fails with `overloaded` when there is no room or no turn in time, with `cancelled` when the signal ends the waiting, or as the task does. */
  run<T>(client: string, signal: AbortSignal, task: () => Promise<T>): Promise<T>;
  readonly running: number;
  readonly waiting: number;
  /** Tasks that may be under way now. */
  readonly limit: number;
}

interface Waiter {
  readonly client: string;
  readonly admit: () => void;
  readonly refuse: (error: SluiceError) => void;
}

export function createFairQueue(options: FairQueueOptions): FairQueue {
  const { clock, name, concurrency, maxWaiting, maxWaitMs } = options;
  const limit = typeof concurrency === "number" ? () => concurrency : concurrency;
  // Both in order of insertion: the first client is the next whose turn it is, its first waiter the next to go.
  const lines = new Map<string, Set<Waiter>>();
  let running = 0;
  let waiting = 0;
  /** Of how long a task holds its place, in milliseconds, the newest counting a tenth. */
  let averageMs = 500;

  const queue: FairQueue = {
    async run(client, signal, task) {
      if (signal.aborted) throw givenUp(signal, name);
      if (running < limit()) running += 1;
      else await turnOf(client, signal);
      options.onChange?.(queue);
      const startedAt = clock.now();
      try {
        return await task();
      } finally {
        averageMs += (clock.now() - startedAt - averageMs) / 10;
        leave();
      }
    },
    get running() {
      return running;
    },
    get waiting() {
      return waiting;
    },
    get limit() {
      return limit();
    },
  };
  return queue;

  function turnOf(client: string, signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const settled = new AbortController();
    const waiter: Waiter = {
      client,
      admit: () => settle(turn.resolve),
      refuse: (error) => settle(() => turn.reject(error)),
    };
    const settle = (outcome: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      settled.abort();
      outcome();
    };
    const onAbort = (): void => {
      remove(waiter);
      waiter.refuse(givenUp(signal, name));
    };
    if (waiting >= maxWaiting && !makeRoom(client)) throw overloaded("too many fetches wait for it already");
    add(waiter);
    signal.addEventListener("abort", onAbort, { once: true });
    clock.sleep(maxWaitMs, settled.signal).then(
      () => {
        if (settled.signal.aborted) return;
        remove(waiter);
        waiter.refuse(overloaded(`no turn within ${maxWaitMs / 1000} s`));
      },
      // The wait ended before the time was up.
      () => undefined,
    );
    options.onChange?.(queue);
    return turn.promise;
  }

  /** Its place goes straight to the next in line, so that no newcomer can slip in between. */
  function leave(): void {
    running -= 1;
    while (running < limit()) {
      const next = takeNext();
      if (next === undefined) break;
      running += 1;
      next.admit();
    }
    options.onChange?.(queue);
  }

  function takeNext(): Waiter | undefined {
    for (const [client, line] of lines) {
      for (const waiter of line) {
        remove(waiter);
        const rest = lines.get(client);
        if (rest !== undefined) {
          lines.delete(client);
          lines.set(client, rest);
        }
        return waiter;
      }
    }
    return undefined;
  }

  /** A full queue is not the first comer's: who has most waiting gives its newest place to a client that has less. */
  function makeRoom(client: string): boolean {
    let longest: Set<Waiter> = new Set();
    for (const line of lines.values()) if (line.size > longest.size) longest = line;
    const newest = [...longest].at(-1);
    if (newest === undefined || longest.size <= (lines.get(client)?.size ?? 0) + 1) return false;
    remove(newest);
    newest.refuse(overloaded("too many fetches wait for it already"));
    return true;
  }

  function add(waiter: Waiter): void {
    const line = lines.get(waiter.client);
    if (line === undefined) lines.set(waiter.client, new Set([waiter]));
    else line.add(waiter);
    waiting += 1;
  }

  function remove(waiter: Waiter): void {
    const line = lines.get(waiter.client);
    if (line?.delete(waiter) !== true) return;
    if (line.size === 0) lines.delete(waiter.client);
    waiting -= 1;
  }

  function overloaded(why: string): SluiceError {
    const seconds = Math.ceil(((waiting / limit()) * averageMs) / 1000);
    return new SluiceError("overloaded", `${name}: ${why}. Stored modules are still served; ask again later.`, {
      retryAfterSeconds: Math.min(Math.max(seconds, 1), 60),
      details: { upstream: name, running, waiting },
    });
  }
}
