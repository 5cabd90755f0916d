import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext, PartialFile, Source, SourceResponse } from "../../core/ports.ts";
import { refusalOf } from "../../net/answer.ts";
import { createFairQueue, type FairQueueOptions } from "../../net/fair-queue.ts";
import type { HttpClient, HttpResponse } from "../../net/http.ts";
import { createRetryBudget, type RetryBudget } from "../../net/retry-budget.ts";
import { type RetryOptions, withRetry } from "../../net/retry.ts";
import { blobKey, type ModuleRequest, requestUrl } from "../../protocol/goproxy/index.ts";
import type { Credentials } from "../credentials.ts";
import { defaultMaxBytes } from "../limits.ts";
import { createUpstreamHealth, isKnownDown, type SentRequest, type UpstreamHealth } from "../upstream-health/health.ts";
import { isOnlyAboutRest, isRest, requestRest, strongEtag } from "./rest.ts";
import { createRetryJudge } from "./retry-judge.ts";
import { isWorking, tellHealth } from "./verdict.ts";

export interface UpstreamSourceOptions {
  /** Printable, of the chain's entry. */
  readonly name: string;
  /** Without user info. */
  readonly url: URL;
  readonly credentials?: Credentials | undefined;
  /** Stays the caller's: closing the source does not close it. */
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly events: Events;
  /** Statuses besides 404 and 410 by which this upstream says "does not exist". */
  readonly notFoundStatus?: readonly number[] | undefined;
  /** Requests under way at the same time, and those that may wait. Default 64, 10 000, and 2 minutes. */
  readonly queue?:
    | (Partial<Pick<FairQueueOptions, "maxWaiting" | "maxWaitMs">> & { readonly concurrency?: number })
    | undefined;
  /** See `withRetry` for what is not given. */
  readonly retry?: Pick<RetryOptions, "attempts" | "baseMs" | "capMs" | "maxRetryAfterSeconds" | "random"> | undefined;
  /** How long failures before the body are tried again, counted from the first attempt. Default 60 s. */
  readonly patienceMs?: number | undefined;
  /** While the upstream does not work at all, it is tried for so long, more often than `retry.attempts` if need be. Default 0. */
  readonly waitWhileDownMs?: number | undefined;
  /** Shared between the entries of one server, if there are several. Default: an own one. */
  readonly budget?: RetryBudget | undefined;
  /** What is known of it, and with that how many requests may be under way. The source closes it. Default: an own one. */
  readonly health?: UpstreamHealth | undefined;
  /** Bytes, by kind of file, where it is not what `defaultMaxBytes` says. */
  readonly maxBytes?: Partial<Record<ModuleRequest["kind"], number>> | undefined;
}

/** Where another source is asked then, it does not take ten attempts to see that this one fails. */
const attemptsToMoveOn = 3;

/** What became of one attempt, filled in while it runs. */
export interface Attempt {
  status: number | undefined;
  firstByteAt: number | undefined;
  /** Where in the file its body began. */
  start: number;
  received: number;
  /** It asked for the rest of a file, and that is what failed. */
  isRestRefused: boolean;
  /** What the body itself failed with, as opposed to whoever read it. */
  bodyError: unknown;
}

/**
 * Another GOPROXY over HTTP. One fetch is a few attempts: each takes its turn in a queue that is fair between clients, and a
 * failure that may be gone the next time is followed by another attempt, within limits and a budget of the whole upstream.
 */
