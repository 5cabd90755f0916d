import type { ModulePath, Version } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { decodeText } from "../go-text.ts";
import { parseModFile, type Retract } from "../modfile/index.ts";
import { matchesPathMajor, splitPathVersion } from "../module/index.ts";
import { compareVersions, prerelease } from "../semver/index.ts";
import type { VersionList } from "./list.ts";
import { compareTimes } from "./time.ts";

/** What to do next on the way to a module's latest version. */
export type LatestStep =
  /** This is the one: answer its `.info`. */
  | { readonly kind: "selected"; readonly version: Version }
  /**
   * Read this version's go.mod, put it into `goMods` and ask again. For `retractions` go carries on without one it cannot read
   * or parse: put `undefined`. For `incompatible` go gives up on the query; `undefined` here keeps to the compatible versions.
   */
  | { readonly kind: "read_go_mod"; readonly version: Version; readonly purpose: "retractions" | "incompatible" }
  /** The module has no such version: not found, with this reason in go's words. */
  | { readonly kind: "none"; readonly reason: string };

/**
 * Which version a module's `@latest` is, when the upstream has a list and no `@latest`: the `go` command's algorithm for
 * `P@latest` (SPEC §3.9, §1.4). The highest release, else the highest pre-release, retracted ones left out by the go.mod of
 * the highest; `+incompatible` versions only if the last compatible one has no go.mod of its own; with nothing listed, the
 * entry of the greatest time.
 *
 * Pure: it is called with the go.mod files known so far, and says what it needs. At most three are asked for.
 *
 * @example
 * const goMods = new Map<Version, Uint8Array | undefined>();
 * let step = nextLatestStep(modulePath, list, goMods);
 * while (step.kind === "read_go_mod") {
 *   goMods.set(step.version, await readGoMod(step.version));
 *   step = nextLatestStep(modulePath, list, goMods);
 * }
 */
export function nextLatestStep(
  modulePath: ModulePath,
  list: VersionList,
  goMods: ReadonlyMap<Version, Uint8Array | string | undefined>,
): LatestStep {
  const major = splitPathVersion(modulePath)?.major ?? "";
  const usable = list.versions.filter((version) => matchesPathMajor(version, major));
  const tip = newestTimed({ ...list, timed: list.timed.filter(({ version }) => matchesPathMajor(version, major)) });

  const newest = pickTagged(modulePath, usable, goMods) ?? selectedOrNone(tip);
  if (newest.kind !== "selected") return newest;
  if (!goMods.has(newest.version)) return { kind: "read_go_mod", version: newest.version, purpose: "retractions" };

  const retracts = readRetractions(goMods.get(newest.version));
  const allowed = usable.filter((version) => !isRetracted(version, retracts));
  const allowedTip = tip !== undefined && isRetracted(tip, retracts) ? undefined : tip;
  return pickTagged(modulePath, allowed, goMods) ?? selectedOrNone(allowedTip);
}

/**
 * The version of the greatest time, the first of several; what go falls back to when nothing is tagged (SPEC §1.4). Undefined
 * when no entry is younger than Go's zero time.
 */
export function newestTimed(list: VersionList): Version | undefined {
  let newest: Version | undefined;
  let newestTime = "0001-01-01T00:00:00Z";
  for (const { version, time } of list.timed) {
    if (compareTimes(newestTime, time) < 0) [newest, newestTime] = [version, time];
  }
  return newest;
}

/** Whether one of the intervals, whose ends are included, has the version. Ends need not be valid: those sort first (SPEC §3.7). */
export function isRetracted(version: Version, retracts: readonly Retract[]): boolean {
  return retracts.some(({ low, high }) => compareVersions(low, version) <= 0 && compareVersions(version, high) <= 0);
}

/** Of versions in semver order. Undefined when there is none. */
function pickTagged(
  modulePath: ModulePath,
  versions: readonly Version[],
  goMods: ReadonlyMap<Version, Uint8Array | string | undefined>,
): LatestStep | undefined {
  let candidates = versions;
  const firstIncompatible = versions.findIndex((version) => version.endsWith("+incompatible"));
  const lastCompatible = versions[firstIncompatible - 1];
  if (lastCompatible !== undefined) {
    if (!goMods.has(lastCompatible)) {
      return { kind: "read_go_mod", version: lastCompatible, purpose: "incompatible" };
    }
    if (hasOwnGoMod(modulePath, goMods.get(lastCompatible))) candidates = versions.slice(0, firstIncompatible);
  }
  const version = candidates.findLast((candidate) => prerelease(candidate) === "") ?? candidates.at(-1);
  return version === undefined ? undefined : { kind: "selected", version };
}

function selectedOrNone(version: Version | undefined): LatestStep {
  if (version !== undefined) return { kind: "selected", version };
  return { kind: "none", reason: 'no matching versions for query "latest"' };
}

/** A go.mod that only names the module is what proxies make up for a version without one (SPEC §5.7). */
function hasOwnGoMod(modulePath: ModulePath, goMod: Uint8Array | string | undefined): boolean {
  return goMod === undefined || decodeText(goMod) !== `module ${modulePath}\n`;
}

function readRetractions(goMod: Uint8Array | string | undefined): readonly Retract[] {
  if (goMod === undefined) return [];
  try {
    return parseModFile(goMod, { lax: true }).retracts;
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}
