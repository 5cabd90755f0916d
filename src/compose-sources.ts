import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import { withOffline } from "./core/offline.ts";
import type { Events, Source } from "./core/ports.ts";
import { createChain } from "./sources/chain.ts";
import { parseChain } from "./sources/chain-spec.ts";
import { createPrivateRules } from "./sources/private.ts";
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

/** Builds the chain of upstreams, each with its own pool, queue, retry budget and health. `git` stays the caller's. */
export function composeSources(config: Config, parts: SourceParts): Sources {
  const { events, network, openGit } = parts;
  const { patterns } = config.privateModules;
  const entries = parseChain(config.upstream.chain);
  const isNeeded = patterns !== "" || entries.at(-1)?.name === "direct";
  const upstreams = composeUpstreams(config, { events, network });
  const chain = createChain({
    entries,
    ...(config.git.enabled ? { direct: openGit(isNeeded) } : {}),
    privateRules: createPrivateRules(patterns),
    open: (entry) =>
      entry.kind === "file"
        ? createFileSource({ name: entry.name, folder: entry.folder, events, clock: systemClock })
        : upstreams.open(entry),
  });
  return { source: withOffline(chain, network.offline), health: upstreams.health };
}
