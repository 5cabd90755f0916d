import { groupNames } from "./config/checks.ts";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import { withOffline } from "./core/offline.ts";
import type { Events } from "./core/events.ts";
import type { Source } from "./core/ports.ts";
import type { ModulePath } from "./protocol/brand.ts";
import { createChain } from "./sources/chain.ts";
import { type ChainEntry, type EndEntry, parseChain } from "./sources/chain-spec.ts";
import type { EqualHedge } from "./sources/equals.ts";
import { createPrivateRules } from "./sources/private.ts";
import { createRoutes, isRemoteFirst } from "./sources/routes.ts";
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
  /** Whether this module is asked of an upstream on the network first. */
  readonly isRemote: (modulePath: ModulePath) => boolean;
}

/** Builds the chains of upstreams, each with its own pool, queue, retry budget and health. `git` stays the caller's. */
export function composeSources(config: Config, parts: SourceParts): Sources {
  const { events, network, openGit } = parts;
  const { patterns } = config.privateModules;
  const { chain, routes, groups } = config.upstream;
  const mainEntries = parseChain(chain);
  const parsed = routes.map((route) => ({ patterns: route.patterns, entries: parseChain(route.chain) }));
  const chains = [mainEntries, ...parsed.map(({ entries }) => entries)];
  const isNeeded = patterns !== "" || chains.some((entries) => entries.at(-1)?.name === "direct");
  const privateRules = createPrivateRules(patterns);
  const upstreams = composeUpstreams(config, { events, network });
  const shared = {
    ...(config.git.enabled ? { direct: openGit(isNeeded) } : {}),
    privateRules,
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
  const main = createChain({ entries: mainEntries, ...shared });
  const routed = parsed.map((route) => ({
    patterns: route.patterns,
    source: createChain({ entries: route.entries, ...shared }),
  }));
  const source: Source = {
    ...createRoutes(routed, main),
    close: async () => {
      await Promise.all([main, ...routed.map((route) => route.source)].map((one) => one.close()));
    },
  };
  return {
    source: withOffline(source, network.offline),
    health: upstreams.health,
    isRemote: (modulePath) => isRemoteFirst(modulePath, { main: mainEntries, routes: parsed, privateRules }),
  };
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
