import { LRUCache } from "lru-cache";
import type { PurgeSelection } from "./fleet.ts";
import type { BlobKey } from "./ports.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type ModuleRequest } from "../protocol/goproxy/index.ts";
import { matchPrefixPatterns, unescapePath } from "../protocol/module/index.ts";

/** How a selection reads in logs and answers. */
export function formatSelection(selection: PurgeSelection): string {
  const which =
    "keys" in selection
      ? selection.keys.join(", ")
      : "module" in selection
        ? selection.module
        : `modules of ${selection.pattern}`;
  return selection.onlyMissing === true ? `${which}, only what is remembered as missing` : which;
}

/** Tells the keys that a selection is about. */
export function selectKeys(selection: PurgeSelection): (key: BlobKey) => boolean {
  if ("keys" in selection) {
    const keys = new Set(selection.keys);
    return (key) => keys.has(key);
  }
  if ("module" in selection) return (key) => moduleOf(key) === selection.module;
  return (key) => matchPrefixPatterns(selection.pattern, moduleOf(key) ?? "");
}

/** Below which folders of a store they are. */
export function foldersOf(selection: PurgeSelection): string[] {
  const folders =
    "keys" in selection
      ? selection.keys.map((key) => key.slice(0, key.indexOf("/@")))
      : "module" in selection
        ? [escapeLetters(selection.module)]
        : selection.pattern.split(",").map(literalBeginning);
  return [...new Set(folders)];
}

/** Whole elements. */
function literalBeginning(pattern: string): string {
  const elements = pattern.replace(/\/$/, "").split("/");
  const glob = elements.findIndex((element) => /[*?[\\]/.test(element));
  return escapeLetters(elements.slice(0, glob < 0 ? elements.length : glob).join("/"));
}

/** As module paths are escaped, for what need not be a whole one. */
function escapeLetters(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

function moduleOf(key: BlobKey): string | undefined {
  try {
    // No element of a module path begins with an @.
    return unescapePath(key.slice(0, key.indexOf("/@")));
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

export interface PurgeTimesLimits {
  readonly maxNames: number;
  readonly maxPatterns: number;
}

/**
 * When what was purged last: an answer that was asked for at that time or before does not count. It says so of too much rather than of
 * too little: where it had to forget a purge, that one counts for everything.
 */
export class PurgeTimes {
  readonly #maxPatterns: number;
  readonly #keys: LRUCache<BlobKey, number>;
  readonly #modules: LRUCache<string, number>;
  /** In order of their times. */
  readonly #patterns = new Map<string, number>();
  #everything = 0;
  #isUsed = false;

  constructor({ maxNames, maxPatterns }: PurgeTimesLimits = { maxNames: 20_000, maxPatterns: 100 }) {
    this.#maxPatterns = maxPatterns;
    const dispose = (at: number, _name: string, reason: LRUCache.DisposeReason): void => {
      if (reason === "evict") this.#forgotten(at);
    };
    this.#keys = new LRUCache({ max: maxNames, dispose });
    this.#modules = new LRUCache({ max: maxNames, dispose });
  }

  note(selection: PurgeSelection, at: number): void {
    this.#isUsed = true;
    if ("keys" in selection) for (const key of selection.keys) this.#keys.set(key, at);
    else if ("module" in selection) this.#modules.set(selection.module, at);
    else this.#notePattern(selection.pattern, at);
  }

  /** Milliseconds since the epoch; 0 when it never was. */
  last(request: ModuleRequest): number {
    if (!this.#isUsed) return 0;
    let last = Math.max(
      this.#everything,
      this.#keys.get(blobKey(request)) ?? 0,
      this.#modules.get(request.modulePath) ?? 0,
    );
    for (const [pattern, at] of this.#patterns) {
      if (at > last && matchPrefixPatterns(pattern, request.modulePath)) last = at;
    }
    return last;
  }

  #notePattern(pattern: string, at: number): void {
    this.#patterns.delete(pattern);
    this.#patterns.set(pattern, at);
    if (this.#patterns.size <= this.#maxPatterns) return;
    for (const [oldest, oldestAt] of this.#patterns) {
      this.#patterns.delete(oldest);
      this.#forgotten(oldestAt);
      return;
    }
  }

  #forgotten(at: number): void {
    this.#everything = Math.max(this.#everything, at);
  }
}
