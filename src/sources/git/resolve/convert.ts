import { posix } from "node:path";
import { goQuote } from "../../../protocol/quote.ts";
import { canonicalVersion, matchesPathMajor } from "../../../protocol/module/index.ts";
import {
  canonical,
  compareVersions,
  isPseudoVersion,
  major,
  pseudoVersion,
  pseudoVersionRev,
} from "../../../protocol/semver/index.ts";
import { findDir } from "./find-dir.ts";
import type { ModuleLayout } from "./layout.ts";
import { invalidVersion, Refusal } from "./refusal.ts";
import type { GitRepo } from "./repo.ts";
import { type IsRetracted, readRetractions } from "./retractions.ts";
import { type Revision, statRevision } from "./stat.ts";
import { validatePseudoVersion } from "./validate-pseudo.ts";

/**
 * The version of the module that a revision is (SPEC §3.5). `asked` is the version or query that led to it, empty for the
 * newest commit. A canonical `asked` is what comes out, or its `+incompatible` form, or nothing.
 *
 * @throws Refusal in go's words, with module path and version in front.
 */
export async function versionOf(
  repo: GitRepo,
  layout: ModuleLayout,
  { revision, asked }: { readonly revision: Revision; readonly asked: string },
): Promise<string> {
  return new Conversion(repo, layout, revision, asked).version();
}

interface TagVersion {
  /** Canonical. */
  readonly version: string;
  /** The tag is written so. */
  readonly isCanonical: boolean;
}

class Conversion {
  readonly #repo: GitRepo;
  readonly #layout: ModuleLayout;
  readonly #revision: Revision;
  readonly #asked: string;
  readonly #hasFile = new Map<string, Promise<boolean>>();
  #retracted: Promise<IsRetracted> | undefined;

  constructor(repo: GitRepo, layout: ModuleLayout, revision: Revision, asked: string) {
    this.#repo = repo;
    this.#layout = layout;
    this.#revision = revision;
    this.#asked = asked;
  }

