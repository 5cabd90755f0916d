export interface Requirement {
  /** Unquoted; not checked beyond its major version suffix. */
  readonly path: string;
  /** Canonical. */
  readonly version: string;
  /** Has an `// indirect` comment. */
  readonly indirect: boolean;
}

export interface Exclusion {
  readonly path: string;
  readonly version: string;
}

export interface Replacement {
  readonly oldPath: string;
  /** Absent when every version is replaced. */
  readonly oldVersion?: string | undefined;
  /** A module path, or a directory when there is no version. */
  readonly newPath: string;
  readonly newVersion?: string | undefined;
}

/** An interval of retracted versions with both ends. As written: neither canonical nor certainly valid (SPEC §3.7). */
export interface Retract {
  readonly low: string;
  readonly high: string;
  /** The comments, without `//`, joined by newlines. */
  readonly rationale: string;
}

/** What a go.mod says. Directives that do not occur are undefined or empty. */
export interface ModFile {
  /** Unquoted and not checked; the empty string is possible. */
  readonly module?: string | undefined;
  /** The text of the deprecation notice on the module directive (SPEC §8.4). */
  readonly deprecated?: string | undefined;
  /** Such as `1.24.0`, without `go`. */
  readonly go?: string | undefined;
  /** Such as `go1.26.0` or `default`. Undefined in lax mode. */
  readonly toolchain?: string | undefined;
  readonly requires: readonly Requirement[];
  readonly retracts: readonly Retract[];
  readonly ignores: readonly string[];
  /** This and what follows is for main modules: empty in lax mode. */
  readonly excludes: readonly Exclusion[];
  readonly replaces: readonly Replacement[];
  readonly tools: readonly string[];
  readonly godebugs: readonly { readonly key: string; readonly value: string }[];
}

/** A ModFile while it is read. */
export type MutableModFile = {
  -readonly [name in keyof ModFile]: ModFile[name] extends readonly (infer Item)[] ? Item[] : ModFile[name];
} & {
  /** A `module` directive was met, even one that is wrong. */
  moduleSeen?: boolean;
};
