import type { Clock } from "../../core/ports.ts";

/** How the newest requests went. */
export interface OutcomeWindow {
  add(isFailure: boolean): void;
  readonly size: number;
  readonly failures: number;
  /** Since the oldest of them, in milliseconds. */
  readonly spanMs: number;
  clear(): void;
}

/** At most so many, and none that is older. A clock that is set back makes none older. */
export function createOutcomeWindow(
  clock: Pick<Clock, "now">,
  { maxSize, maxAgeMs }: { readonly maxSize: number; readonly maxAgeMs: number },
): OutcomeWindow {
  const outcomes: { readonly at: number; readonly isFailure: boolean }[] = [];
  let failures = 0;
  return {
    add(isFailure) {
      outcomes.push({ at: clock.now(), isFailure });
      if (isFailure) failures += 1;
      if (outcomes.length > maxSize) dropFirst();
    },
    get size() {
      dropOld();
      return outcomes.length;
    },
    get failures() {
      dropOld();
      return failures;
    },
    get spanMs() {
      dropOld();
      const [first] = outcomes;
      return first === undefined ? 0 : clock.now() - first.at;
    },
    clear() {
      outcomes.length = failures = 0;
    },
  };

  function dropOld(): void {
    const oldest = clock.now() - maxAgeMs;
    for (let first = outcomes[0]; first !== undefined && first.at < oldest; first = outcomes[0]) dropFirst();
  }

  function dropFirst(): void {
    if (outcomes.shift()?.isFailure === true) failures -= 1;
  }
}
