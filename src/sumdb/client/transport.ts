import { isSluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext } from "../../core/ports.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import { refusalOf } from "../../net/answer.ts";
import { createFairQueue, type FairQueueOptions } from "../../net/fair-queue.ts";
import type { HttpClient } from "../../net/http.ts";
import { givenUp } from "../../net/given-up.ts";
import { createRetryBudget } from "../../net/retry-budget.ts";
import { isTransient, type RetryOptions, withRetry } from "../../net/retry.ts";
import { maxDataTileBytes, maxLookupBytes, maxNoteBytes, maxTileBytes } from "../../protocol/sumdb/index.ts";
import { createOutage } from "./outage.ts";
import { createRoutes, type LogProxy, type LogRoute } from "./routes.ts";

export interface LogTransportOptions {
  /** Of the database, such as `sum.golang.org`. */
  readonly name: string;
  /** The address that GOSUMDB gives, without slash at its end: the database is asked there, past all proxies. */
  readonly url?: string | undefined;
  /** The chain of upstreams, in its order. Their clients stay the caller's. */
  readonly proxies: readonly LogProxy[];
  /** The chain ends with `direct`: when proxies fail that may be passed over, the database itself is asked. */
  readonly endsDirect: boolean;
  /** For the database itself. Stays the caller's. Ten seconds to the first byte are plenty for it. */
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly events: Events;
  /** Requests under way at the same time, and those that may wait. Default 32, 10 000, and one minute. */
  readonly queue?: Partial<Pick<FairQueueOptions, "concurrency" | "maxWaiting" | "maxWaitMs">> | undefined;
  /** Default 4 attempts within 15 s. See `withRetry` for the rest. */
  readonly retry?: Pick<RetryOptions, "attempts" | "baseMs" | "capMs" | "maxElapsedMs" | "random"> | undefined;
  /** How long it is remembered which way leads to the database. Default 10 minutes. */
  readonly routeTtlMs?: number | undefined;
}

export type LogFile = "lookup" | "tile" | "data" | "latest";

export interface LogResponse {
  readonly bytes: Uint8Array;
  /** Printable: the proxy or the database. */
  readonly via: string;
}

/** The way to one checksum database. */
export interface LogTransport {
  /**
   * Reads a file of the log. Fails with `not_found` when 404 or 410 is answered, with an `upstream_*` code, `overloaded` or `loop` when
   * there is no answer, with `cancelled` when the signal ends it.
   */
  get(path: string, kind: LogFile, context: FetchContext): Promise<LogResponse>;
}

const maxBytes: Readonly<Record<LogFile | "supported", number>> = {
  lookup: maxLookupBytes,
  tile: maxTileBytes,
  data: maxDataTileBytes,
  latest: maxNoteBytes,
  supported: 64 * 1024,
};

/**
 * Asks a checksum database as go does (SPEC §6.4): through the first proxy of the chain that speaks for it, else itself. One
 * queue, fair between clients, and one retry budget for all that is asked.
 */
export function createLogTransport(options: LogTransportOptions): LogTransport {
  const { name, clock, events } = options;
  const budget = createRetryBudget(clock);
  const outage = createOutage(clock);
  const queue = createFairQueue({
    concurrency: 32,
    maxWaiting: 10_000,
    maxWaitMs: 60_000,
    ...options.queue,
    clock,
    name,
    onChange: ({ running, waiting, limit }) =>
      events.emit({ type: "upstream_queue", upstream: name, running, waiting, limit }),
  });
  const routes = createRoutes({
    ...options,
    routeTtlMs: options.routeTtlMs ?? 600_000,
    probe: async (route, context) => {
      await ask({ route, path: "supported", kind: "supported", context, entry: "trial" });
    },
  });

  return {
    async get(path, kind, context) {
      const entry = await enter(context.signal);
      try {
        const route = await routes.find(context);
        return { bytes: await ask({ route, path, kind, context, entry }), via: route.name };
      } finally {
        if (entry === "trial") outage.endTrial();
      }
    },
  };

  /** Who comes while another one finds out waits for that: most probably the database is back. */
  async function enter(signal: AbortSignal): Promise<"open" | "trial"> {
    while (outage.trial !== undefined) {
      await waitUnlessAborted(outage.trial, signal).catch(() => {
        throw givenUp(signal, name);
      });
    }
    return outage.enter();
  }

  interface Question {
    readonly route: LogRoute;
    readonly path: string;
    readonly kind: LogFile | "supported";
    readonly context: FetchContext;
    readonly entry: "open" | "trial";
  }

  function ask(question: Question): Promise<Uint8Array> {
    const { signal, client } = question.context;
    const task = async (): Promise<Uint8Array> => {
      // Who waited for its turn meanwhile need not find out by itself. It has a place in the queue, so it must not wait for a trial.
      const entry = question.entry === "open" ? outage.enter() : "open";
      try {
        return await attempt(question);
      } finally {
        if (entry === "trial") outage.endTrial();
      }
    };
    return withRetry(() => queue.run(client, signal, task), {
      attempts: 4,
      maxElapsedMs: 15_000,
      ...options.retry,
      clock,
      signal,
      name,
      budget,
      isRetryable: (error) => isTransient(error) && !outage.isResting,
    });
  }

  async function attempt({ route, path, kind, context }: Question): Promise<Uint8Array> {
    const startedAt = clock.now();
    let outcome = "ok";
    try {
      const bytes = await exchange(route, path, { kind, signal: context.signal });
      outage.answered();
      return bytes;
    } catch (error) {
      outcome = isSluiceError(error) ? error.code : "internal";
      outage.failed(error);
      throw error;
    } finally {
      events.emit({
        type: "sum_request",
        database: name,
        via: route.name,
        kind: kind === "data" ? "tile" : kind,
        outcome,
        durationMs: clock.now() - startedAt,
      });
    }
  }

  async function exchange(
    route: LogRoute,
    path: string,
    { kind, signal }: { readonly kind: LogFile | "supported"; readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    const url = new URL(route.url);
    url.pathname = `${route.url.pathname.replace(/\/$/, "")}/${path}`;
    const credentials = route.credentials?.reveal();
    const response = await route.http.get({ url, credentials, signal, maxBytes: maxBytes[kind] });
    try {
      const refusal = await refusalOf(response, {
        name: route.name,
        notFoundStatus: [],
        hasCredentials: credentials !== undefined,
        now: clock.now(),
      });
      // As in go, the status of `supported` is all there is to it.
      if (kind === "supported" && response.status === 200) return new Uint8Array();
      if (refusal !== undefined) throw refusal;
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.body) chunks.push(chunk);
      return Buffer.concat(chunks);
    } finally {
      response.discard();
    }
  }
}
