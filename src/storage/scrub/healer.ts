import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import { sleepUnlessAborted } from "../../core/clock.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, Clock } from "../../core/ports.ts";

export interface HealerOptions {
  /** Brings a file again that was taken away. Fails with why it cannot be had now. */
  readonly heal: (request: FileRequest, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly events: Events;
}

const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;
/** After so long it waits for somebody who asks for it. */
const patienceMs = 7 * 86_400_000;
/** More wait for whoever asks for them. */
const maxPending = 1000;

/** Brings back what was found broken, and tries again while the sources are down. A client that asks for one of these files comes first. */
export class Healer {
  readonly #options: HealerOptions;
  readonly #closing = new AbortController();
  readonly #pending = new Map<BlobKey, Promise<void>>();
  /** One after the other: it is no reason to disturb clients. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: HealerOptions) {
    this.#options = options;
  }

  add(request: FileRequest): void {
    const key = blobKey(request);
    if (this.#closing.signal.aborted || this.#pending.has(key) || this.#pending.size >= maxPending) return;
    const healing = this.#heal(request).finally(() => this.#pending.delete(key));
    this.#pending.set(key, healing);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#pending.values());
  }

  async #heal(request: FileRequest): Promise<void> {
    const { clock } = this.#options;
    const brokenAt = clock.now();
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      if (await this.#inTurn(() => this.#attempt(request, brokenAt))) return;
      if (clock.now() - brokenAt > patienceMs) return;
      if (!(await sleepUnlessAborted(clock, pauseMs, this.#closing.signal))) return;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  /** Answers whether there is nothing more to do. */
  async #attempt(request: FileRequest, brokenAt: number): Promise<boolean> {
    const { heal, clock, events } = this.#options;
    const { signal } = this.#closing;
    if (signal.aborted) return true;
    const key = blobKey(request);
    try {
      await heal(request, signal);
      events.emit({ type: "file_healed", key, outcome: "healed", durationMs: clock.now() - brokenAt });
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      const reason = error instanceof Error ? error.message : String(error);
      const outcome = isSluiceError(error) ? error.code : "internal";
      events.emit({ type: "file_healed", key, outcome, durationMs: clock.now() - brokenAt, reason });
      return false;
    }
  }
}
