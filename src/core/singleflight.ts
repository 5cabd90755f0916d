/**
 * Any number of simultaneous askers of one key cost one flight. A flight belongs to nobody: an asker that goes away stops
 * waiting (`waitUnlessAborted`) and the flight goes on for the others, and into the store.
 */
export class Singleflight<T> {
  readonly #flights = new Map<string, Promise<T>>();

  get size(): number {
    return this.#flights.size;
  }

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  run(key: string, start: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    const flight = start().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    // Whoever waits handles the failure; when nobody does any more, it must not end the process.
    flight.catch(() => undefined);
    return flight;
  }

  /** Resolves when everything that flies now has landed, well or not. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#flights.values());
  }
}

/** The promise's outcome, or the signal's reason if that comes first. */
export async function waitUnlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
