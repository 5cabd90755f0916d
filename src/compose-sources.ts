import { groupNames } from "./config/checks.ts";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import { withOffline } from "./core/offline.ts";
import type { Events } from "./core/events.ts";
import type { Source } from "./core/ports.ts";
import { createChain } from "./sources/chain.ts";
import { type ChainEntry, type EndEntry, parseChain } from "./sources/chain-spec.ts";
import type { EqualHedge } from "./sources/equals.ts";
import { createPrivateRules } from "./sources/private.ts";
import { createRoutes } from "./sources/routes.ts";
import { createFileSource } from "./sources/upstream/file.ts";
import type { Network } from "./compose-network.ts";
import { composeUpstreams } from "./compose-upstream.ts";

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

/** Builds the chains of upstreams, each with its own pool, queue, retry budget and health. `git` stays the caller's. */
export function composeSources(config: Config, parts: SourceParts): Sources {
  const { events, network, openGit } = parts;
  const { patterns } = config.privateModules;
  const { chain, routes, groups } = config.upstream;
  const chains = [chain, ...routes.map((route) => route.chain)].map(parseChain);
  const isNeeded = patterns !== "" || chains.some((entries) => entries.at(-1)?.name === "direct");
  const upstreams = composeUpstreams(config, { events, network });
  const shared = {
    ...(config.git.enabled ? { direct: openGit(isNeeded) } : {}),
    privateRules: createPrivateRules(patterns),
    groups: groups.map(({ members, backups, balance }) => ({
      members: groupNames(members),
      backups: groupNames(backups),
      balance,
    })),
    onHedge: ({ source, to, outcome }: EqualHedge) =>
      events.emit({ type: "upstream_hedge", upstream: source, to, outcome }),
    open: sharing((entry) =>
      entry.kind === "file"
        ? createFileSource({ name: entry.name, folder: entry.folder, events, clock: systemClock })
        : upstreams.open(entry),
    ),
  };
  const main = createChain({ entries: parseChain(chain), ...shared });
  const routed = routes.map((route) => ({
    patterns: route.patterns,
    source: createChain({ entries: parseChain(route.chain), ...shared }),
  }));
  const source: Source = {
    ...createRoutes(routed, main),
    close: async () => {
      await Promise.all([main, ...routed.map((route) => route.source)].map((one) => one.close()));
    },
  };
  return { source: withOffline(source, network.offline), health: upstreams.health };
}

type Open = (entry: Exclude<ChainEntry, EndEntry>) => Source;

/** One source for an entry, in however many chains it stands, which is closed once. */
function sharing(open: Open): Open {
  const opened = new Map<string, Source>();
  return (entry) => {
    const key =
      entry.kind === "file" ? entry.name : JSON.stringify([entry.url.href, entry.credentials?.reveal() ?? null]);
    const known = opened.get(key);
    if (known !== undefined) return known;
    const source = open(entry);
    let closing: Promise<void> | undefined;
    const shared = { ...source, close: () => (closing ??= source.close()) };
    opened.set(key, shared);
    return shared;
  };
}
