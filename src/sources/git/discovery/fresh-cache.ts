import { LRUCache } from "lru-cache";
import { isSluiceError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { Singleflight, waitUnlessAborted } from "../../../core/singleflight.ts";
import { givenUp } from "../../../net/given-up.ts";

export interface FreshCacheOptions<T> {
  readonly clock: Clock;
  /** What is asked, for messages. */
  readonly name: (key: string) => string;
  /** Whether an answer says that there is something. Only such ones outlive their time when nobody answers. */
  readonly isPositive: (answer: T) => boolean;
  readonly times: FreshTimes;
  readonly maxEntries: number;
}

/** Milliseconds. */
export interface FreshTimes {
  /** How long a positive answer is fresh. Default 10 minutes. */
  readonly ttlMs: number;
  /** Behind `ttlMs`, for so long it is given at once while a new one is fetched. Later the new one is waited for. Default 1 hour. */
  readonly refreshMs: number;
  /** How long a negative answer counts. Default 30 s. */
  readonly negativeMs: number;
  /** How long nobody is asked again who did not answer, as long as there is an old answer. Default 15 s. */
  readonly restMs: number;
}

export const defaultTimes: FreshTimes = {
  ttlMs: 600_000,
  refreshMs: 3_600_000,
  negativeMs: 30_000,
  restMs: 15_000,
};

export interface FreshQuestion<T> {
  readonly key: string;
  /** Asks. A failure is never remembered as an answer. */
  readonly load: () => Promise<T>;
  /** Of who waits. The asking goes on without them. */
  readonly signal: AbortSignal;
  /** Answers from before this time do not count, in milliseconds since the epoch. */
  readonly notBefore?: number | undefined;
}

interface Entry<T> {
  readonly answer: T;
  readonly answeredAt: number;
  restsUntil: number;
}

/** Answers of other hosts: one question at a time for each key, remembered for a while, and for longer while nobody answers. */
export class FreshCache<T> {
  readonly #options: FreshCacheOptions<T>;
  readonly #entries: LRUCache<string, Entry<T>>;
  readonly #flights = new Singleflight<T>();

  constructor(options: FreshCacheOptions<T>) {
    this.#options = options;
    this.#entries = new LRUCache({ max: options.maxEntries });
  }

  /** The last answer, however old. */
  known(key: string): T | undefined {
    return this.#entries.peek(key)?.answer;
  }

  async get({ key, load, signal, notBefore = 0 }: FreshQuestion<T>): Promise<T> {
    const { clock, times, isPositive, name } = this.#options;
    const entry = this.#entries.get(key);
    const age = entry === undefined ? Infinity : clock.now() - entry.answeredAt;
    const counts = entry !== undefined && entry.answeredAt >= notBefore;
    const isOld = entry !== undefined && isPositive(entry.answer);
    if (counts && age < (isOld ? times.ttlMs : times.negativeMs)) return entry.answer;
    if (counts && isOld && clock.now() < entry.restsUntil) return entry.answer;
    const flight = this.#flights.run(key, () => this.#ask(key, load));
    if (counts && isOld && age < times.ttlMs + times.refreshMs) return entry.answer;
    try {
      return await waitUnlessAborted(flight, signal);
    } catch (error) {
      if (signal.aborted) throw givenUp(signal, name(key));
      if (entry === undefined || !isOld || !isSluiceError(error)) throw error;
      return entry.answer;
    }
  }

  async #ask(key: string, load: () => Promise<T>): Promise<T> {
    const { clock, times } = this.#options;
    try {
      const answer = await load();
      this.#entries.set(key, { answer, answeredAt: clock.now(), restsUntil: 0 });
      return answer;
    } catch (error) {
      const entry = this.#entries.peek(key);
      if (entry !== undefined) entry.restsUntil = clock.now() + times.restMs;
      throw error;
    }
  }
}
