import { SluiceError } from "../../core/errors.ts";
import type { PartHealth } from "../../core/health.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, SourceCondition } from "../../core/ports.ts";
import { givenUp } from "../../net/given-up.ts";
import { isPermanent } from "../../net/transport-error.ts";
import { type BreakerRules, createBreaker, type Outage, type Pass } from "./breaker.ts";
import type { Check } from "./check.ts";
import { createConcurrencyLimit } from "./concurrency-limit.ts";
import { createLatency } from "./latency.ts";
import { createLookout } from "./lookout.ts";
import { createOutcomeWindow } from "./outcome-window.ts";

export interface UpstreamHealthOptions {
  /** Printable. */
  readonly name: string;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a request waits for an upstream that is down, from its first attempt on. Default 30 s. */
  readonly patienceMs?: number | undefined;
  /** Requests that may wait so. Default 10 000. */
  readonly maxWaiting?: number | undefined;
  /** Requests under way at the most, and the least that this is brought down to. Default 64 and 8. */
  readonly concurrency?: number | undefined;
  readonly minConcurrency?: number | undefined;
  /** Something cheap to ask it for. Without it only the requests themselves tell. */
  readonly check?: Check | undefined;
  readonly rules?: Partial<BreakerRules> | undefined;
  /** At least 0 and below 1. */
  readonly random?: (() => number) | undefined;
}

/** Who wants to send a request. */
export interface Asker {
  readonly signal: AbortSignal;
  /** When it began to ask, in milliseconds since the epoch. */
  readonly since: number;
  readonly failFast: boolean;
}

/** One request that is sent. What comes first of `answered` and `failed` tells whether the upstream works. */
export interface SentRequest {
  /** Aborted, with an `upstream_timeout`, when the upstream is found to hang before the first byte came. */
  readonly signal: AbortSignal;
  /** The first byte of a file, after so many milliseconds, or a status that only a server that works answers. */
  answered(firstByteMs?: number): void;
  failed(error: SluiceError): void;
  /** It is over. `isGood`: what came was what was asked for, or is not there; undefined: that was not found out. */
  end(isGood: boolean | undefined): void;
}

/** What is known of one upstream, by all that is asked of it. */
export interface UpstreamHealth {
  /** Resolves when a request may be sent. Fails with `upstream_failed` when the upstream is down and waiting is over, or no use. */
  ready(asker: Asker): Promise<void>;
  /** Undefined when none may be sent now: `ready` says when. */
  send(asker: Pick<Asker, "failFast">): SentRequest | undefined;
  /** Calls `listener` once it is down, at once if it is. Answers how to end that. */
  onDown(listener: () => void): () => void;
  /** Requests that may be under way now. */
  readonly concurrency: number;
  readonly condition: SourceCondition;
  readonly part: PartHealth;
  close(): void;
}

/** Whether an error is that of an upstream that was not asked, because it is down. */
export function isKnownDown({ details }: SluiceError): boolean {
  return details["down"] === true;
}

/** What is worth a word: from this share of the newest requests on, and until it is below the second. */
const flakyFrom = 0.2;
const flakyUntil = 0.1;
const flakyWindow = { maxSize: 100, maxAgeMs: 300_000 };
const flakyMin = 20;
/** Somebody asked for something in this time: worth knowing whether it is back. */
const usedLatelyMs = 300_000;
/** A round of trials may come to nothing, where nobody waits for them to the end. */
const checkAgainMs = 5000;
const slowFrom = 5;
const slowUntil = 2.5;

const limitReasons = {
  overload: "as it said that it has too much to do",
  outage: "and for more with each answer, as it was down",
};

