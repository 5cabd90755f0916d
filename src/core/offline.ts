import { SluiceError } from "./errors.ts";
import type { Source } from "./ports.ts";

/** Whether this node asks nobody: then it answers from what it has, at once. An operator turns it while it runs. */
export class OfflineSwitch {
  #isOffline: boolean;
  readonly #listeners = new Set<(isOffline: boolean) => void>();

  constructor(isOffline: boolean) {
    this.#isOffline = isOffline;
  }

  get isOffline(): boolean {
    return this.#isOffline;
  }

  /** Answers whether that changed anything. */
  turn(isOffline: boolean): boolean {
    if (this.#isOffline === isOffline) return false;
    this.#isOffline = isOffline;
    for (const listener of this.#listeners) listener(isOffline);
    return true;
  }

  /** Answers how to end it. */
  onTurn(listener: (isOffline: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Fails with `offline` while it is. `what` is what would be asked for or who, for people. */
  refuse(what: string): void {
    if (this.#isOffline) throw offlineError(what);
  }

  /** Work that has to do with others: refused while this is offline, and ended when it becomes so. Fails with `offline` then. */
  async run<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.refuse(what);
    const turned = new AbortController();
    const forget = this.onTurn((isOffline) => {
      if (isOffline) turned.abort();
    });
    try {
      return await work(AbortSignal.any([signal, turned.signal]));
    } catch (error) {
      throw turned.signal.aborted ? offlineError(what, error) : error;
    } finally {
      forget();
    }
  }
}

/** Whatever it is made of, no part of it is asked. */
export function withOffline(source: Source, offline: OfflineSwitch): Source {
  return {
    ...source,
    fetch: (request, receive, context) =>
      offline.run(request.modulePath, context.signal, (signal) =>
        source.fetch(request, receive, { ...context, signal }),
      ),
  };
}

export function offlineError(what: string, cause?: unknown): SluiceError {
  return new SluiceError(
    "offline",
    `${what}: not stored here, and this Sluice is offline: nobody is asked until an operator puts it online again`,
    { cause, retryAfterSeconds: 60 },
  );
}
