import { matchPrefixPatterns } from "../../../protocol/module/index.ts";
import { createOverrides, type RepoOverride } from "../discovery/overrides.ts";

/** Which credentials a remote is shown for a module: those of the rules and of `.netrc`, of `.netrc` alone, or none. */
export type Entitlement = "all" | "netrc" | "none";

export type EntitlementOf = (modulePath: string, remote: string) => Entitlement;

export interface EntitlementOptions {
  /** Comma-separated, in the grammar of GOPRIVATE. */
  readonly privatePatterns: string;
  /** Of modules that are not private, but whose remote the configuration names. */
  readonly overrides: readonly RepoOverride[];
}

/**
 * Anybody's web page can say that its module is in a repository of ours. It is the module path that decides, and so the client's name for
 * it, never the remote alone: a module that is not private gets what is behind our credentials only where the configuration says where
 * it is. `.netrc` is, as with go, for hosts that the module path itself names.
 */
export function createEntitlements({ privatePatterns, overrides }: EntitlementOptions): EntitlementOf {
  const configured = createOverrides(overrides);
  return (modulePath, remote) => {
    if (matchPrefixPatterns(privatePatterns, modulePath)) return "all";
    const answer = configured.match(modulePath);
    const isConfigured = answer?.kind === "location" || answer?.kind === "candidates";
    if (isConfigured && !answer.hasForeignHost) return "all";
    return URL.parse(remote)?.hostname === modulePath.split("/", 1)[0] ? "netrc" : "none";
  };
}
