import type { Version } from "../../../protocol/brand.ts";
import { canonicalVersion, matchesPathMajor } from "../../../protocol/module/index.ts";
import { canonical, compareVersions, isPseudoVersion, major, sortVersions } from "../../../protocol/semver/index.ts";
import type { ModuleLayout } from "./layout.ts";
import type { GitRepo } from "./repo.ts";

const tags = "refs/tags/";

/** The versions that tags give a module (SPEC §3.8), sorted. Retracted ones are there; whether each can be had is not looked at. */
export async function listVersions(repo: GitRepo, layout: ModuleLayout): Promise<readonly Version[]> {
  const { modulePath, codeDir, tagPrefix, pathMajor } = layout;
  if (modulePath.startsWith("gopkg.in/") && modulePath.endsWith("-unstable")) return [];
  const { byName } = await repo.refs();
  const prefix = tags + tagPrefix;
  const list: string[] = [];
  const incompatible: string[] = [];
  for (const name of byName.keys()) {
    if (!name.startsWith(prefix)) continue;
    const version = name.slice(prefix.length);
    if (version === "" || canonical(version) !== version || isPseudoVersion(version)) continue;
    if (matchesPathMajor(version, pathMajor)) list.push(version);
    else if (codeDir === "" && pathMajor === "" && (major(version) ?? "") > "v1") incompatible.push(version);
  }
  const sorted = sortVersions(list);
  const all = [...sorted, ...(await usableIncompatible(repo, byName, sorted.at(-1), sortVersions(incompatible)))];
  return all.map((version) => canonicalVersion(version)).filter((version) => version !== undefined);
}

async function usableIncompatible(
  repo: GitRepo,
  byName: ReadonlyMap<string, string>,
  newestCompatible: string | undefined,
  candidates: readonly string[],
): Promise<readonly string[]> {
  if (candidates.length === 0) return [];
  const hasGoMod = async (version: string): Promise<boolean> => {
    const ref = tags + version;
    const commit = await repo.tip(ref, byName.get(ref) ?? "");
    if (commit === undefined) return false;
    const [goMod] = await repo.blobs(commit.hash, ["go.mod"]);
    return goMod !== undefined;
  };
  if (newestCompatible !== undefined && (await hasGoMod(newestCompatible))) return [];

  const usable: string[] = [];
  for (const [, ofMajor] of Map.groupBy(candidates, (version) => major(version))) {
    const newest = ofMajor.toSorted(compareVersions).at(-1);
    if (newest === undefined || (await hasGoMod(newest))) continue;
    usable.push(...ofMajor.map((version) => `${version}+incompatible`));
  }
  return usable;
}
