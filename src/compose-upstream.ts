import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import type { Events } from "./core/events.ts";
import type { Source } from "./core/ports.ts";
import { withHedging } from "./net/hedge.ts";
import { createRetryBudget, type RetryBudget, withinBudget } from "./net/retry-budget.ts";
import type { HttpClient } from "./net/http.ts";
import type { HttpEntry } from "./sources/chain-spec.ts";
import { createUpstreamSource } from "./sources/upstream/http.ts";
import { type Check, checkUrl, createCheck } from "./sources/upstream-health/check.ts";
import { createUpstreamHealth, type UpstreamHealth } from "./sources/upstream-health/health.ts";
import { createEntryClient, entryCredentials, type Network, overrideOf } from "./compose-network.ts";

/** So many requests begin to fail at once when an upstream goes down, and are tried again a few times before it is known to be. */
const retriesPerPlace = 8;
/** Of all upstreams together: where the way out is gone, it is all of them that fail. */
const processRetries = { capacity: 2000, perSecond: 50 };
/** So much may be asked twice in a row, whatever the share. */
const hedgesInARow = 64;

const neverOpen = { streak: Number.POSITIVE_INFINITY, share: Number.POSITIVE_INFINITY };

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
      const hedgeShare = (override?.hedgePercent ?? upstream.hedgePercent) / 100;
      const credentials = entryCredentials(entry, config);
      // What is asked twice needs connections of its own: those that do not answer may be all the others. So does a check.
      const connections = Math.ceil(concurrency * (1 + hedgeShare)) + 1;
      const client = createEntryClient(entry, config, { network, connections });
      const health = createUpstreamHealth({
        name: entry.name,
        clock: systemClock,
        events,
        concurrency,
        minConcurrency: override?.minConcurrency ?? upstream.minConcurrency,
        patienceMs: upstream.waitWhileDownMs,
        maxWaiting: upstream.maxWaiting,
        check: composeCheck(entry, config, client),
        rules: (override?.breaker ?? upstream.breaker) ? {} : neverOpen,
      });
      opened.push(health);
      const http = withHedging(client, {
        clock: systemClock,
        usual: () => health.condition.firstByteMs,
        budget: hedgeShare === 0 ? undefined : hedgeBudget(hedgeShare),
        onHedge: (outcome) => events.emit({ type: "upstream_hedge", upstream: entry.name, to: entry.name, outcome }),
      });
      const source = createUpstreamSource({
        name: entry.name,
        url: entry.url,
        credentials,
        http,
        queue: { maxWaiting: upstream.maxWaiting, maxWaitMs: fetch.clientWaitMs },
        retry: { attempts: override?.attempts ?? upstream.attempts },
        waitWhileDownMs: upstream.waitWhileDownMs,
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

function hedgeBudget(share: number): RetryBudget {
  return createRetryBudget(systemClock, { perSuccess: share, perSecond: 0, capacity: hedgesInARow });
}

/** None without a breaker: it is there to open and close it. */
function composeCheck(entry: HttpEntry, config: Config, http: HttpClient): Check | undefined {
  const { upstream } = config;
  const override = overrideOf(entry, config);
  const path = override?.healthPath ?? upstream.healthPath;
  if (path === "" || !(override?.breaker ?? upstream.breaker)) return undefined;
  const credentials = entryCredentials(entry, config)?.reveal();
  return createCheck({ name: entry.name, url: checkUrl(entry.url, path), credentials, http, clock: systemClock });
}