export function createUpstreamSource(options: UpstreamSourceOptions): Source {
  const { name, http, clock, events, patienceMs = 60_000, waitWhileDownMs = 0 } = options;
  const budget = options.budget ?? createRetryBudget(clock);
  const maxBytes = { ...defaultMaxBytes, ...options.maxBytes };
  const credentials = options.credentials?.reveal();
  const health =
    options.health ?? createUpstreamHealth({ name, clock, events, concurrency: options.queue?.concurrency });
  const queue = createFairQueue({
    maxWaiting: 10_000,
    maxWaitMs: 120_000,
    ...options.queue,
    concurrency: () => health.concurrency,
    clock,
    name,
    onChange: ({ running, waiting, limit }) =>
      events.emit({ type: "upstream_queue", upstream: name, running, waiting, limit }),
  });

  return {
    name,
    async fetch<T>(
      request: ModuleRequest,
      receive: (response: SourceResponse) => Promise<T>,
      context: FetchContext,
    ): Promise<T> {
      const { signal, client, failFast = false, mayMoveOn = false, elsewhere } = context;
      const asker = { signal, failFast, since: clock.now() };
      const judge = createRetryJudge({ clock, patienceMs });
      const mayPersist = !mayMoveOn && !failFast && options.retry?.attempts !== 1;
      let attempts = 0;
      try {
        return await withRetry(
          async (number) => {
            for (;;) {
              await health.ready(asker);
              const turn = await queue.run(client, signal, async () => {
                const sent = health.send(asker);
                // It went down while this one waited for its turn, or others are there first to see whether it is back.
                if (sent === undefined) return undefined;
                attempts = number;
                const partial = judge.mayAskForRest() ? context.partial?.() : undefined;
                const run = {
                  request,
                  receive,
                  signal,
                  mayMoveOn,
                  elsewhere,
                  partial,
                  number,
                  sent,
                  onEnd: judge.ended,
                };
                return { received: await attempt(run) };
              });
              if (turn !== undefined) return turn.received;
            }
          },
          {
            ...options.retry,
            ...(mayMoveOn ? { attempts: Math.min(attemptsToMoveOn, options.retry?.attempts ?? attemptsToMoveOn) } : {}),
            clock,
            signal,
            name,
            budget,
            // Who asks alone does not open the breaker by the attempts it has, and waits for the end of an outage like others.
            persists: (error) => mayPersist && judge.isOutage(error) && clock.now() - asker.since < waitWhileDownMs,
            isRetryable: (error) =>
              !isKnownDown(error) && !(mayMoveOn && error.code === "upstream_timeout") && judge.isRetryable(error),
            wentFurther: judge.wentFurther,
            // From then on it is the breaker that says when to ask again, or that somebody else is to be asked.
            onWait: (wake) => health.onDown(wake),
            // The judge knows better what is worth waiting for.
            maxElapsedMs: Number.POSITIVE_INFINITY,
          },
        );
      } catch (error) {
        if (isSluiceError(error, "not_found")) budget.succeeded();
        throw concluded(error, attempts);
      }
    },
    condition: () => health.condition,
    async close() {
      health.close();
    },
  };

  async function attempt<T>(run: {
    readonly request: ModuleRequest;
    readonly receive: (response: SourceResponse) => Promise<T>;
    readonly signal: AbortSignal;
    readonly mayMoveOn: boolean;
    readonly elsewhere: FetchContext["elsewhere"];
    readonly partial: PartialFile | undefined;
    readonly number: number;
    readonly sent: SentRequest;
    readonly onEnd: (attempt: Attempt) => void;
  }): Promise<T> {
    const seen: Attempt = {
      status: undefined,
      firstByteAt: undefined,
      start: 0,
      received: 0,
      isRestRefused: false,
      bodyError: undefined,
    };
    const startedAt = clock.now();
    let outcome = "ok";
    let failure: unknown;
    try {
      const signal = AbortSignal.any([run.signal, run.sent.signal]);
      return await exchange(run.request, run.receive, { ...run, signal, seen, startedAt });
    } catch (thrown) {
      const error: unknown = run.sent.signal.aborted ? run.sent.signal.reason : thrown;
      outcome = isSluiceError(error) ? error.code : "internal";
      failure = error;
      throw error;
    } finally {
      run.onEnd(seen);
      tellHealth(run.sent, { error: failure, seen, signal: run.signal });
      events.emit({
        type: "upstream_attempt",
        upstream: name,
        key: blobKey(run.request),
        attempt: run.number,
        outcome,
        status: seen.status,
        firstByteMs: seen.firstByteAt === undefined ? undefined : seen.firstByteAt - startedAt,
        durationMs: clock.now() - startedAt,
        error: failure instanceof Error ? failure : undefined,
      });
    }
  }

  async function exchange<T>(
    request: ModuleRequest,
    receive: (response: SourceResponse) => Promise<T>,
    run: {
      readonly signal: AbortSignal;
      readonly mayMoveOn: boolean;
      readonly elsewhere: FetchContext["elsewhere"];
      readonly partial: PartialFile | undefined;
      readonly number: number;
      readonly sent: SentRequest;
      readonly seen: Attempt;
      readonly startedAt: number;
    },
  ): Promise<T> {
    const { seen, sent } = run;
    const { response, size } = await open(request, run);
    const { start } = seen;
    try {
      seen.status = response.status;
      if (isWorking(response.status)) sent.answered();
      const refusal =
        start > 0
          ? undefined
          : await refusalOf(response, {
              name,
              notFoundStatus: options.notFoundStatus ?? [],
              hasCredentials: credentials !== undefined,
              now: clock.now(),
            });
      if (refusal !== undefined) throw refusal;
      return await receive({
        source: name,
        size,
        start,
        etag: strongEtag(response),
        body: watch(response, seen, { size, onFirstByte: (at) => sent.answered(at - run.startedAt) }),
      });
    } finally {
      response.discard();
    }
  }

  /** What is missing of the file, where there is a part of it and this upstream answers with the rest; else all of it. */
  async function open(
    request: ModuleRequest,
    {
      partial,
      seen,
      ...run
    }: Pick<Parameters<typeof exchange>[2], "signal" | "mayMoveOn" | "elsewhere" | "partial" | "number" | "seen">,
  ): Promise<{ response: HttpResponse; size: number | undefined }> {
    const whole = {
      url: requestUrl(options.url, request),
      credentials,
      signal: run.signal,
      attempt: run.number,
      mayMoveOn: run.mayMoveOn,
      elsewhere: run.elsewhere,
      maxBytes: maxBytes[request.kind],
    };
    const rest = requestRest(partial, name);
    if (rest !== undefined) {
      const response = await http.get({ ...whole, headers: rest.headers });
      if (isRest(response, rest)) {
        seen.start = rest.start;
        return { response, size: rest.total };
      }
      const { status } = response;
      seen.isRestRefused = isOnlyAboutRest(status) || status >= 500;
      if (!isOnlyAboutRest(status)) return { response, size: response.size };
      response.discard();
    }
    const response = await http.get(whole);
    return { response, size: response.size };
  }

  async function* watch(
    { body }: HttpResponse,
    seen: Attempt,
    { size, onFirstByte }: { readonly size: number | undefined; readonly onFirstByte: (at: number) => void },
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        if (seen.firstByteAt === undefined) {
          seen.firstByteAt = clock.now();
          onFirstByte(seen.firstByteAt);
        }
        seen.received += chunk.length;
        yield chunk;
      }
      if (size !== undefined && seen.start + seen.received !== size) throw otherSize(seen, size);
    } catch (error) {
      seen.bodyError = error;
      throw error;
    }
  }

  function otherSize({ start, received }: Attempt, size: number): SluiceError {
    const text = `${name}: sent ${received} bytes from byte ${start} on, of a file of ${size}`;
    return new SluiceError("upstream_invalid", text, { details: { upstream: name } });
  }

  /** The error of a whole fetch: which upstream, and how often it was asked. */
  function concluded(error: unknown, attempts: number): unknown {
    if (
      !isSluiceError(
        error,
        "not_found",
        "upstream_failed",
        "upstream_timeout",
        "upstream_refused",
        "upstream_invalid",
        "integrity",
      )
    ) {
      return error;
    }
    const { host } = options.url;
    const text = error.message.startsWith(`${host}: `) ? `${name}${error.message.slice(host.length)}` : error.message;
    const message = attempts > 1 ? `${text.replace(/\.$/, "")} (${attempts} attempts)` : text;
    return new SluiceError(error.code, message, {
      cause: error,
      details: { ...error.details, upstream: name, attempts },
      retryAfterSeconds: error.retryAfterSeconds,
    });
  }
}
