import type { SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { Check } from "./check.ts";

export interface LookoutOptions {
  readonly clock: Clock;
  readonly check: Check;
  /** When the oldest request under way was sent of which nothing has come yet; in milliseconds since the epoch. */
  readonly oldestUnanswered: () => number | undefined;
  /** Nothing comes, and nothing came of a check either. */
  readonly onSilent: (silentMs: number, error: SluiceError) => void;
  /** How often and how it was asked, for operators. */
  readonly onChecked: (outcome: "alive" | SluiceError) => void;
}

/** Asks an upstream for something cheap where requests themselves do not tell how it is: while it hangs, and while it is down. */
export interface Lookout {
  /** A request was sent. */
  sent(): void;
  /** One was answered. */
  answered(): void;
  /** One that was sent at this time was given up, and nothing had come of it. */
  gaveUp(sentAt: number): void;
  /** Whether it is back, as far as a check tells; `unknown` where checks tell nothing of this upstream. */
  ask(): Promise<"alive" | "unknown" | SluiceError>;
  close(): void;
}

/** So long nothing may come of any request before it is asked. */
const silenceMs = 10_000;
/** All of them have to fail. */
const checks = 2;
/** By then it is one that usually answers, and it is asked once, to know whether it answers checks. */
const learnAfter = 20;

/**
 * What a check fails with counts only where checks have been answered before: what is asked may be something that this upstream
 * never answers. Or where it never answered anything.
 */
export function createLookout(options: LookoutOptions): Lookout {
  const { clock, check, oldestUnanswered } = options;
  const closing = new AbortController();
  let answers = 0;
  let answeredAt = clock.now();
  /** Spent, since the last answer and until `givenUpAt`, on requests that were given up: whoever has somebody else to ask waits for none of them long. */
  let waitedMs = 0;
  let givenUpAt = 0;
  let answersChecks = false;
  let isWatching = false;
  return {
    sent() {
      if (!isWatching) void watch();
    },
    answered() {
      noteLife();
      answers += 1;
      if (answers === learnAfter && !answersChecks) void ask();
    },
    gaveUp(sentAt) {
      // One that still waits has waited for as long.
      waitedMs += silentSince(Math.min(sentAt, oldestUnanswered() ?? sentAt));
      givenUpAt = clock.now();
    },
    ask,
    close: () => closing.abort(),
  };

  function noteLife(): void {
    answeredAt = clock.now();
    waitedMs = 0;
    givenUpAt = 0;
  }

  async function ask(): Promise<"alive" | "unknown" | SluiceError> {
    const outcome = await check(closing.signal);
    if (outcome === "unknown" || closing.signal.aborted) return "unknown";
    options.onChecked(outcome);
    if (outcome === "alive") {
      answersChecks = true;
      return outcome;
    }
    const neverAnswered = answers === 0 && outcome.details["status"] === undefined;
    return answersChecks || neverAnswered ? outcome : "unknown";
  }

  async function watch(): Promise<void> {
    isWatching = true;
    try {
      while (oldestUnanswered() !== undefined) {
        await clock.sleep(silenceMs / 2, closing.signal);
        if (silentMs() >= silenceMs) await verify();
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error;
    } finally {
      isWatching = false;
    }
  }

  async function verify(): Promise<void> {
    for (let number = 1; ; number++) {
      const outcome = await ask();
      const forMs = silentMs();
      // What a request has brought meanwhile counts more than any check.
      if (closing.signal.aborted || forMs < silenceMs) return;
      if (outcome === "alive" || outcome === "unknown") {
        noteLife();
        return;
      }
      if (number === checks) {
        waitedMs = 0;
        options.onSilent(forMs, outcome);
        return;
      }
    }
  }

  function silentMs(): number {
    const oldest = oldestUnanswered();
    return waitedMs + (oldest === undefined ? 0 : silentSince(oldest));
  }

  /** How much of the time since then is not counted yet. */
  function silentSince(sentAt: number): number {
    const now = clock.now();
    // Where the clock was set back.
    givenUpAt = Math.min(givenUpAt, now);
    return Math.max(0, now - Math.max(sentAt, answeredAt, givenUpAt));
  }
}