  async version(): Promise<string> {
    const asked = this.#asked;
    if (isPseudoVersion(asked)) {
      const version = await this.#checkCanonical(asked);
      await validatePseudoVersion(this.#repo, this.#layout, { revision: this.#revision, version: asked });
      return version;
    }
    const named = this.#tagVersion(this.#revision.name);
    if (named?.isCanonical === true) {
      const version = await this.#checkCanonical(named.version).catch(undefinedIfRefused);
      if (version !== undefined) return version;
    }

    let highest = "";
    let base = "";
    for (const tag of this.#revision.tags) {
      const found = this.#tagVersion(tag);
      // Compares as go does: no version at all equals a query that is none.
      if (asked !== "" && compareVersions(found?.version ?? "", asked) === 0) {
        if (found?.isCanonical === true) return this.#checkCanonical(found.version);
        base = found?.version ?? "";
      }
      if (found === undefined || !found.isCanonical || compareVersions(highest, found.version) >= 0) continue;
      if (await this.#isUsable(found.version)) highest = found.version;
    }
    if (highest !== "") return this.#checkCanonical(highest);
    if (base === "") base = await this.#recentTagVersion();
    const { time, short } = this.#revision;
    return this.#checkCanonical(
      pseudoVersion({ major: this.#layout.pseudoMajor, older: base, time: new Date(time * 1000), rev: short }),
    );
  }

  /** Makes sure that the commit has the module, and that the version fits its path. */
  async #checkCanonical(candidate: string): Promise<string> {
    const { modulePath, pathMajor, pathPrefix } = this.#layout;
    let version = candidate;
    try {
      await findDir(this.#repo, this.#layout, { commit: await this.#commitToRead(version), version });
    } catch (error) {
      if (error instanceof Refusal) throw invalidVersion(modulePath, version, error.message);
      throw error;
    }
    if (version === trimIncompatible(this.#asked)) version = this.#asked;
    const base = trimIncompatible(version);
    let problem: string | undefined;
    if (!matchesPathMajor(base, pathMajor)) {
      if (await this.#canUseIncompatible(base)) version = `${base}+incompatible`;
      else if (pathMajor !== "") problem = "module path includes a major version suffix, so major version must match";
      else {
        const wanted = goQuote(posix.join(pathPrefix, major(version) ?? ""));
        problem = `module contains a go.mod file, so module path must match major version (${wanted})`;
      }
    } else if (version.endsWith("+incompatible")) {
      problem = `+incompatible suffix not allowed: major version ${major(version) ?? ""} is compatible`;
    }
    if (this.#asked !== "" && canonicalVersion(this.#asked) === this.#asked) {
      const askedBase = trimIncompatible(this.#asked);
      if (askedBase !== base) {
        throw invalidVersion(modulePath, this.#asked, `resolves to version ${version} (${askedBase} is not a tag)`);
      }
    }
    if (problem !== undefined) throw invalidVersion(modulePath, version, problem);
    return version;
  }

  /** Go reads go.mod by the version. A tag in a folder that looks like a pseudo-version leads to the commit whose hash it has, or none. */
  async #commitToRead(version: string): Promise<string> {
    const { hash } = this.#revision;
    if (!isPseudoVersion(version)) return hash;
    const rev = pseudoVersionRev(version);
    if (hash.startsWith(rev)) return hash;
    try {
      return (await statRevision(this.#repo, rev)).hash;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { codeRoot, codeDir } = this.#layout;
      throw new Refusal(`reading ${posix.join(codeRoot, codeDir, "go.mod")} at revision ${rev}: ${error.message}`);
    }
  }

  async #isUsable(version: string): Promise<boolean> {
    const fits = matchesPathMajor(version, this.#layout.pathMajor) || (await this.#canUseIncompatible(version));
    if (!fits) return false;
    this.#retracted ??= readRetractions(this.#repo, this.#layout);
    const isRetracted = await this.#retracted;
    return !isRetracted(version);
  }

  /** Only repositories without go.mod have versions whose major version is not in the module path. */
  async #canUseIncompatible(version: string): Promise<boolean> {
    const { codeDir, pathMajor } = this.#layout;
    if (codeDir !== "" || pathMajor !== "") return false;
    if (await this.#has("go.mod")) return false;
    if (version === "" || this.#asked.endsWith("+incompatible")) return true;
    return !(await this.#has(posix.join(major(version) ?? "", "go.mod")));
  }

  #has(path: string): Promise<boolean> {
    const known = this.#hasFile.get(path);
    if (known !== undefined) return known;
    const found = this.#repo.blobs(this.#revision.hash, [path]).then(([blob]) => blob !== undefined);
    this.#hasFile.set(path, found);
    return found;
  }

  /** The version of the highest usable tag in the commit's history, or empty (go's RecentTag). */
  async #recentTagVersion(): Promise<string> {
    const { tagPrefix } = this.#layout;
    const { byName } = await this.#repo.refs();
    const prefix = `refs/tags/${tagPrefix}v`;
    if (!byName.keys().some((name) => name.startsWith(prefix))) return "";
    // Go has fetched nothing but the newest commit of a branch or tag, and looks no further when a tag on it will do.
    if (this.#revision.isTip) {
      const here = await this.#highestUsable(this.#revision.tags);
      if (here !== "") return here;
    }
    return this.#highestUsable(await this.#repo.tagsMerged(this.#revision.hash));
  }

  async #highestUsable(tags: readonly string[]): Promise<string> {
    let highest = "";
    for (const tag of tags) {
      const found = this.#tagVersion(tag);
      if (found === undefined || compareVersions(found.version, highest) <= 0) continue;
      if (await this.#isUsable(found.version)) highest = found.version;
    }
    return highest;
  }

  #tagVersion(tag: string): TagVersion | undefined {
    const { tagPrefix } = this.#layout;
    // As go: the whole tag, prefix included, so that only tags of the root can look like pseudo-versions.
    if (!tag.startsWith(tagPrefix) || isPseudoVersion(tag)) return undefined;
    const text = tag.slice(tagPrefix.length);
    const version = canonical(text);
    if (version === undefined || !text.startsWith(version)) return undefined;
    return { version, isCanonical: version === text };
  }
}

function trimIncompatible(version: string): string {
  return version.endsWith("+incompatible") ? version.slice(0, -"+incompatible".length) : version;
}

function undefinedIfRefused(error: unknown): undefined {
  if (!(error instanceof Refusal)) throw error;
}
