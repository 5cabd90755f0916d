import { compareVersions, canonical } from "../../protocol/semver/index.ts";
import type { RefSnapshot } from "./refs.ts";

const tags = "refs/tags/";

/** What nobody asked for is no more than this for all tags of a moment, by what the latest commits took. */
export const maxAheadBytes = 64 * 1024 * 1024;
const maxCommits = 100;
/** Of it at once, and with what somebody waits for: a wait that nobody notices. */
const maxBytesAtOnce = 1024 * 1024;

/**
 * Chooses the commits that are fetched before anybody asks for them: who asked for one version of a repository asks for another one
 * of it later, mostly a new one, or for other modules in it.
 */
export class TagsAhead {
  /** Refs by which commits were asked for. */
  readonly #wanted = new Set<string>();
  /** What became of the tags of one moment. */
  #tried = { sum: "", hashes: new Set<string>(), bytes: 0, isOver: false };
  /** Of these tags and wanted refs: there may be many to be put in order. */
  #order: readonly string[] | undefined;

  want(ref: string): void {
    if (this.#wanted.has(ref)) return;
    this.#wanted.add(ref);
    this.#order = undefined;
  }

  /** The next ones, those that are here among them. `bytesPerCommit` is what one takes on the disk, more or less. */
  candidates(refs: RefSnapshot, bytesPerCommit: number): readonly string[] {
    if (this.#tried.sum !== refs.tagsSum) {
      this.#tried = { sum: refs.tagsSum, hashes: new Set(), bytes: 0, isOver: false };
      this.#order = undefined;
    }
    const { hashes, bytes, isOver } = this.#tried;
    if (isOver || this.#wanted.size === 0 || bytes + bytesPerCommit > maxAheadBytes) return [];
    this.#order ??= commitsAhead(refs, this.#wanted).slice(0, maxCommits);
    return this.#order.filter((hash) => !hashes.has(hash));
  }

  /** So many at once. */
  atOnce(bytesPerCommit: number): number {
    return Math.max(1, Math.floor(maxBytesAtOnce / Math.max(1, bytesPerCommit)));
  }

  /** They are fetched; what is not here now, since it is no commit, never will be. */
  fetched(hashes: readonly string[], bytes: number): void {
    for (const hash of hashes) this.#tried.hashes.add(hash);
    this.#tried.bytes += bytes;
  }

  /** The host does not give them. */
  giveUp(): void {
    this.#tried.isOver = true;
  }
}

/** Of more tags than these only those of the same module count: putting them in order would hold everybody up. */
const maxTags = 1_000;

/**
 * Commits of version tags, the most likely to be asked for next first. Of the modules in the same folders as `wanted` (refs) these are
 * the newest version and the one behind the wanted; then the others, then those of all other modules, newest version first.
 */
export function commitsAhead(refs: RefSnapshot, wanted: Iterable<string>): readonly string[] {
  const near = new Map([...wanted].filter(isVersionTag).map((ref) => [folderOf(ref), versionOf(ref)]));
  const isSmall = refs.byName.size <= maxTags;
  const versions = [...refs.byName.keys()]
    .filter((ref) => isVersionTag(ref) && (isSmall || near.has(folderOf(ref))))
    .sort((a, b) => compareVersions(versionOf(b), versionOf(a)))
    .slice(0, maxTags);
  const newest = new Map<string, string>();
  const next = new Map<string, string>();
  for (const ref of versions) {
    const folder = folderOf(ref);
    const version = near.get(folder);
    if (version === undefined) continue;
    if (!newest.has(folder)) newest.set(folder, ref);
    if (compareVersions(versionOf(ref), version) > 0) next.set(folder, ref);
  }
  const others = Map.groupBy(versions, (ref) => near.has(folderOf(ref)));
  const order = [...newest.values(), ...next.values(), ...(others.get(true) ?? []), ...(others.get(false) ?? [])];
  return [...new Set(order.map((ref) => refs.byName.get(ref)))].filter((hash) => hash !== undefined);
}

function isVersionTag(ref: string): boolean {
  return ref.startsWith(tags) && canonical(versionOf(ref)) !== undefined;
}

function folderOf(ref: string): string {
  return ref.slice(0, ref.lastIndexOf("/"));
}

function versionOf(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}
