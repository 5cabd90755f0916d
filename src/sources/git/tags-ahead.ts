import { compareVersions, canonical } from "../../protocol/semver/index.ts";
import type { RefSnapshot } from "./refs.ts";

const tags = "refs/tags/";

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
