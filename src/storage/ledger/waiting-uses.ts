import type { BlobKey, Clock } from "../../core/ports.ts";

export interface WaitingUsesOptions {
  readonly clock: Clock;
  /** How long a use may wait in memory before it is written. */
  readonly flushIntervalMs?: number;
  readonly write: (uses: ReadonlyMap<BlobKey, number>) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
}

const defaultFlushIntervalMs = 30_000;
/** At so many they are written at once, and while that fails the oldest are forgotten. */
const maxWaiting = 4096;

/** Uses of files on their way into a ledger, many at once. They are a hint for operators and clean-up: losing some is no failure. */
export class WaitingUses {
  readonly #options: WaitingUsesOptions;
  readonly #closing = new AbortController();
  #waiting = new Map<BlobKey, number>();
  #underWay: ReadonlyMap<BlobKey, number> = new Map();
  #writing: Promise<void> | undefined;
  #isPlanned = false;

  constructor(options: WaitingUsesOptions) {
    this.#options = options;
  }

  touch(key: BlobKey, usedAt: number): void {
    this.#waiting.set(key, usedAt);
    if (this.#waiting.size >= maxWaiting) void this.#flush();
    else this.#plan();
  }

  get(key: BlobKey): number | undefined {
    return this.#waiting.get(key) ?? this.#underWay.get(key);
  }

  delete(key: BlobKey): void {
    this.#waiting.delete(key);
  }

  /** Writes what waits, once. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    await this.#flush();
  }

  #plan(): void {
    if (this.#isPlanned || this.#closing.signal.aborted) return;
    this.#isPlanned = true;
    const { clock, flushIntervalMs = defaultFlushIntervalMs } = this.#options;
    clock.sleep(flushIntervalMs, this.#closing.signal).then(
      () => {
        this.#isPlanned = false;
        void this.#flush();
      },
      // Closed meanwhile; `close` writes them.
      () => undefined,
    );
  }

  /** Never fails. */
  #flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #write(): Promise<void> {
    const uses = this.#waiting;
    if (uses.size === 0) return;
    this.#waiting = new Map();
    this.#underWay = uses;
    try {
      await this.#options.write(uses);
    } catch (error) {
      this.#options.onFailure(error);
      // What came meanwhile is newer.
      this.#waiting = new Map([...uses, ...this.#waiting]);
      for (const key of this.#waiting.keys()) {
        if (this.#waiting.size <= maxWaiting / 2) break;
        this.#waiting.delete(key);
      }
      this.#plan();
    } finally {
      this.#underWay = new Map();
    }
  }
}
