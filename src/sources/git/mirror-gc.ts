import type { GitCommand } from "./command.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { hasHistory, removeLeftovers } from "./mirror-folder.ts";

export interface MirrorGcOptions {
  readonly git: GitCommand;
  readonly copy: MirrorCopy;
  readonly timeoutMs: number;
  readonly closing: AbortSignal;
}

const afterFetches = 25;
const idleMs = 60_000;

/** Many fetches make many small packs, which slow down every read: they are put together when nobody has fetched for a while. */
export class MirrorGc {
  readonly #parts: MirrorGcOptions;
  #fetches = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: MirrorGcOptions) {
    this.#parts = parts;
  }

  /** There was a fetch. */
  plan(): void {
    const { copy, closing } = this.#parts;
    this.#fetches += 1;
    clearTimeout(this.#timer);
    if (this.#fetches < afterFetches || closing.aborted) return;
    this.#timer = setTimeout(() => void copy.exclusive(() => this.#run()).catch(() => undefined), idleMs);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Removes nothing: what was served once stays, even when no branch or tag has it any more. */
  async #run(): Promise<void> {
    const { git, copy, closing, timeoutMs } = this.#parts;
    const { folder, local } = copy;
    this.#fetches = 0;
    const run = { gitDir: folder, signal: closing, timeoutMs };
    try {
      await git.run({ ...run, args: ["repack", "--quiet", "-a", "-d", "--keep-unreachable"] });
      await git.run({ ...run, args: ["pack-refs", "--all"] });
      if (await hasHistory(folder)) await git.run({ ...run, args: ["commit-graph", "write", "--reachable"] });
    } finally {
      await local.end();
      if (closing.aborted) await removeLeftovers(folder).catch(() => undefined);
    }
  }
}
