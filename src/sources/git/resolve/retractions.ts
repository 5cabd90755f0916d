import { ProtocolError } from "../../../protocol/error.ts";
import { parseModFile } from "../../../protocol/modfile/index.ts";
import { compareVersions, prerelease } from "../../../protocol/semver/index.ts";
import { findDir } from "./find-dir.ts";
import type { ModuleLayout } from "./layout.ts";
import { Refusal } from "./refusal.ts";
import type { GitRepo } from "./repo.ts";
import { listVersions } from "./versions.ts";

export type IsRetracted = (version: string) => boolean;

/**
 * What the go.mod of the highest release, else of the highest pre-release, takes back (SPEC §3.7). Nothing when that go.mod
 * cannot be had or parsed.
 */
export async function readRetractions(repo: GitRepo, layout: ModuleLayout): Promise<IsRetracted> {
  const versions = (await listVersions(repo, layout)).filter((version) => !version.endsWith("+incompatible"));
  const highest = versions.findLast((version) => prerelease(version) === "") ?? versions.at(-1);
  if (highest === undefined) return () => false;
  const goMod = await goModOf(repo, layout, highest);
  if (goMod === undefined) return () => false;
  try {
    const { retracts } = parseModFile(goMod, { lax: true });
    return (version) =>
      retracts.some(({ low, high }) => compareVersions(low, version) <= 0 && compareVersions(version, high) <= 0);
  } catch (error) {
    if (error instanceof ProtocolError) return () => false;
    throw error;
  }
}

async function goModOf(repo: GitRepo, layout: ModuleLayout, version: string): Promise<Uint8Array | undefined> {
  const ref = `refs/tags/${layout.tagPrefix}${version}`;
  const { byName } = await repo.refs();
  const commit = await repo.tip(ref, byName.get(ref) ?? "");
  if (commit === undefined) return undefined;
  try {
    return (await findDir(repo, layout, { commit: commit.hash, version })).goMod;
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
