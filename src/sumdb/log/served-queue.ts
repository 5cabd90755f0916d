import { setImmediate } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { ModulePath, Version } from "../../protocol/brand.ts";

export interface ServedVersion {
  readonly modulePath: ModulePath;
  readonly version: Version;
}

/** Those beyond it enter when they are served again, or looked up. */
const maxWaiting = 10_000;
/** Noted before, and in the log or on their way into it. */
const maxKnown = 100_000;
const takenTogether = 16;

/** Versions that were served and are to enter the log, in this order, behind everybody's back. */
export class ServedQueue {
  /** Never fails; answers for each whether it is in the log now. */
  readonly #enter: (versions: readonly ServedVersion[]) => Promise<boolean[]>;
  readonly #known = new LRUCache<string, true>({ max: maxKnown });
  readonly #closing = new AbortController();
  #waiting: ServedVersion[] = [];
  #working: Promise<void> | undefined;

  constructor(enter: (versions: readonly ServedVersion[]) => Promise<boolean[]>) {
    this.#enter = enter;
  }

  /** Costs a look into memory when it was noted before. */
  note(served: ServedVersion): void {
    const key = keyOf(served);
    if (this.#known.get(key) === true || this.#waiting.length >= maxWaiting || this.#closing.signal.aborted) return;
    this.#known.set(key, true);
    this.#waiting.push(served);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  /** Resolves when nothing waits. */
  async settled(): Promise<void> {
    await this.#working;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    // The answer that is being given goes out first.
    await setImmediate();
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const versions = this.#waiting.splice(0, takenTogether);
      const entered = await this.#enter(versions);
      for (const [index, version] of versions.entries()) {
        if (entered[index] !== true) this.#known.delete(keyOf(version));
      }
    }
  }
}

function keyOf({ modulePath, version }: ServedVersion): string {
  return `${modulePath}@${version}`;
}
