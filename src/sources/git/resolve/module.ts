import type { Version } from "../../../protocol/brand.ts";
import { isRetracted, type ModuleInfo, nextLatestStep, type Origin } from "../../../protocol/goproxy/index.ts";
import { parseModFile } from "../../../protocol/modfile/index.ts";
import { ProtocolError } from "../../../protocol/error.ts";
import { canonicalVersion } from "../../../protocol/module/index.ts";
import { isPseudoVersion } from "../../../protocol/semver/index.ts";
import { versionOf } from "./convert.ts";
import { findDir, type ModuleDir } from "./find-dir.ts";
import { type ModuleLayout, revisionOf } from "./layout.ts";
import { invalidVersion, Refusal } from "./refusal.ts";
import type { GitRepo } from "./repo.ts";
import { type Revision, statHead, statRevision } from "./stat.ts";
import { listVersions } from "./versions.ts";

/** A version, and what in the repository it is. */
export interface ResolvedVersion {
  readonly version: Version;
  /** Full hash. */
  readonly commit: string;
  /** As go 1.26 writes it. */
  readonly info: ModuleInfo;
}

export interface ResolvedFiles extends ModuleDir {
  readonly commit: string;
  /** What clients get as go.mod. */
  readonly servedGoMod: Uint8Array;
}

/** A module in a git repository: everything about it that has no zip. Throws `Refusal` where go refuses. */
export class GitModule {
  readonly #repo: GitRepo;
  readonly #layout: ModuleLayout;

  constructor(repo: GitRepo, layout: ModuleLayout) {
    this.#repo = repo;
    this.#layout = layout;
  }

  list(): Promise<readonly Version[]> {
    return listVersions(this.#repo, this.#layout);
  }

  /** What a version, branch, tag or hash is. `P@V: invalid version: unknown revision …` when it is nothing. */
  async stat(query: string): Promise<ResolvedVersion> {
    const revision = await statRevision(this.#repo, revisionOf(this.#layout, query)).catch((error: unknown) => {
      if (error instanceof Refusal) throw invalidVersion(this.#layout.modulePath, query, error.message);
      throw error;
    });
    return this.#resolved(revision, query);
  }

  /** What `go` takes for `@latest`: a listed version, else the default branch's newest commit (SPEC §3.9). */
  async latest(): Promise<ResolvedVersion> {
    const { modulePath } = this.#layout;
    const versions = await this.list();
    const goMods = new Map<Version, Uint8Array | undefined>();
    let step = nextLatestStep(modulePath, { versions, timed: [] }, goMods);
    while (step.kind === "read_go_mod") {
      goMods.set(step.version, await this.#goModOf(step.version));
      step = nextLatestStep(modulePath, { versions, timed: [] }, goMods);
    }
    if (step.kind === "selected") return this.stat(step.version);

    const tip = await this.#resolved(await statHead(this.#repo), "");
    if (this.#isTakenBack(tip.version, [...goMods.values()])) {
      throw new Refusal(`module ${modulePath}: no matching versions for query "latest"`);
    }
    return tip;
  }

  /** Where the files of a version are in a commit. */
  async files(version: Version, commit: string): Promise<ResolvedFiles> {
    const { modulePath } = this.#layout;
    const found = await findDir(this.#repo, this.#layout, { commit, version }).catch((error: unknown) => {
      if (error instanceof Refusal) throw invalidVersion(modulePath, version, error.message);
      throw error;
    });
    return { ...found, commit, servedGoMod: found.goMod ?? Buffer.from(`module ${modulePath}\n`) };
  }

  /** The LICENSE of the repository, which modules in a folder without one carry. */
  async rootLicense(commit: string): Promise<Uint8Array | undefined> {
    const [license] = await this.#repo.blobs(commit, ["LICENSE"]);
    return license;
  }

  /** The tag that a version is, or undefined for a pseudo-version. */
  tagOf(version: Version): string | undefined {
    return isPseudoVersion(version) ? undefined : revisionOf(this.#layout, version);
  }

  /** What a version is that was pinned to a commit, whatever its tag is now. */
  pinned(version: Version, commit: { readonly hash: string; readonly time: number }): ResolvedVersion {
    const tag = this.tagOf(version);
    const ref = tag === undefined ? undefined : `refs/tags/${tag}`;
    return { version, commit: commit.hash, info: this.#infoOf(version, { ...commit, ref }) };
  }

  async #resolved(revision: Revision, asked: string): Promise<ResolvedVersion> {
    const text = await versionOf(this.#repo, this.#layout, { revision, asked });
    const version = canonicalVersion(text);
    if (version === undefined || version !== text) throw invalidVersion(this.#layout.modulePath, text, "not canonical");
    return { version, commit: revision.hash, info: this.#infoOf(version, revision) };
  }

  #infoOf(
    version: Version,
    from: { readonly hash: string; readonly time: number; readonly ref: string | undefined },
  ): ModuleInfo {
    const origin: Origin = {
      vcs: "git",
      url: this.#repo.url,
      subdir: this.#layout.codeDir,
      hash: from.hash,
      ref: isPseudoVersion(version) ? undefined : from.ref,
    };
    return { version, time: `${new Date(from.time * 1000).toISOString().slice(0, 19)}Z`, origin };
  }

  async #goModOf(version: Version): Promise<Uint8Array | undefined> {
    try {
      const { commit } = await this.stat(version);
      return (await this.files(version, commit)).servedGoMod;
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  #isTakenBack(version: Version, goMods: readonly (Uint8Array | undefined)[]): boolean {
    return goMods.some((goMod) => {
      if (goMod === undefined) return false;
      try {
        return isRetracted(version, parseModFile(goMod, { lax: true }).retracts);
      } catch (error) {
        if (error instanceof ProtocolError) return false;
        throw error;
      }
    });
  }
}
