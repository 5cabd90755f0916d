import { SluiceError } from "../core/errors.ts";
import type { Clock, FirstByteMs } from "../core/ports.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "./http.ts";
import { createLateness, type Lateness } from "./lateness.ts";
import type { RetryBudget } from "./retry-budget.ts";

export interface HedgeOptions {
  readonly clock: Clock;
  /** How soon this server's answers begin; undefined while too little is known. */
  readonly usual: () => FirstByteMs | undefined;
  /** What may be asked twice, as a share of all requests. Without one nothing is. */
  readonly budget: RetryBudget | undefined;
  readonly onHedge?: ((outcome: HedgeOutcome) => void) | undefined;
}

/**
 * What became of an answer that was late: the second request's counted (`won`), the first one's did after all (`lost`), both
 * failed (`failed`); it paused, and the rest was asked for (`resumed`). Or it was waited for: most answers were late (`slow`),
 * or too much had been asked twice (`capped`).
 */
export type HedgeOutcome = "won" | "lost" | "failed" | "resumed" | "slow" | "capped";

/** Requests for one thing at the same time, the first included. */
const maxLegs = 3;
/** While nothing is known of a server. */
const unknownDelayMs = 1000;
const minDelayMs = 100;
/** A body that pauses for so long, or as long as an answer may be late, is given up. Each further attempt has twice the patience, as some servers are just slow. */
const minStallMs = 500;
const patientAttempts = 6;
/** Where somebody else can answer, an answer that does not begin within this, or within 20 times the usual, is none. */
const minMoveOnMs = 5000;

/**
 * Networks lose single answers, and then waiting for a time-out takes longer than all the rest. A GET without an answer after
 * several times the usual is sent once more, on another connection; the first answer counts, the other request is ended. Where
 * somebody else has the same (`HttpRequest.elsewhere`), he is asked instead, and sooner, as that is of no harm to who is slow. A body
 * that pauses for long fails with `upstream_timeout`, for whoever reads it to ask for the rest.
 * A server that is late more often than not has become slow, and would become slower: nothing is asked twice then.
 */
export function withHedging(http: HttpClient, options: HedgeOptions): HttpClient {
  const server: Server = { ...options, heads: createLateness(), bodies: createLateness() };
  return {
    async get(request) {
      if (request.method === "POST") return http.get(request);
      options.budget?.succeeded();
      const response = await raceWithin(http, request, server);
      return { ...response, discard: () => response.discard(), body: impatiently(response, request, server) };
    },
    close: () => http.close(),
  };
}

/** Several times what half of the answers take: how late the latest are says little where some never come. */
export function hedgeDelayMs(usual: FirstByteMs | undefined): number {
  if (usual === undefined) return unknownDelayMs;
  return Math.max(minDelayMs, Math.min(2 * usual.p95, farLateMs(usual)));
}

/** After which somebody else is asked: one of twenty answers is as late, and that is no load for those who are as good. */
export function elsewhereDelayMs(usual: FirstByteMs | undefined): number {
  if (usual === undefined) return unknownDelayMs;
  return Math.max(minDelayMs, Math.min(usual.p95, farLateMs(usual)));
}

function farLateMs({ p50 }: FirstByteMs): number {
  return Math.max(8 * p50, 250);
}

interface Server extends HedgeOptions {
  readonly heads: Lateness;
  /** Late is one that paused. */
  readonly bodies: Lateness;
}

type Outcome = { readonly leg: Leg; readonly response: HttpResponse } | { readonly leg: Leg; readonly error: unknown };

interface Leg {
  readonly end: AbortController;
  readonly outcome: Promise<Outcome>;
}

async function raceWithin(http: HttpClient, request: HttpRequest, server: Server): Promise<HttpResponse> {
  if (request.mayMoveOn !== true) return race(http, request, server);
  const limitMs = Math.max(minMoveOnMs, 20 * (server.usual()?.p50 ?? 0));
  const over = new AbortController();
  const response = race(http, { ...request, signal: AbortSignal.any([request.signal, over.signal]) }, server);
  const first = await withinTime(response, { clock: server.clock, limitMs });
  if (first !== undefined) return first;
  over.abort();
  response.then(
    (late) => late.discard(),
    () => undefined,
  );
  throw new SluiceError("upstream_timeout", `${request.url.host}: no answer within ${limitMs / 1000} s`, {
    details: { host: request.url.host },
  });
}

