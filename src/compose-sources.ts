import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import { withOffline } from "./core/offline.ts";
import type { Events, Source } from "./core/ports.ts";
import { createChain } from "./sources/chain.ts";
import { type HttpEntry, parseChain } from "./sources/chain-spec.ts";
import { createPrivateRules } from "./sources/private.ts";
import { createFileSource } from "./sources/upstream/file.ts";
import { createUpstreamSource } from "./sources/upstream/http.ts";
import { createUpstreamHealth, type UpstreamHealth } from "./sources/upstream-health/health.ts";
import { createEntryClient, entryCredentials, type Network, overrideOf } from "./compose-network.ts";

interface SourceParts {
  readonly events: Events;
  readonly network: Network;
  /** Modules from git. `isNeeded`: there will be questions for it. */
  readonly openGit: (isNeeded: boolean) => Source;
}

export interface Sources {
  readonly source: Source;
  /** Of all upstreams. */
  readonly health: HealthOf;
}

/** Builds the chain of upstreams, each with its own pool, queue, retry budget and health. `git` stays the caller's. */
export function composeSources(config: Config, parts: SourceParts): Sources {
  const { events, network, openGit } = parts;
  const { patterns } = config.privateModules;
  const entries = parseChain(config.upstream.chain);
  const isNeeded = patterns !== "" || entries.at(-1)?.name === "direct";
  const upstreams: UpstreamHealth[] = [];
  const chain = createChain({
    entries,
    ...(config.git.enabled ? { direct: openGit(isNeeded) } : {}),
    privateRules: createPrivateRules(patterns),
    open: (entry) => {
      if (entry.kind === "file") {
        return createFileSource({ name: entry.name, folder: entry.folder, events, clock: systemClock });
      }
      const health = createUpstreamHealth({ name: entry.name, clock: systemClock, events });
      upstreams.push(health);
      return composeHttpSource(entry, config, { ...parts, health });
    },
  });
  return { source: withOffline(chain, network.offline), health: () => upstreams.map(({ part }) => part) };
}

function composeHttpSource(
  entry: HttpEntry,
  config: Config,
  { events, network, health }: SourceParts & { readonly health: UpstreamHealth },
): Source {
  const { upstream, fetch } = config;
  const override = overrideOf(entry, config);
  const concurrency = override?.concurrency ?? upstream.concurrency;
  const http = createEntryClient(entry, config, { network, connections: concurrency });
  const source = createUpstreamSource({
    name: entry.name,
    url: entry.url,
    credentials: entryCredentials(entry, config),
    http,
    queue: { concurrency, maxWaiting: upstream.maxWaiting, maxWaitMs: fetch.clientWaitMs },
    retry: { attempts: override?.attempts ?? upstream.attempts },
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
}
