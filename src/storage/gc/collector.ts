import { sleepUnlessAborted } from "../../core/clock.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { LocalStore } from "../local-store.ts";
import { collect, type CollectionOptions, planCollection } from "./collect.ts";

export interface CollectorOptions extends Pick<CollectionOptions, "whyKept"> {
  readonly store: LocalStore;
  readonly clock: Clock;
  readonly events: Events;
  readonly maxBytes: number;
  /** Tells of how much should go where free space is scarce. Answers how to end it. Without it only `maxBytes` counts. */
  readonly onScarce?: ((listener: (missingBytes: number) => void) => () => void) | undefined;
}

export interface Collector {
  /** Ends it, and resolves when nothing of it works any more. */
  close(): Promise<void>;
}

const firstAfterMs = 15 * 60_000;
const intervalMs = 3_600_000;
/** So that not every file that comes makes another one go. */
const roomShare = 0.05;

/** Removes what was unused for longest when a store is too large, which is looked at every hour, or when free space is scarce. */
export function startCollector(options: CollectorOptions): Collector {
  const closing = new AbortController();
  let missingBytes = 0;
  let nap = new AbortController();
  const endTelling = options.onScarce?.((missing) => {
    missingBytes = missing;
    nap.abort();
  });
  const rest = async (ms: number): Promise<boolean> => {
    if (missingBytes === 0) await sleepUnlessAborted(options.clock, ms, AbortSignal.any([nap.signal, closing.signal]));
    nap = new AbortController();
    return !closing.signal.aborted;
  };
  const run = async (): Promise<void> => {
    for (let waitMs = firstAfterMs; await rest(waitMs); waitMs = intervalMs) {
      const missing = missingBytes;
      missingBytes = 0;
      await tryMakingRoom(options, missing, closing.signal);
    }
  };
  const running = run();
  return {
    async close() {
      endTelling?.();
      closing.abort();
      await running;
    },
  };
}

async function tryMakingRoom(options: CollectorOptions, missingBytes: number, signal: AbortSignal): Promise<void> {
  const { events, store } = options;
  try {
    await makeRoom(options, missingBytes, signal);
  } catch (cause) {
    if (signal.aborted) return;
    const error = cause instanceof Error ? cause : new Error(String(cause));
    events.emit({ type: "store_failed", store: store.blobs.name, operation: "collect", error });
  }
}

async function makeRoom(options: CollectorOptions, missingBytes: number, signal: AbortSignal): Promise<void> {
  const { store, events, maxBytes, whyKept } = options;
  const plan = await planCollection(store, { maxBytes: maxBytes * (1 - roomShare), missingBytes, whyKept });
  if (plan.bytes <= maxBytes && missingBytes === 0) return;
  const gone = await collect(store, plan.collected, () => signal.throwIfAborted());
  if (gone.files > 0) events.emit({ type: "store_collected", ...gone, leftBytes: plan.bytes - gone.bytes });
}
