import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";
import type { Clock } from "../core/ports.ts";
import { tellFailure } from "./failures.ts";
import { withPatience } from "./patience.ts";

export interface BucketGuardOptions {
  /** Of the bucket, printable. */
  readonly name: string;
  /** A cheap question to it. */
  readonly probe: () => Promise<unknown>;
  readonly clock: Clock;
  readonly events: Events;
}

export interface Question<T> {
  readonly work: () => Promise<T>;
  /** Whoever asks waits no longer. Without it the work has time limits of its own. */
  readonly patienceMs?: number;
  /** For an answer that nobody waits for any more. */
  readonly onLate?: (late: T) => void;
}

/** Failures in a row until the bucket is left alone. */
const maxFailures = 3;
const probePatienceMs = 5_000;
const firstRestMs = 1_000;
const maxRestMs = 15_000;

/**
 * Stands in front of a bucket, so that one that is down or hangs costs some requests a moment, and the others nothing: after
 * some failures in a row it is not asked any more, until a probe in the background finds it well.
 */
export class BucketGuard {
  readonly #options: BucketGuardOptions;
  readonly #closing = new AbortController();
  #failures = 0;
  #lastFailure: string | undefined;
  #recovering: Promise<void> | undefined;

  constructor(options: BucketGuardOptions) {
    this.#options = options;
  }

  /** It is not asked now: every question fails at once. */
  get isResting(): boolean {
    return this.#recovering !== undefined;
  }

  /** Its last answer was a good one, or it was not asked yet. */
  get isWell(): boolean {
    return this.#failures === 0;
  }

  /** What went wrong last, while it is not well. */
  get trouble(): string | undefined {
    return this.isWell ? undefined : this.#lastFailure;
  }

  /**
   * Fails with `storage_failed`, which is counted and told, as work does that takes too long. Not that of one file which is `refused`,
   * for its name or for lack of a claim to it.
   */
  async ask<T>({ work, patienceMs, onLate }: Question<T>): Promise<T> {
    const { name, clock } = this.#options;
    if (this.isResting) {
      throw new SluiceError("storage_failed", `${name} is left alone until it is well again: ${this.#lastFailure}`, {
        retryAfterSeconds: 10,
      });
    }
    try {
      const answer =
        patienceMs === undefined
          ? await work()
          : await withPatience(work(), { clock, ms: patienceMs, ...(onLate !== undefined && { onLate }) });
      this.#failures = 0;
      return answer;
    } catch (error) {
      if (isSluiceError(error, "storage_failed") && error.details["refused"] === undefined) this.report(error);
      throw error;
    }
  }

  /** For what failed after it was answered, such as a body that stops. */
  report(error: SluiceError): void {
    tellFailure(this.#options.events, this.#options.name, error);
    this.#fail(error);
  }

  /** It counts as failed already: it is known from elsewhere that it cannot be asked. */
  assumeDown(error: Error): void {
    this.#failures = maxFailures - 1;
    this.#fail(error);
  }

  /** Resolves when it may be asked. Fails with the signal's reason, or when this guard is closed. */
  async untilAsked(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (this.isResting) await clock.sleep(firstRestMs, AbortSignal.any([signal, this.#closing.signal]));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#recovering;
  }

  #fail(error: Error): void {
    this.#failures++;
    this.#lastFailure = error.message;
    if (this.#failures < maxFailures || this.isResting || this.#closing.signal.aborted) return;
    const { name, events } = this.#options;
    events.emit({ type: "bucket_state", bucket: name, state: "down", reason: error.message });
    this.#recovering = this.#recover();
  }

  async #recover(): Promise<void> {
    const { name, events } = this.#options;
    await this.#untilWell();
    this.#recovering = undefined;
    if (this.#closing.signal.aborted) return;
    this.#failures = 0;
    events.emit({ type: "bucket_state", bucket: name, state: "ok" });
  }

  async #untilWell(): Promise<void> {
    const { probe, clock } = this.#options;
    const { signal } = this.#closing;
    for (let restMs = firstRestMs; !signal.aborted; restMs = Math.min(restMs * 2, maxRestMs)) {
      try {
        await clock.sleep(restMs * (0.75 + Math.random() / 2), signal);
        await withPatience(probe(), { clock, ms: probePatienceMs });
        return;
      } catch (error) {
        if (!signal.aborted && error instanceof Error) this.#lastFailure = error.message;
      }
    }
  }
}
