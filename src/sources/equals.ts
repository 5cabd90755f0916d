import { isSluiceError, type SluiceError } from "../core/errors.ts";
import type { FetchContext, Source, SourceResponse } from "../core/ports.ts";
import { givenUp } from "../net/given-up.ts";
import type { ModuleRequest } from "../protocol/goproxy/index.ts";
import { Outrun } from "./outrun.ts";

/** A source was late, and another one with the same content was asked as well. */
export interface EqualHedge {
  /** Who was late. */
  readonly source: string;
  /** Who was asked. */
  readonly to: string;
  /** Its answer counted, somebody else's did, or it had none. */
  readonly outcome: "won" | "lost" | "failed";
}

export interface EqualsOptions<T> {
  readonly request: ModuleRequest;
  readonly receive: (response: SourceResponse) => Promise<T>;
  readonly context: FetchContext;
  /** Who may be asked besides, in this order. Each is so at most once, and only while it is well. */
  readonly equals: readonly Source[];
  /** Filled with those of `equals` that said `not_found`. */
  readonly missing: Map<Source, SluiceError>;
  /** Whether an error is an answer of a source. With any other the fetch ends. */
  readonly isAnswer: (error: unknown) => boolean;
  readonly onHedge?: ((hedge: EqualHedge) => void) | undefined;
}

interface Leg {
  readonly source: Source;
  readonly end: AbortController;
  /** Whose lateness it was started for; undefined for the first one. */
  readonly lateOne: Source | undefined;
  isLate: boolean;
}

/**
 * Asks `first`, and who is its equal when it is late. The first answer that begins counts, and the others are ended. If that
 * answer turns out bad in the end, `first` is asked again.
 *
 * Fails with what `first` fails with, once nobody is left who may answer: who was asked besides was in a hurry, so its failure
 * is not its last word. Its `not_found` is.
 */
export function fetchFromEquals<T>(first: Source, options: EqualsOptions<T>): Promise<T> {
  const { request, receive, context, equals, missing, isAnswer, onHedge } = options;
  const spare = new Set(equals);
  const running = new Set<Leg>();
  const result = Promise.withResolvers<T>();
  let firstError: unknown;
  let isOver = false;
  start(first, undefined);
  return result.promise;

  function start(source: Source, lateOne: Source | undefined): void {
    const leg: Leg = { source, end: new AbortController(), lateOne, isLate: false };
    running.add(leg);
    const hurry = lateOne === undefined ? {} : { failFast: true, mayMoveOn: true };
    source
      .fetch(request, (response) => receiveFor(leg, response), {
        ...context,
        ...hurry,
        signal: AbortSignal.any([context.signal, leg.end.signal]),
        elsewhere: () => elsewhereThan(leg),
      })
      .then(
        (value) => {
          ended(leg, "won");
          isOver = true;
          result.resolve(value);
        },
        (error: unknown) => failed(leg, error),
      );
  }

  function elsewhereThan(leg: Leg): (() => void) | undefined {
    if (isOver || leg.end.signal.aborted) return undefined;
    const next = [...spare].find((source) => (source.condition?.().state ?? "ok") === "ok");
    if (next === undefined) return undefined;
    return () => {
      leg.isLate = true;
      spare.delete(next);
      start(next, leg.source);
    };
  }

  /** There is one place for a body, so nobody may send one beside another. */
  async function receiveFor(leg: Leg, response: SourceResponse): Promise<T> {
    if (leg.end.signal.aborted) throw givenUp(leg.end.signal, leg.source.name);
    for (const other of running) if (other !== leg) other.end.abort(new Outrun({ wasLate: other.isLate }));
    return receive(response);
  }

  function failed(leg: Leg, error: unknown): void {
    const isOutrun = leg.end.signal.aborted;
    ended(leg, isOutrun ? "lost" : "failed");
    if (isOver) return;
    if (!isOutrun && !isAnswer(error)) {
      for (const other of running) other.end.abort(new Outrun({ wasLate: false }));
      isOver = true;
      result.reject(error);
      return;
    }
    if (leg.lateOne === undefined) firstError = isOutrun ? undefined : error;
    else if (!isOutrun && isSluiceError(error, "not_found")) missing.set(leg.source, error);
    if (running.size > 0) return;
    if (firstError === undefined) start(first, undefined);
    else result.reject(firstError);
  }

  function ended(leg: Leg, outcome: EqualHedge["outcome"]): void {
    running.delete(leg);
    if (leg.lateOne !== undefined) onHedge?.({ source: leg.lateOne.name, to: leg.source.name, outcome });
  }
}