export function createUpstreamHealth(options: UpstreamHealthOptions): UpstreamHealth {
  const { name, clock, events, patienceMs = 30_000, maxWaiting = 10_000 } = options;
  const latency = createLatency(clock);
  const outcomes = createOutcomeWindow(clock, flakyWindow);
  const limit = createConcurrencyLimit({ clock, max: options.concurrency ?? 64, min: options.minConcurrency });
  const unanswered = new Map<AbortController, number>();
  const lookout =
    options.check === undefined
      ? undefined
      : createLookout({
          clock,
          check: options.check,
          oldestUnanswered: () => unanswered.values().next().value,
          onSilent: cutAll,
          onChecked: (outcome) =>
            events.emit({ type: "upstream_check", upstream: name, outcome: outcome === "alive" ? "ok" : outcome.code }),
        });
  const breaker = createBreaker({
    clock,
    rules: options.rules,
    random: options.random,
    onChange(state) {
      if (state === "closed") {
        limit.restart();
        outcomes.clear();
      }
      isCleared = false;
      if (state === "open") for (const listener of whenDown) listener();
      if (state === "half-open") void askAgain();
      report();
    },
  });
  const whenDown = new Set<() => void>();
  let waiting = 0;
  /** Requests of who has something else to answer may find out whether it is back, as checks do not say the opposite. */
  let isCleared = false;
  let askedAt = clock.now();
  let checkedAt = 0;
  let isFlaky = false;
  let isSlow = false;
  let reported: PartHealth["state"] = "ok";

  return {
    async ready(asker) {
      askedAt = clock.now();
      if (breaker.state === "half-open" && Math.abs(askedAt - checkedAt) >= checkAgainMs) void askAgain();
      while (!mayEnter(asker)) {
        if (!mayWait(asker)) throw down();
        waiting += 1;
        try {
          await changeOrEnd(asker);
        } finally {
          waiting -= 1;
        }
      }
    },
    send(asker) {
      const pass = mayEnter(asker) ? breaker.enter() : undefined;
      return pass === undefined ? undefined : follow(pass);
    },
    onDown(listener) {
      if (breaker.outage !== undefined) listener();
      else whenDown.add(listener);
      return () => void whenDown.delete(listener);
    },
    get concurrency() {
      return limit.now;
    },
    get condition() {
      judge();
      return { state: state(), firstByteMs: latency.firstByteMs };
    },
    get part() {
      judge();
      return { part: `upstream ${name}`, state: state(), detail: detail(), isNeeded: false };
    },
    close() {
      breaker.close();
      lookout?.close();
    },
  };

  /** Who has something else to answer does not wait for a trial that may hang. */
  function mayEnter({ failFast }: Pick<Asker, "failFast">): boolean {
    const isTrial = breaker.state === "half-open";
    return breaker.mayEnter && !(isTrial && failFast && lookout !== undefined && !isCleared);
  }

  /** While nobody uses it, nobody asks. */
  async function askAgain(): Promise<void> {
    if (lookout === undefined || isCleared || clock.now() - askedAt > usedLatelyMs) return;
    checkedAt = clock.now();
    const outage = breaker.outage;
    const outcome = await lookout.ask();
    if (breaker.outage !== outage || breaker.state !== "half-open") return;
    if (outcome instanceof SluiceError) return breaker.discourage(outcome);
    isCleared = true;
    if (outcome === "alive") breaker.encourage();
  }

  function cutAll(silentMs: number, error: SluiceError): void {
    breaker.trip(`no answer to any request for ${Math.round(silentMs / 1000)} s`, error);
    const reason = new SluiceError("upstream_timeout", `${name}: does not answer, neither this nor anything else`, {
      cause: error,
      details: { upstream: name },
    });
    for (const request of unanswered.keys()) request.abort(reason);
  }

  function follow(pass: Pass): SentRequest {
    const sentAt = clock.now();
    const cut = new AbortController();
    unanswered.set(cut, sentAt);
    limit.sent();
    lookout?.sent();
    let isSettled = false;
    return {
      signal: cut.signal,
      answered(firstByteMs) {
        if (isSettled) return;
        isSettled = true;
        unanswered.delete(cut);
        lookout?.answered();
        if (firstByteMs !== undefined) latency.add(firstByteMs);
        pass.answered();
        limit.answered();
      },
      failed(error) {
        if (isSettled) return;
        isSettled = true;
        if (error.code === "upstream_timeout") lookout?.gaveUp(sentAt);
        pass.failed(error);
        limit.failed(error, sentAt);
      },
      end(isGood) {
        unanswered.delete(cut);
        if (!isSettled) lookout?.gaveUp(sentAt);
        pass.end();
        limit.ended();
        if (isGood === undefined) return;
        outcomes.add(!isGood);
        judge();
      },
    };
  }

  /**
   * A young outage is waited out. Later a request waits until the upstream was tried once more: that is every few seconds anyway,
   * and it may be back since the last time.
   */
  function mayWait({ since, failFast }: Asker): boolean {
    const { outage } = breaker;
    if (outage === undefined) return true;
    const now = clock.now();
    if (failFast || isPermanent(outage.cause) || waiting >= maxWaiting || now - since >= patienceMs) return false;
    if (breaker.state === "open" && outage.nextTryAt - since > patienceMs) return false;
    return now - outage.since < 2 * patienceMs || outage.triedAt === undefined || outage.triedAt < since;
  }

  async function changeOrEnd({ signal, since }: Asker): Promise<void> {
    const over = new AbortController();
    const leftMs = Math.max(0, since + patienceMs - clock.now());
    try {
      await Promise.race([breaker.changed(), clock.sleep(leftMs, AbortSignal.any([signal, over.signal]))]);
    } catch (error) {
      throw signal.aborted ? givenUp(signal, name) : error;
    } finally {
      over.abort();
    }
  }

  function judge(): void {
    const { size, failures } = outcomes;
    isFlaky = size >= flakyMin && failures / size >= (isFlaky ? flakyUntil : flakyFrom);
    isSlow = latency.slowdown >= (isSlow ? slowUntil : slowFrom);
    report();
  }

  function report(): void {
    const now = state();
    if (now === reported) return;
    reported = now;
    events.emit({ type: "upstream_state", upstream: name, state: now, reason: detail() });
  }

  function state(): PartHealth["state"] {
    if (breaker.outage !== undefined) return "down";
    return isFlaky || isSlow || limit.now <= limit.max / 2 ? "degraded" : "ok";
  }

  function detail(): string {
    if (breaker.outage !== undefined) return `${outageText(breaker.outage)}: ${causeText(breaker.outage)}`;
    const told: string[] = [];
    const { size, failures } = outcomes;
    if (isFlaky)
      told.push(`${failures} of the last ${size} requests failed or came too late, and were asked for again`);
    if (limit.now < limit.max)
      told.push(
        `asked for ${limit.now} files at a time instead of ${limit.max}, ${limitReasons[limit.reason ?? "overload"]}`,
      );
    const { firstByteMs } = latency;
    if (firstByteMs !== undefined) {
      const slow = isSlow ? `, ${Math.round(latency.slowdown)} times as late as usual` : "";
      told.push(`answers begin after ${seconds(firstByteMs.p50)}, 1 of 20 after ${seconds(firstByteMs.p95)}${slow}`);
    }
    return told.length === 0 ? "nothing wrong is known" : told.join("; ");
  }

  function down(): SluiceError {
    const { outage } = breaker;
    if (outage === undefined) return new SluiceError("upstream_failed", `${name}: was down until now`);
    return new SluiceError("upstream_failed", `${name}: ${outageText(outage)}: ${causeText(outage)}`, {
      cause: outage.cause,
      details: { ...outage.cause.details, upstream: name, down: true },
      retryAfterSeconds: nextTrySeconds(outage),
    });
  }

  function outageText(outage: Outage): string {
    const since = new Date(outage.since).toISOString().slice(0, 19);
    const next = breaker.state === "open" ? `asked again in ${nextTrySeconds(outage)} s` : "being asked again now";
    return `down since ${since}Z (${outage.reason}), ${next}`;
  }

  function nextTrySeconds({ nextTryAt }: Outage): number {
    return Math.max(1, Math.ceil((nextTryAt - clock.now()) / 1000));
  }
}

/** Without the name of who it is about, which stands before it anyway. */
function causeText({ cause: { message, details } }: Outage): string {
  const names = [details["upstream"], details["host"]];
  const prefix = names.find((name) => typeof name === "string" && message.startsWith(`${name}: `));
  return typeof prefix === "string" ? message.slice(prefix.length + 2) : message;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toPrecision(2)} s`;
}
