import type { Config } from "./config/index.ts";
import { fingerprint } from "./config/reload.ts";
import type { Events } from "./core/events.ts";
import type { ModuleStore, Source } from "./core/ports.ts";
import { withExtraCa } from "./net/trust.ts";
import type { Log } from "./ops/log.ts";
import { GitTenure } from "./sources/git/tenure.ts";
import { composeGit } from "./compose-git.ts";
import type { Network } from "./compose-network.ts";

/** A git source for one configuration. */
export interface GitPlace {
  /** Closing it closes nothing. */
  readonly source: Source;
  /** It is the one that counts from now on. Before that it may just be forgotten. */
  take(): void;
}

/**
 * The one place that works in the mirrors of this process. Configurations that say the same of git share a source; another one
 * takes over when the last fetch of the one before has ended.
 */
export class GitSeat {
  readonly #parts: { readonly events: Events; readonly log: Log; readonly store: ModuleStore };
  #taken: { readonly tenure: GitTenure; readonly facts: string } | undefined;

  constructor(parts: { readonly events: Events; readonly log: Log; readonly store: ModuleStore }) {
    this.#parts = parts;
  }

  open(config: Config, { network, isNeeded }: { readonly network: Network; readonly isNeeded: boolean }): GitPlace {
    const { authorities } = config.privateModules;
    const trust = authorities.reduce((sum, { pem, file }) => withExtraCa(sum, pem, file), network.trust);
    const { chain: _chain, routes: _routes, groups: _groups, overrides: _overrides, ...upstream } = config.upstream;
    const { offline: _offline, ...fetch } = config.fetch;
    const { git, privateModules } = config;
    const facts = fingerprint({ git, fetch, privateModules, upstream, trust: trust.certificates, isNeeded });
    const before = this.#taken;
    if (before?.facts === facts) return { source: lent(before.tenure), take: () => undefined };

    const taken = Promise.withResolvers<Source>();
    const tenure = new GitTenure("direct", taken.promise);
    const compose = (): Source => composeGit(config, { ...this.#parts, ...network, trust, isNeeded });
    return {
      source: lent(tenure),
      take: () => {
        this.#taken = { tenure, facts };
        // A source that fails to close has let go of its folder all the same.
        const free = before?.tenure.handOver(tenure).catch(() => undefined) ?? Promise.resolve();
        free.then(compose).then(taken.resolve, taken.reject);
      },
    };
  }

  async close(): Promise<void> {
    await this.#taken?.tenure.close();
  }
}

function lent(tenure: GitTenure): Source {
  return {
    name: tenure.name,
    fetch: (request, receive, context) => tenure.fetch(request, receive, context),
    close: () => Promise.resolve(),
  };
}
