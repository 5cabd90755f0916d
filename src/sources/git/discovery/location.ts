import type { FetchContext } from "../../../core/ports.ts";
import type { Entitlement } from "../credentials/entitlement.ts";
import type { ModulePath } from "../../../protocol/brand.ts";

/** Where the versions of a module come from. */
export type RepoLocation =
  | {
      readonly vcs: "git";
      /** For git: `scheme://host/path`. Never a password; a user name only for SSH, where it is a part of the address. */
      readonly url: string;
      /** Import path of the repository's root, or of its folder `subdir`. */
      readonly root: string;
      /** Folder of the repository that `root` is. Empty for the repository's root; never with `..` in it. */
      readonly subdir: string;
    }
  | {
      readonly vcs: "mod";
      /** A GOPROXY, see `createModSource`. */
      readonly url: string;
      readonly root: string;
    };

/**
 * Finds where modules come from. Fails with
 * - `not_found` in go's words, when the host of the module path, or its shape, says that there is nothing;
 * - `upstream_failed`, `upstream_timeout`, `upstream_invalid` or `overloaded` when that host could not tell;
 * - `upstream_refused` when it wants credentials, when the repository is not git, when GOVCS, GOINSECURE or the guard of this network
 *   forbids to go there.
 */
export interface Discovery {
  find(modulePath: ModulePath, context: FetchContext): Promise<RepoLocation>;
}

export interface ProbeContext extends FetchContext {
  /** It is asked for a private module: a host that wants a credential has not said that there is nothing. */
  readonly isPrivate?: boolean | undefined;
  /** Default: no credentials. */
  readonly entitlement?: Entitlement | undefined;
}

/**
 * Asks whether a git repository answers at a URL (`git ls-remote`). `false` only when its host said that there is none; fails with an
 * `upstream_*` code when that cannot be known.
 */
export type ProbeRepository = (url: string, context: ProbeContext) => Promise<boolean>;
