import type { SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { createOutcomeWindow } from "./outcome-window.ts";

export interface BreakerRules {
  /** Failures in a row, over at least `streakMs`, by which an upstream is down. */
  readonly streak: number;
  /** A restart that takes a moment is repaired by trying again. */
  readonly streakMs: number;
  /** Or this share of at least `windowMin` requests, over at least `shareMs`, within `windowMs`. */
  readonly share: number;
  readonly shareMs: number;
  readonly windowMin: number;
  readonly windowMs: number;
  /** How long it is left alone the first time; twice as long each time it fails again, up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** A longer Retry-After is taken for this. */
  readonly maxRetryAfterMs: number;
  /** Requests that are let through to see whether it is back. It is down again when all of them have failed. */
  readonly trials: number;
  /** Answers after which an outage that is over counts no more for how long the next one is waited out. */
  readonly recoveredAfter: number;
}

/**
 * It opens on "down", never on "flaky", as what fails now and then is repaired by trying again, and a request that is not sent
 * cannot succeed. With three of ten requests failing, fifteen in a row do so once in 70 million requests.
 */
export const breakerRules: BreakerRules = {
  streak: 15,
  streakMs: 2000,
  share: 0.9,
  shareMs: 5000,
  windowMin: 50,
  windowMs: 30_000,
  openMs: 1000,
  maxOpenMs: 10_000,
  maxRetryAfterMs: 300_000,
  trials: 3,
  recoveredAfter: 20,
};

export type BreakerState = "closed" | "open" | "half-open";

/** Milliseconds since the epoch. */
export interface Outage {
  readonly since: number;
  /** When the next request is let through, if it is not let through now. */
  readonly nextTryAt: number;
  /** When those requests began of which all have failed, the last time that some were let through. */
  readonly triedAt: number | undefined;
  /** What tells that it is down, for people: `no answer to 15 requests in a row`. */
  readonly reason: string;
  /** The failure it was seen by last. */
  readonly cause: SluiceError;
}

/** The permission to send one request. `answered` and `failed` count once, whichever is first; without either it counts for nothing. */
export interface Pass {
  readonly isTrial: boolean;
  /** The upstream said something that only one says that works. */
  answered(): void;
  failed(error: SluiceError): void;
  /** The request is over. */
  end(): void;
}

export interface Breaker {
  readonly state: BreakerState;
  /** Undefined while it is closed. */
  readonly outage: Outage | undefined;
  readonly mayEnter: boolean;
  enter(): Pass | undefined;
  /** Opens it for something that no single request tells. */
  trip(reason: string, cause: SluiceError): void;
  /** Something that is no request tells that it is back: as many requests more are let through to see. */
  encourage(): void;
  /** Or that it is still down: nobody needs to see, if nobody does already. */
  discourage(cause: SluiceError): void;
  /** Resolves when the state or what may enter changes. */
  changed(): Promise<void>;
  /** Ends its timer. */
  close(): void;
}

export interface BreakerOptions {
  readonly clock: Clock;
  readonly rules?: Partial<BreakerRules> | undefined;
  /** At least 0 and below 1. */
  readonly random?: (() => number) | undefined;
  readonly onChange: (state: BreakerState) => void;
}

export function createBreaker({ clock, random = Math.random, onChange, ...options }: BreakerOptions): Breaker {
  const rules = { ...breakerRules, ...options.rules };
  const outcomes = createOutcomeWindow(clock, { maxSize: 1000, maxAgeMs: rules.windowMs });
  let state: BreakerState = "closed";
  let outage: Outage | undefined;
  /** Requests under way of which nothing is known yet. */
  let pending = 0;
  let streak = 0;
  let streakSince = 0;
  let openings = 0;
  /** Openings without a recovery between them. */
  let relapses = 0;
  let answers = 0;
  let trialsLeft = 0;
  let trialsOut = 0;
  let trialsSince: number | undefined;
  let change = Promise.withResolvers<void>();
  let timer = new AbortController();

  const breaker: Breaker = {
    get state() {
      return state;
    },
    get outage() {
      return outage;
    },
    get mayEnter() {
      return state === "closed" || (state === "half-open" && trialsLeft > 0);
    },
    enter() {
      if (!breaker.mayEnter) return undefined;
      const isTrial = state === "half-open";
      if (isTrial) {
        trialsSince ??= clock.now();
        trialsLeft -= 1;
        trialsOut += 1;
      }
      pending += 1;
      return createPass(isTrial);
    },
    trip(reason, cause) {
      if (state === "closed") open({ reason, cause, since: clock.now() });
    },
    encourage() {
      if (state !== "half-open") return;
      trialsLeft += rules.trials;
      tell();
    },
    discourage(cause) {
      if (state !== "half-open" || trialsOut > 0 || outage === undefined) return;
      open({ ...outage, cause, triedAt: clock.now() });
    },
    changed: () => change.promise,
    close() {
      timer.abort();
    },
  };
  return breaker;

  function createPass(isTrial: boolean): Pass {
    const startedAt = clock.now();
    const round = openings;
    let isSettled = false;
    const settle = (): boolean => {
      if (isSettled) return false;
      isSettled = true;
      pending -= 1;
      return true;
    };
    const isTrialNow = (): boolean => isTrial && state === "half-open" && round === openings;
    return {
      isTrial,
      answered() {
        if (settle()) noteAnswer();
      },
      failed(error) {
        if (!settle()) return;
        if (isTrialNow()) {
          trialsOut -= 1;
          reopenAfter(error);
        } else if (state === "closed") {
          noteFailure(error, startedAt);
        }
      },
      end() {
        if (!settle() || !isTrialNow()) return;
        trialsOut -= 1;
        trialsLeft += 1;
        tell();
      },
    };
  }

  function noteAnswer(): void {
    outcomes.add(false);
    streak = 0;
    answers += 1;
    if (state !== "closed") {
      timer.abort();
      answers = 1;
      outcomes.clear();
      outage = undefined;
      turn("closed");
    } else if (answers >= rules.recoveredAfter) {
      relapses = 0;
    }
  }

  function noteFailure(error: SluiceError, startedAt: number): void {
    const now = clock.now();
    outcomes.add(true);
    // What hung until its time was up says something of all that time; what was cut, of this moment.
    const failsSince = error.code === "upstream_timeout" ? startedAt : now;
    streakSince = streak === 0 ? failsSince : Math.min(streakSince, failsSince, now);
    streak += 1;
    // Those that fail fast come in first. While others are under way, they may be the good ones.
    if (streak >= rules.streak && now - streakSince >= rules.streakMs && streak >= rules.share * (streak + pending)) {
      open({ reason: `no answer to ${streak} requests in a row`, cause: error, since: streakSince });
      return;
    }
    const { size, failures, spanMs } = outcomes;
    if (size >= rules.windowMin && spanMs >= rules.shareMs && failures >= rules.share * (size + pending)) {
      open({ reason: `${failures} of the last ${size} requests failed`, cause: error, since: now });
    }
  }

  function reopenAfter(error: SluiceError): void {
    if (outage === undefined || trialsLeft > 0 || trialsOut > 0) return;
    open({ ...outage, cause: error, triedAt: trialsSince });
  }

  function open(seen: Pick<Outage, "reason" | "cause" | "since"> & { readonly triedAt?: number | undefined }): void {
    const openMs = Math.max(backoffMs(), retryAfterMs(seen.cause));
    openings += 1;
    relapses += 1;
    streak = 0;
    outcomes.clear();
    outage = { triedAt: undefined, ...seen, nextTryAt: clock.now() + openMs };
    timer = new AbortController();
    clock.sleep(openMs, timer.signal).then(
      () => {
        trialsLeft = rules.trials;
        trialsOut = 0;
        trialsSince = undefined;
        turn("half-open");
      },
      // Closed meanwhile, or for good.
      () => undefined,
    );
    turn("open");
  }

  /** Between half of it and all, so that many that saw it fall do not come back together. */
  function backoffMs(): number {
    const fullMs = Math.min(rules.maxOpenMs, rules.openMs * 2 ** Math.min(relapses, 30));
    return fullMs * (0.5 + random() / 2);
  }

  function retryAfterMs({ retryAfterSeconds = 0 }: SluiceError): number {
    return Math.min(retryAfterSeconds * 1000, rules.maxRetryAfterMs);
  }

  function turn(to: BreakerState): void {
    state = to;
    onChange(to);
    tell();
  }

  function tell(): void {
    const told = change;
    change = Promise.withResolvers();
    told.resolve();
  }
}
