import type { SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { createOutcomeWindow } from "./outcome-window.ts";

/** How many requests may be under way at one upstream. */
export interface ConcurrencyLimit {
  readonly now: number;
  readonly max: number;
  /** Why it is below `max`: the upstream said that it is too much, or it is back after an outage. */
  readonly reason: "overload" | "outage" | undefined;
  /** A request is under way, until one of them has `ended`. */
  sent(): void;
  ended(): void;
  answered(): void;
  /** `sentAt`: when the request was, in milliseconds since the epoch. */
  failed(error: SluiceError, sentAt: number): void;
  /** It is back after an outage: it starts slowly. */
  restart(): void;
}

export interface ConcurrencyLimitOptions {
  readonly clock: Pick<Clock, "now">;
  readonly max: number;
  /** It never falls below. Default 8. */
  readonly min?: number | undefined;
}

/** One cut leaves this part of the limit. */
const cutTo = 0.7;
/** Above what was too much the last time, it grows by so many for each round of answers. */
const growth = 4;
/** More than half of these: a server fails so that has too much to do. What fails now and then does so for other reasons. */
const unableWindow = { maxSize: 20, maxAgeMs: 30_000 };
/** While nothing is under way, so much time counts as an answer. */
const quietMs = 1000;
/** What was learnt so long ago says nothing of now. */
const forgetMs = 300_000;

/**
 * Additive increase, multiplicative decrease, by what the upstream says: 429, 503 with a Retry-After, or 503 and timeouts more
 * often than not. Nobody's requests are no load, so time brings back what answers else would. Not by its latency: that tells whether it has a module at hand or fetches it, which differs by a factor of hundreds.
 */
export function createConcurrencyLimit({ clock, max, ...options }: ConcurrencyLimitOptions): ConcurrencyLimit {
  const min = Math.min(max, options.min ?? 8);
  const unable = createOutcomeWindow(clock, unableWindow);
  let limit = max;
  /** Below it every answer adds one, above it a whole round of answers adds a few. */
  let steepUntil = max;
  let changedAt = clock.now();
  let underWay = 0;
  /** Nothing was under way since then, and what time brought until then is in the limit. */
  let quietSince = clock.now();
  return {
    get now() {
      forget();
      recover();
      return Math.floor(limit);
    },
    max,
    get reason() {
      forget();
      recover();
      if (limit === max) return undefined;
      return steepUntil === max ? "outage" : "overload";
    },
    sent() {
      recover();
      underWay += 1;
    },
    ended() {
      underWay -= 1;
      if (underWay === 0) quietSince = clock.now();
    },
    answered() {
      unable.add(false);
      forget();
      grow();
    },
    failed(error, sentAt) {
      recover();
      const status = error.details["status"];
      const isAsked = status === 429 || (status === 503 && error.retryAfterSeconds !== undefined);
      const isUnable = status === 503 || error.code === "upstream_timeout";
      unable.add(isUnable);
      const isMostly = unable.size === unableWindow.maxSize && unable.failures > unable.size / 2;
      // Those that were sent before the last cut tell of a load that is over.
      if ((isAsked || (isUnable && isMostly)) && (sentAt >= changedAt || limit === max)) cut();
    },
    restart() {
      limit = min;
      steepUntil = max;
      changedAt = quietSince = clock.now();
      unable.clear();
    },
  };

  function grow(): void {
    limit = Math.min(max, limit + (limit < steepUntil ? 1 : growth / limit));
  }

  function recover(): void {
    const now = clock.now();
    if (now < quietSince) quietSince = now;
    if (underWay > 0) return;
    for (; limit < max && now - quietSince >= quietMs; quietSince += quietMs) grow();
    if (limit >= max) quietSince = now;
  }

  function cut(): void {
    limit = Math.max(min, limit * cutTo);
    steepUntil = limit;
    changedAt = quietSince = clock.now();
    unable.clear();
  }

  function forget(): void {
    if (limit === max || Math.abs(clock.now() - changedAt) < forgetMs) return;
    limit = max;
    steepUntil = max;
  }
}
