import { randomBytes } from "node:crypto";
import { readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { makeFolder } from "./folders.ts";
import { isMissing } from "./storage-error.ts";
import type { BlobKey } from "../core/ports.ts";

export interface QuarantineLimits {
  /** Broken files kept; the oldest make room. */
  readonly maxFiles: number;
  /** Of all kept together. The newest one stays even if it alone is larger. */
  readonly maxBytes: number;
}

const defaultLimits: QuarantineLimits = { maxFiles: 100, maxBytes: 1024 * 1024 * 1024 };

/** Where broken files wait for an operator to look at them: `<folder>/<time>-<random>/<key>`. */
export class Quarantine {
  readonly folder: string;
  readonly #limits: QuarantineLimits;
  /** Names tell the order, so no two have the same time. */
  #lastMs = 0;

  constructor(folder: string, limits: QuarantineLimits = defaultLimits) {
    this.folder = folder;
    this.#limits = limits;
  }

  /** Moves the file here, from the same file system. */
  async take(file: string, key: BlobKey): Promise<void> {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + 1);
    const time = new Date(this.#lastMs).toISOString().replaceAll(":", "-");
    const target = path.join(this.folder, `${time}-${randomBytes(3).toString("hex")}`, key);
    await makeFolder(path.dirname(target));
    await rename(file, target);
    await this.#trim();
  }

  async #trim(): Promise<void> {
    const newestFirst = (await readdir(this.folder)).toSorted().toReversed();
    let bytes = 0;
    for (const [index, name] of newestFirst.entries()) {
      const item = path.join(this.folder, name);
      bytes += await sizeOf(item);
      const isOver = index >= this.#limits.maxFiles || bytes > this.#limits.maxBytes;
      if (index > 0 && isOver) await rm(item, { recursive: true, force: true });
    }
  }
}

/** 0 for what another process has just removed. */
async function sizeOf(folder: string): Promise<number> {
  try {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => stat(path.join(entry.parentPath, entry.name)));
    return (await Promise.all(files)).reduce((sum, { size }) => sum + size, 0);
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}
