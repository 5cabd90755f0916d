import type { Clock } from "../../core/ports.ts";

/** For how long nobody has waited for something. */
export class Activity {
  readonly #clock: Pick<Clock, "now">;
  #waiting = 0;
  #leftAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** In milliseconds; 0 while somebody waits. */
  get quietMs(): number {
    // A clock that was set back makes no difference for long.
    return this.isBusy ? 0 : Math.abs(this.#clock.now() - this.#leftAt);
  }

  /** Somebody waits. Answers what to call when that is over, once. */
  enter(): () => void {
    this.#waiting += 1;
    return () => {
      this.#waiting -= 1;
      this.#leftAt = this.#clock.now();
    };
  }
}
