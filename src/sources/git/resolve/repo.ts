/** A commit, as far as versions depend on it. */
export interface GitCommit {
  /** All of it: 40 or 64 hex digits. */
  readonly hash: string;
  /** Of the committer, in seconds since the epoch. */
  readonly time: number;
}

/** What the host says of its branches and tags. */
export interface GitRefs {
  /** `HEAD`, `refs/heads/…` and `refs/tags/…` with the hash of the commit; an annotated tag is peeled. */
  readonly byName: ReadonlyMap<string, string>;
  /** The names of all tags on an object, sorted by bytes. */
  tagsAt(hash: string): readonly string[];
}

/**
 * What resolving asks of a repository. Every method fails with a `SluiceError` when host, disk or time fail; whatever the
 * repository does not have is `undefined` or `false`.
 */
export interface GitRepo {
  /** Printable, without user info. */
  readonly url: string;
  /** As of now or a short time ago. `fresh` asks the host again unless it was asked since this request began. */
  refs(options?: { readonly fresh?: boolean }): Promise<GitRefs>;
  /** The commit that a ref of `refs()` stands for. Undefined when it is no commit. */
  tip(ref: string, hash: string): Promise<GitCommit | undefined>;
  /**
   * A commit by its hash, or by the beginning of it, when it is reachable from a branch or tag. Commits of pull requests, which
   * hosts have refs of other names for, are none of the repository's.
   */
  find(hash: string): Promise<GitCommit | undefined>;
  /** The raw content of files of a commit that was answered before. What is no file is undefined; a link is its target's text. */
  blobs(commit: string, paths: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>;
  /** The names of all tags in the history of a commit that was answered before. */
  tagsMerged(commit: string): Promise<readonly string[]>;
  /** Whether `ancestor` is in the history of `commit`, or is it. */
  isAncestor(ancestor: string, commit: string): Promise<boolean>;
}
