import type { FileRequest } from "../../protocol/goproxy/index.ts";
import { sleepUnlessAborted } from "../../core/clock.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, Clock, ZipVerifier } from "../../core/ports.ts";
import { isFileRequest, requestOf } from "../layout.ts";
import type { LocalStore } from "../local-store.ts";
import { checkStored } from "./check-stored.ts";
import { Healer, type HealerOptions } from "./healer.ts";
import { Pace } from "./pace.ts";
import { readScrubState, type ScrubState, writeScrubState } from "./scrub-state.ts";
import { setAside } from "./set-aside.ts";

export interface ScrubberOptions extends HealerOptions {
  readonly store: LocalStore;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
  readonly events: Events;
  /** Remembers how far it is. */
  readonly stateFile: string;
  /** From the end of one pass to the beginning of the next. */
  readonly intervalMs: number;
  readonly bytesPerSecond: number;
}

export interface Scrubber {
  /** Ends it, and resolves when nothing of it works any more. */
  close(): Promise<void>;
}

/** So that a start is not busy with it. */
const firstAfterMs = 10 * 60_000;
/** What a timer waits for at once; a clock that is set on is noticed after as long. */
const longestSleepMs = 3_600_000;
const retryAfterMs = 3_600_000;
const saveEveryMs = 60_000;

interface Count {
  files: number;
  bytes: number;
  broken: number;
}

/**
 * Reads all of a store once in a while, slowly: files with facts in order of their keys, then those without. What is broken is set aside
 * and brought again. A restart goes on with the pass that was under way.
 */
export function startScrubber(options: ScrubberOptions): Scrubber {
  const closing = new AbortController();
  const healer = new Healer(options);
  const running = run(options, healer, closing.signal);
  return {
    async close() {
      closing.abort();
      await running;
      await healer.close();
    },
  };
}

async function run(options: ScrubberOptions, healer: Healer, signal: AbortSignal): Promise<void> {
  const { clock, events, store, stateFile, intervalMs } = options;
  let waitMs = firstAfterMs;
  while (await sleepUnlessAborted(clock, waitMs, signal)) {
    try {
      const state = await readScrubState(stateFile);
      // A clock that was set back is no reason to wait for longer than an interval.
      const restMs = Math.min(intervalMs, (state.completedAt ?? 0) + intervalMs - clock.now());
      if (state.cursor === undefined && restMs > 0) waitMs = Math.min(restMs, longestSleepMs);
      else {
        await pass(state, { ...options, healer, signal });
        waitMs = 0;
      }
    } catch (cause) {
      if (signal.aborted) return;
      // Nobody waits for this, and the next time may go better.
      const error = cause instanceof Error ? cause : new Error(String(cause));
      events.emit({ type: "store_failed", store: store.blobs.name, operation: "scrub", error });
      waitMs = retryAfterMs;
    }
  }
}

interface Pass extends ScrubberOptions {
  readonly healer: Healer;
  readonly signal: AbortSignal;
}

async function pass(state: ScrubState, options: Pass): Promise<void> {
  const { clock, events, store, stateFile, signal } = options;
  const startedAt = state.startedAt ?? clock.now();
  const count: Count = { files: 0, bytes: 0, broken: 0 };
  const pace = new Pace(clock, options);
  const { cursor = "" } = state;
  let savedAt = clock.now();
  for await (const { key } of store.ledger.listFacts("")) {
    if (Buffer.compare(Buffer.from(key), Buffer.from(cursor)) <= 0) continue;
    await scrubOne(key, { ...options, pace, count });
    signal.throwIfAborted();
    if (clock.now() - savedAt < saveEveryMs) continue;
    savedAt = clock.now();
    await writeScrubState(stateFile, { ...state, cursor: key, startedAt });
  }
  for await (const key of store.blobs.list("")) {
    signal.throwIfAborted();
    if ((await store.ledger.facts(key)) === undefined) await scrubOne(key, { ...options, pace, count });
  }
  await writeScrubState(stateFile, { completedAt: clock.now() });
  events.emit({ type: "scrub_ended", ...count, durationMs: clock.now() - startedAt });
}

async function scrubOne(
  key: BlobKey,
  { pace, count, healer, ...options }: Pass & { readonly pace: Pace; readonly count: Count },
): Promise<void> {
  const request = fileRequestOf(key);
  if (request === undefined) return;
  const found = await checkStored(request, { ...options, spend: (bytes) => pace.spend(bytes) });
  if (found.state === "gone") return;
  count.files += 1;
  if (found.state === "sound") {
    count.bytes += found.size;
    return;
  }
  count.broken += 1;
  if (await setAside(request, found, options)) healer.add(request);
}

function fileRequestOf(key: BlobKey): FileRequest | undefined {
  const request = requestOf(key);
  return request !== undefined && isFileRequest(request) ? request : undefined;
}
