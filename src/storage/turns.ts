/** Work on one key goes one after the other, on different keys at the same time. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  has(key: string): boolean {
    return this.#last.has(key);
  }

  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const turn = before.then(work, work);
    const leave = (): void => {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    };
    this.#last.set(key, turn);
    turn.then(leave, leave);
    return turn;
  }
}
