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
}

export interface Collector {
  /** Ends it, and resolves when nothing of it works any more. */
  close(): Promise<void>;
}

const firstAfterMs = 15 * 60_000;
const intervalMs = 3_600_000;
/** So that not every file that comes makes another one go. */
const roomShare = 0.05;

/** Looks at the size of a store every hour, and removes what was unused for longest when it is too large. */
export function startCollector(options: CollectorOptions): Collector {
  const closing = new AbortController();
  const running = run(options, closing.signal);
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

async function run(options: CollectorOptions, signal: AbortSignal): Promise<void> {
  const { clock, events, store } = options;
  for (let waitMs = firstAfterMs; await sleepUnlessAborted(clock, waitMs, signal); waitMs = intervalMs) {
    try {
      await makeRoom(options, signal);
    } catch (cause) {
      if (signal.aborted) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      events.emit({ type: "store_failed", store: store.blobs.name, operation: "collect", error });
    }
  }
}

async function makeRoom({ store, events, maxBytes, whyKept }: CollectorOptions, signal: AbortSignal): Promise<void> {
  const plan = await planCollection(store, { maxBytes: maxBytes * (1 - roomShare), whyKept });
  if (plan.bytes <= maxBytes) return;
  const gone = await collect(store, plan.collected, () => signal.throwIfAborted());
  events.emit({ type: "store_collected", ...gone, leftBytes: plan.bytes - gone.bytes });
}
