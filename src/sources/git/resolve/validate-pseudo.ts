import { ProtocolError } from "../../../protocol/error.ts";
import {
  compareVersions,
  major,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
} from "../../../protocol/semver/index.ts";
import type { ModuleLayout } from "./layout.ts";
import { invalidPseudoVersion } from "./refusal.ts";
import type { GitRepo } from "./repo.ts";
import type { Revision } from "./stat.ts";

/**
 * Checks that a pseudo-version is the name of its commit and is not higher than the tags before it allow (SPEC §3.6).
 *
 * @throws Refusal `P@V: invalid pseudo-version: …`
 */
export async function validatePseudoVersion(
  repo: GitRepo,
  layout: ModuleLayout,
  { revision, version }: { readonly revision: Revision; readonly version: string },
): Promise<void> {
  const problem = await problemOf(repo, layout, { revision, version }).catch((error: unknown) => {
    if (error instanceof ProtocolError) return error.message.replace(/^pseudo-version ".*?" invalid: /, "");
    throw error;
  });
  if (problem !== undefined) throw invalidPseudoVersion(layout.modulePath, version, problem);
}

async function problemOf(
  repo: GitRepo,
  layout: ModuleLayout,
  { revision, version }: { readonly revision: Revision; readonly version: string },
): Promise<string | undefined> {
  const rev = pseudoVersionRev(version);
  const { short } = revision;
  if (rev !== short) {
    if (rev.startsWith(short)) return `revision is longer than canonical (expected ${short})`;
    if (short.startsWith(rev)) return `revision is shorter than canonical (expected ${short})`;
    return `does not match short name of revision (expected ${short})`;
  }
  if (pseudoVersionTime(version).getTime() !== revision.time * 1000) {
    return `does not match version-control timestamp (expected ${timestampOf(revision.time)})`;
  }
  const base = pseudoVersionBase(version.replace(/\+incompatible$/, ""));
  if (base === "") {
    const needsTag = layout.pseudoMajor === "" && major(version) === "v1";
    return needsTag ? "major version without preceding tag must be v0, not v1" : undefined;
  }
  const { tagPrefix } = layout;
  const own = revision.tags.find((tag) => withoutPrefix(tag, tagPrefix) === base);
  if (own !== undefined) {
    return `tag (${own}) found on revision ${rev} is already canonical, so should not be replaced with a pseudo-version derived from that tag`;
  }
  const { byName } = await repo.refs();
  const prefix = `refs/tags/${tagPrefix}${base}`;
  const equal = [...byName]
    .filter(
      ([name]) => name.startsWith(prefix) && compareVersions(name.slice(`refs/tags/${tagPrefix}`.length), base) === 0,
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [, hash] of equal) if (await repo.isAncestor(hash, revision.hash)) return undefined;
  const last = equal.at(-1);
  if (last === undefined) return `preceding tag (${base}) not found`;
  return `revision ${rev} is not a descendent of preceding tag (${last[0].slice("refs/tags/".length)})`;
}

function withoutPrefix(tag: string, prefix: string): string {
  return tag.startsWith(prefix) ? tag.slice(prefix.length) : tag;
}

function timestampOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace(/[-T:]/g, "");
}
