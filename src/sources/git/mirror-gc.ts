import type { GitCommand } from "./command.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { hasHistory, removeLeftovers } from "./mirror-folder.ts";

export interface MirrorGcOptions {
  readonly git: GitCommand;
  readonly copy: MirrorCopy;
  /** Of all mirrors one at a time. */
  readonly turn: <T>(task: () => Promise<T>) => Promise<T>;
  readonly timeoutMs: number;
  readonly closing: AbortSignal;
}

const afterFetches = 25;
const idleMs = 60_000;

/**
 * Many fetches make many small packs, which slow down every read: they are put together when nobody has fetched for a while. No request
 * waits for it: it is no part of the limit of their processes, and ends when one wants to fetch.
 */
export class MirrorGc {
  readonly #parts: MirrorGcOptions;
  #fetches = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: MirrorGcOptions) {
    this.#parts = parts;
  }

  /** There was a fetch. */
  plan(): void {
    const { copy, turn, closing } = this.#parts;
    this.#fetches += 1;
    clearTimeout(this.#timer);
    if (this.#fetches < afterFetches || closing.aborted) return;
    // Its turn first: a mirror is not held while another one is put together.
    const run = (): Promise<void> => turn(() => copy.whileIdle((signal) => this.#run(signal)));
    this.#timer = setTimeout(() => void run().catch(() => undefined), idleMs);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Removes nothing: what was served once stays, even when no branch or tag has it any more. */
  async #run(signal: AbortSignal): Promise<void> {
    const { git, copy, timeoutMs } = this.#parts;
    const { folder, local } = copy;
    const run = { gitDir: folder, signal, timeoutMs, isUpkeep: true };
    const fetches = this.#fetches;
    this.#fetches = 0;
    try {
      await git.run({ ...run, args: ["repack", "--quiet", "-a", "-d", "--keep-unreachable"] });
      await git.run({ ...run, args: ["pack-refs", "--all"] });
      if (await hasHistory(folder)) await git.run({ ...run, args: ["commit-graph", "write", "--reachable"] });
    } finally {
      await local.end();
      if (signal.aborted) {
        this.#fetches += fetches;
        await removeLeftovers(folder).catch(() => undefined);
      }
    }
  }
}