async function race(http: HttpClient, request: HttpRequest, server: Server): Promise<HttpResponse> {
  const { clock, usual, heads, onHedge } = server;
  const original = startLeg(http, request);
  const legs = new Set([original]);
  const lateMs = hedgeDelayMs(usual());
  const soonMs = request.elsewhere === undefined ? 0 : elsewhereDelayMs(usual());
  let delayMs = lateMs - soonMs;
  try {
    let isLate = await isAskedElsewhere(original, { request, server, delayMs: soonMs });
    if (isLate) heads.add(true);
    let mayStart = !isLate;
    for (let started = 1; ;) {
      const isLast = !mayStart || started === maxLegs;
      const first = await firstOf([...legs], isLast ? undefined : { clock, delayMs });
      if (first === undefined) {
        if (!isLate) heads.add(true);
        isLate = true;
        mayStart = mayAskTwice(heads, server);
        if (!mayStart) continue;
        legs.add(startLeg(http, request));
        started += 1;
        delayMs = 2 * lateMs;
        continue;
      }
      legs.delete(first.leg);
      const isGivenUp = request.signal.aborted;
      if (!isLate && !isGivenUp) heads.add(false);
      const isOver = "response" in first || legs.size === 0 || isGivenUp;
      if (!isOver) continue;
      if (started > 1 && !isGivenUp) onHedge?.(outcomeOf(first, original));
      if ("response" in first) return first.response;
      throw first.error;
    }
  } finally {
    for (const leg of legs) endLeg(leg);
  }
}

async function isAskedElsewhere(
  original: Leg,
  {
    request: { elsewhere },
    server: { clock, budget },
    delayMs,
  }: { readonly request: HttpRequest; readonly server: Server; readonly delayMs: number },
): Promise<boolean> {
  if (elsewhere === undefined || budget === undefined) return false;
  if ((await firstOf([original], { clock, delayMs })) !== undefined) return false;
  const ask = elsewhere();
  if (ask === undefined || !budget.take()) return false;
  ask();
  return true;
}

function outcomeOf(last: Outcome, original: Leg): HedgeOutcome {
  if ("error" in last) return "failed";
  return last.leg === original ? "lost" : "won";
}

function mayAskTwice(lateness: Lateness, { budget, onHedge }: HedgeOptions): boolean {
  if (budget === undefined) return false;
  if (!lateness.isUsual && budget.take()) return true;
  onHedge?.(lateness.isUsual ? "slow" : "capped");
  return false;
}

function startLeg(http: HttpClient, request: HttpRequest): Leg {
  const end = new AbortController();
  const response = http.get({ ...request, signal: AbortSignal.any([request.signal, end.signal]) });
  const leg: Leg = {
    end,
    outcome: response.then(
      (answer): Outcome => ({ leg, response: answer }),
      (error: unknown): Outcome => ({ leg, error }),
    ),
  };
  return leg;
}

/** It may have an answer by now. */
function endLeg({ end, outcome }: Leg): void {
  end.abort();
  void outcome.then((late) => ("response" in late ? late.response.discard() : undefined));
}

/** Undefined when there is none within the time. */
async function firstOf(
  legs: readonly Leg[],
  limit: { readonly clock: Clock; readonly delayMs: number } | undefined,
): Promise<Outcome | undefined> {
  const outcomes = legs.map(({ outcome }) => outcome);
  if (limit === undefined) return Promise.race(outcomes);
  const over = new AbortController();
  const late = limit.clock.sleep(limit.delayMs, over.signal).catch(() => undefined);
  try {
    return await Promise.race([...outcomes, late.then(() => undefined)]);
  } finally {
    over.abort();
  }
}

async function* impatiently(
  { body, url }: HttpResponse,
  { attempt = 1 }: HttpRequest,
  server: Server,
): AsyncGenerator<Uint8Array> {
  if (attempt > patientAttempts) {
    yield* body;
    return;
  }
  const { clock, usual, bodies, onHedge } = server;
  const limitMs = Math.max(minStallMs, hedgeDelayMs(usual())) * 2 ** (attempt - 1);
  const chunks = body[Symbol.asyncIterator]();
  let hasPaused = false;
  try {
    for (;;) {
      const next = chunks.next();
      const first = await withinTime(next, { clock, limitMs });
      if (first === undefined) {
        if (!hasPaused) bodies.add(true);
        hasPaused = true;
        if (mayAskTwice(bodies, server)) {
          next.catch(() => undefined);
          onHedge?.("resumed");
          throw new SluiceError("upstream_timeout", `${url.host}: paused within an answer for ${limitMs / 1000} s`);
        }
      }
      const { done, value } = first ?? (await next);
      if (done === true) {
        if (!hasPaused) bodies.add(false);
        return;
      }
      yield value;
    }
  } finally {
    void chunks.return?.().catch(() => undefined);
  }
}

async function withinTime<T>(
  promise: Promise<T>,
  { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
): Promise<T | undefined> {
  const over = new AbortController();
  const late = clock.sleep(limitMs, over.signal).catch(() => undefined);
  try {
    return await Promise.race([promise, late.then(() => undefined)]);
  } finally {
    over.abort();
  }
}
