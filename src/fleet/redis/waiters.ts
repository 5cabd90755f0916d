import type { Clock } from "../../core/ports.ts";

/** How somebody's work ended, as far as is known. */
export type EndOfWork = "done" | "failed" | "unknown";

/** Those of this process who wait for the end of leases. */
export class Waiters {
  readonly #waiters = new Map<string, Set<Waiter>>();

  /** From now on no end of this lease is missed. */
  add(lease: string): Waiter {
    const waiter = new Waiter(lease);
    const others = this.#waiters.get(lease);
    if (others === undefined) this.#waiters.set(lease, new Set([waiter]));
    else others.add(waiter);
    return waiter;
  }

  remove(waiter: Waiter): void {
    const others = this.#waiters.get(waiter.lease);
    others?.delete(waiter);
    if (others?.size === 0) this.#waiters.delete(waiter.lease);
  }

  wake(lease: string, end: EndOfWork): void {
    for (const waiter of this.#waiters.get(lease) ?? []) waiter.wake(end);
  }

  wakeAll(end: EndOfWork): void {
    for (const lease of this.#waiters.keys()) this.wake(lease, end);
  }
}

export class Waiter {
  readonly lease: string;
  #next = Promise.withResolvers<EndOfWork>();

  constructor(lease: string) {
    this.lease = lease;
  }

  wake(end: EndOfWork): void {
    this.#next.resolve(end);
  }

  /** The first end since the last call, or `unknown` after `ms`. */
  async next(ms: number, clock: Clock): Promise<EndOfWork> {
    const over = new AbortController();
    const late = clock.sleep(ms, over.signal).then((): EndOfWork => "unknown");
    late.catch(() => undefined);
    try {
      return await Promise.race([this.#next.promise, late]);
    } finally {
      over.abort();
      this.#next = Promise.withResolvers();
    }
  }
}
