import { LRUCache } from "lru-cache";
import type { ModulePath, Version } from "../protocol/brand.ts";
import type { Clock } from "./ports.ts";

/** A version of a module. */
interface Subject {
  readonly modulePath: ModulePath;
  readonly version: Version;
}

export interface GoModAheadOptions {
  readonly clock: Pick<Clock, "now">;
  /** Whether what is fetched of a module comes from far away. */
  readonly isMeant: (modulePath: ModulePath) => boolean;
}

interface AskedVersions {
  /** When the first of them was asked for. */
  readonly since: number;
  readonly versions: Set<Version>;
}

/** The rest is fetched when somebody asks for it: what is ahead must not stand in the way of what is asked for. */
const maxUnderWay = 32;
/** Who asks for more than these within `latelyMs` looks for a version, or lists them all, and wants few of their go.mod files. */
const maxVersions = 4;
const latelyMs = 60_000;
const maxModules = 10_000;

/**
 * Whoever asks for the `.info` of a version asks for its `.mod` next. When both are on their way from a distant upstream at the same
 * time, `go` waits once instead of twice. Decides of which versions.
 */
export class GoModAhead {
  readonly #options: GoModAheadOptions;
  readonly #asked = new LRUCache<ModulePath, AskedVersions>({ max: maxModules });
  readonly #underWay = new Set<string>();

  constructor(options: GoModAheadOptions) {
    this.#options = options;
  }

  /** Does `fetch`, or nothing, when the `.info` of this version is about to be fetched. Never fails. */
  async run(subject: Subject, fetch: () => Promise<unknown>): Promise<void> {
    if (!this.#takes(subject)) return;
    const name = nameOf(subject);
    this.#underWay.add(name);
    try {
      await fetch();
    } catch {
      // Told by its event. Whoever asks for the file is told, too.
    } finally {
      this.#underWay.delete(name);
    }
  }

  isUnderWay(subject: Subject): boolean {
    return this.#underWay.has(nameOf(subject));
  }

  #takes({ modulePath, version }: Subject): boolean {
    if (this.#underWay.size >= maxUnderWay || !this.#options.isMeant(modulePath)) return false;
    const { versions } = this.#lately(modulePath);
    if (versions.has(version) || versions.size >= maxVersions) return false;
    versions.add(version);
    return true;
  }

  #lately(modulePath: ModulePath): AskedVersions {
    const now = this.#options.clock.now();
    const known = this.#asked.get(modulePath);
    // A clock that was set back counts, too.
    if (known !== undefined && Math.abs(now - known.since) < latelyMs) return known;
    const fresh = { since: now, versions: new Set<Version>() };
    this.#asked.set(modulePath, fresh);
    return fresh;
  }
}

function nameOf({ modulePath, version }: Subject): string {
  return `${modulePath}@${version}`;
}
