import { LRUCache } from "lru-cache";
import { sleepUnlessAborted } from "./clock.ts";
import { isSluiceError } from "./errors.ts";
import type { OfflineSwitch } from "./offline.ts";
import type { BlobKey, Clock, ModuleStore, StoredUnverified, SumVerifier } from "./ports.ts";
import { compareStored, type StoredSumsOptions } from "./stored-sums.ts";

export interface RecheckOptions extends StoredSumsOptions {
  readonly store: Pick<ModuleStore, "listUnverified" | "confirm" | "reject">;
  readonly sums: Pick<SumVerifier, "recheck">;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** While it is on, nobody is asked. */
  readonly offline?: OfflineSwitch | undefined;
}

export interface Recheck {
  /** Ends it, and resolves when nothing of it works any more. */
  close(): Promise<void>;
}

/** So that a start is not busy with it. */
const firstAfterMs = 5000;
const pageFiles = 100;
/** Few, as clients' own look-ups come first. */
const concurrency = 3;
/** What a database does not have it may never have, such as a module of a company that no pattern makes private. */
const longestRestMs = 24 * 3_600_000;
const maxResting = 50_000;
/** Whose turn it takes in fair queues. */
const client = "recheck";

interface Count {
  confirmed: number;
  rejected: number;
  left: number;
}

/**
 * Compares stored files that no checksum database has confirmed, once soon after the start and then every `intervalMs`: those it
 * confirms are marked so no more, those it has another hash of are taken out of the store. When a database cannot be asked, the
 * rest waits for the next time. A file that it does not have is asked for again after as long as it has been unverified, and
 * once a day.
 */
export function startRecheck(options: RecheckOptions): Recheck {
  const closing = new AbortController();
  const running = run(options, closing.signal);
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

async function run({ intervalMs, ...options }: RecheckOptions, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  const restsUntil = new LRUCache<BlobKey, number>({ max: maxResting });
  for (let waitMs = firstAfterMs; await sleepUnlessAborted(clock, waitMs, signal); waitMs = intervalMs) {
    if (options.offline?.isOffline === true) continue;
    const count: Count = { confirmed: 0, rejected: 0, left: 0 };
    const reason = await recheckAll({ ...options, restsUntil, count, signal });
    if (signal.aborted || count.confirmed + count.rejected + count.left === 0) continue;
    const outcome = reason === undefined ? "complete" : "interrupted";
    options.events.emit({ type: "sum_recheck", outcome, ...count, ...(reason === undefined ? {} : { reason }) });
  }
}

interface Pass extends Omit<RecheckOptions, "intervalMs"> {
  /** Of files that the database does not have, in milliseconds since the epoch. */
  readonly restsUntil: LRUCache<BlobKey, number>;
  readonly count: Count;
  readonly signal: AbortSignal;
}

/** Why it did not come to the end, if it did not. */
async function recheckAll(pass: Pass): Promise<string | undefined> {
  const { store, events, signal } = pass;
  try {
    let page: readonly StoredUnverified[];
    for (let after = ""; ; after = page.at(-1)?.key ?? "") {
      page = await store.listUnverified(after, pageFiles);
      if (page.length === 0) return undefined;
      const files = page.values();
      const reasons = await Promise.all(Array.from({ length: concurrency }, () => recheckEach(files, pass)));
      const reason = reasons.find((one) => one !== undefined);
      if (reason !== undefined || signal.aborted) return reason;
    }
  } catch (error) {
    // Nobody waits for this, and the next time may go better.
    const failure = error instanceof Error ? error : new Error(String(error));
    events.emit({ type: "store_failed", store: "unverified files", operation: "recheck", error: failure });
    return failure.message;
  }
}

async function recheckEach(files: Iterable<StoredUnverified>, pass: Pass): Promise<string | undefined> {
  for (const file of files) {
    const reason = await recheckOne(file, pass);
    if (reason !== undefined || pass.signal.aborted) return reason;
  }
  return undefined;
}

/** Why the others need not be tried now. */
async function recheckOne(file: StoredUnverified, pass: Pass): Promise<string | undefined> {
  const { sums, clock, restsUntil, count, signal } = pass;
  if (clock.now() < (restsUntil.get(file.key) ?? 0)) {
    count.left += 1;
    return undefined;
  }
  try {
    const outcome = await compareStored(file, pass, (sum) => sums.recheck(sum, { signal, client }));
    if (outcome === "confirmed" || outcome === "rejected") {
      count[outcome] += 1;
      return undefined;
    }
    count.left += 1;
    if (!outcome.isAnswered) return outcome.reason;
    const now = clock.now();
    restsUntil.set(file.key, now + Math.min(Math.max(0, now - file.since), longestRestMs));
    return undefined;
  } catch (error) {
    if (!isSluiceError(error) || error.code === "storage_failed") throw error;
    count.left += 1;
    return error.message;
  }
}
