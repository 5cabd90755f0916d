import type { Clock } from "../../core/ports.ts";

/** Below this a pause costs more than it saves. */
const shortestPauseMs = 50;

/** Keeps work on bytes at or below a rate; what was not used up while nothing was done is lost. */
export class Pace {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #signal: AbortSignal;
  /** When all that was spent so far is paid for. */
  #paidAt = 0;

  constructor(
    clock: Clock,
    { bytesPerSecond, signal }: { readonly bytesPerSecond: number; readonly signal: AbortSignal },
  ) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#signal = signal;
  }

  /** Resolves when the next byte may be read. Fails with the signal's reason. */
  async spend(bytes: number): Promise<void> {
    this.#signal.throwIfAborted();
    const now = this.#clock.now();
    this.#paidAt = Math.max(this.#paidAt, now) + bytes / this.#bytesPerMs;
    const pauseMs = this.#paidAt - now;
    if (pauseMs >= shortestPauseMs) await this.#clock.sleep(pauseMs, this.#signal);
  }
}
