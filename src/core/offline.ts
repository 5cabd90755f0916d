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
}
