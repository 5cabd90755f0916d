import type { GitCommit, GitRefs, GitRepo } from "./repo.ts";
import { Refusal } from "./refusal.ts";

/** What a revision stands for. */
export interface Revision extends GitCommit {
  /** The first 12 digits, as pseudo-versions have them. */
  readonly short: string;
  /** Names of all tags on the commit, sorted by bytes. */
  readonly tags: readonly string[];
  /** The tag that was asked for, or else the hash. */
  readonly name: string;
  /** The branch or tag by which it was found, as go tells it: `refs/tags/v1.0.0`. */
  readonly ref: string | undefined;
  /** Some branch or tag is this very commit, so that go looks at no history for it at first. */
  readonly isTip: boolean;
}

interface Found {
  readonly ref: string;
  readonly hash: string;
  /** As go tells it. */
  readonly shownRef: string | undefined;
  readonly name: string;
}

const minHashDigits = 7;
/** The years 0 to 9999 in seconds: neither a pseudo-version nor the JSON of a `time.Time` has room for another. */
const firstTime = -62_167_219_200;
const lastTime = 253_402_300_799;

/**
 * Looks a revision up as go does with an empty cache (SPEC §3.4): a tag, a branch, `HEAD`, the beginning of a hash.
 *
 * @throws Refusal `unknown revision …`, `ambiguous revision …`, or that its commit has no usable date
 */
export async function statRevision(repo: GitRepo, rev: string): Promise<Revision> {
  const known = await repo.refs();
  try {
    return await statIn(repo, known, rev);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // What was not there a moment ago may have been pushed since.
    const fresh = await repo.refs({ fresh: true });
    if (fresh === known) throw error;
    return statIn(repo, fresh, rev);
  }
}

/**
 * The default branch's newest commit.
 *
 * @throws Refusal `no commits`, or that its commit has no usable date
 */
export async function statHead(repo: GitRepo): Promise<Revision> {
  const refs = await repo.refs();
  const hash = refs.byName.get("HEAD");
  const commit = hash === undefined ? undefined : await repo.tip("HEAD", hash);
  if (commit === undefined) throw new Refusal("no commits");
  return describe(commit, refs, { name: commit.hash, ref: "HEAD" });
}

async function statIn(repo: GitRepo, refs: GitRefs, rev: string): Promise<Revision> {
  const found = findRef(refs, rev);
  if (found !== undefined) {
    const commit = await repo.tip(found.ref, found.hash);
    if (commit === undefined) throw unknownRevision(rev);
    return describe(commit, refs, { name: found.name, ref: found.shownRef });
  }
  if (!isHashLike(rev, refs)) throw unknownRevision(rev);
  const commit = await repo.find(rev);
  if (commit === undefined) throw unknownRevision(rev);
  return describe(commit, refs, { name: commit.hash, ref: undefined });
}

function findRef(refs: GitRefs, rev: string): Found | undefined {
  const tag = `refs/tags/${rev}`;
  const tagHash = refs.byName.get(tag);
  if (tagHash !== undefined) return { ref: tag, hash: tagHash, shownRef: tag, name: rev };
  const branch = `refs/heads/${rev}`;
  const branchHash = refs.byName.get(branch);
  if (branchHash !== undefined) return { ref: branch, hash: branchHash, shownRef: branch, name: branchHash };
  const head = refs.byName.get("HEAD");
  if (rev === "HEAD" && head !== undefined) return { ref: rev, hash: head, shownRef: undefined, name: head };
  return isHashLike(rev, refs) ? findTipByHash(refs, rev) : undefined;
}

function findTipByHash(refs: GitRefs, prefix: string): Found | undefined {
  let ref: string | undefined;
  let hash: string | undefined;
  for (const [name, value] of refs.byName) {
    if (!value.startsWith(prefix)) continue;
    if (hash !== undefined && hash !== value) throw new Refusal(`ambiguous revision ${prefix}`);
    hash = value;
    if (ref === undefined || name < ref) ref = name;
  }
  if (ref === undefined || hash === undefined) return undefined;
  return { ref, hash, shownRef: ref === "HEAD" ? undefined : ref, name: hash };
}

function isHashLike(rev: string, refs: GitRefs): boolean {
  const [any = ""] = refs.byName.values();
  return rev.length >= minHashDigits && rev.length <= (any.length || 40) && /^[0-9a-f]+$/.test(rev);
}

function describe(commit: GitCommit, refs: GitRefs, found: { name: string; ref: string | undefined }): Revision {
  // Anybody can write any number into a commit.
  if (!(commit.time >= firstTime && commit.time <= lastTime)) {
    throw new Refusal(`commit ${commit.hash} has a date outside of the years 0 to 9999`);
  }
  const tags = refs.tagsAt(commit.hash);
  const isTip = tags.length > 0 || [...refs.byName.values()].includes(commit.hash);
  const name = tags.includes(found.name) ? found.name : commit.hash;
  return { ...commit, short: shortHash(commit.hash), tags, name, ref: found.ref, isTip };
}

function shortHash(hash: string): string {
  return hash.slice(0, 12);
}

function unknownRevision(rev: string): Refusal {
  return new Refusal(`unknown revision ${rev}`);
}
