import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import type { Events, Source } from "./core/ports.ts";
import { withHedging } from "./net/hedge.ts";
import { createRetryBudget, withinBudget } from "./net/retry-budget.ts";
import type { HttpEntry } from "./sources/chain-spec.ts";
import { createUpstreamSource } from "./sources/upstream/http.ts";
import { createUpstreamHealth, type UpstreamHealth } from "./sources/upstream-health/health.ts";
import { createEntryClient, entryCredentials, type Network, overrideOf } from "./compose-network.ts";

/** So many requests begin to fail at once when an upstream goes down, and are tried again a few times before it is known to be. */
const retriesPerPlace = 8;
/** Of all upstreams together: where the way out is gone, it is all of them that fail. */
const processRetries = { capacity: 2000, perSecond: 50 };
/** What may be asked twice because no answer came: a share of all requests to an upstream. */
const twice = { perSuccess: 0.4, perSecond: 1, capacity: 64 };

export interface Upstreams {
  /** An upstream with its own pool, queue, retry budget and health. */
  readonly open: (entry: HttpEntry) => Source;
  /** Of all that were opened. */
  readonly health: HealthOf;
}

export function composeUpstreams(
  config: Config,
  { events, network }: { readonly events: Events; readonly network: Network },
): Upstreams {
  const { upstream, fetch } = config;
  const opened: UpstreamHealth[] = [];
  const retries = createRetryBudget(systemClock, processRetries);
  return {
    open(entry) {
      const override = overrideOf(entry, config);
      const concurrency = override?.concurrency ?? upstream.concurrency;
      const health = createUpstreamHealth({ name: entry.name, clock: systemClock, events, concurrency });
      opened.push(health);
      // What is asked twice needs connections of its own: those that do not answer may be all the others.
      const connections = Math.ceil(concurrency * (1 + twice.perSuccess));
      const http = withHedging(createEntryClient(entry, config, { network, connections }), {
        clock: systemClock,
        usual: () => health.condition.firstByteMs,
        budget: createRetryBudget(systemClock, twice),
      });
      const source = createUpstreamSource({
        name: entry.name,
        url: entry.url,
        credentials: entryCredentials(entry, config),
        http,
        queue: { maxWaiting: upstream.maxWaiting, maxWaitMs: fetch.clientWaitMs },
        retry: { attempts: override?.attempts ?? upstream.attempts },
        budget: withinBudget(createRetryBudget(systemClock, { capacity: retriesPerPlace * concurrency }), retries),
        health,
        notFoundStatus: override?.notFoundStatus,
        events,
        clock: systemClock,
      });
      return {
        ...source,
        close: async () => {
          await source.close();
          await http.close();
        },
      };
    },
    health: () => opened.map(({ part }) => part),
  };
}
