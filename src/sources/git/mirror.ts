import { createHash } from "node:crypto";
import { join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import type { FetchContext } from "../../core/ports.ts";
import { createFairQueue } from "../../net/fair-queue.ts";
import { Mirror, type MirrorOptions, type MirrorView } from "./repository-mirror.ts";

export interface MirrorsOptions extends Omit<MirrorOptions, "url" | "queue" | "closing"> {
  /** Has one bare repository for each URL. */
  readonly folder: string;
  /** Repositories that are fetched at the same time. */
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

/** Long-lived mirrors of repositories. One fetch per repository at a time, for any number of askers. */
export interface Mirrors {
  /** `url` has no user info. Nothing is fetched yet. */
  open(url: string, context: FetchContext): MirrorView;
  close(): Promise<void>;
}

const maxIdle = 1_000;

export function createMirrors(options: MirrorsOptions): Mirrors {
  const { clock, concurrency, maxWaiting, maxWaitMs, folder } = options;
  const closing = new AbortController();
  const queue = createFairQueue({ clock, name: "git", concurrency, maxWaiting, maxWaitMs });
  const mirrors = new Map<string, Mirror>();
  return {
    open(url, context) {
      const known = mirrors.get(url);
      const name = createHash("sha256").update(url).digest("hex");
      const mirror =
        known ?? new Mirror({ ...options, url, folder: join(folder, name), queue, closing: closing.signal });
      if (mirrors.size >= maxIdle) forgetUnused(mirrors);
      mirrors.set(url, mirror);
      return mirror.view(context);
    },
    async close() {
      closing.abort(new SluiceError("draining", "this node is shutting down"));
      await Promise.all([...mirrors.values()].map((mirror) => mirror.settled()));
    },
  };
}

/** Clients can name any number of repositories that are none. What has a folder is kept: two of it would disturb each other. */
function forgetUnused(mirrors: Map<string, Mirror>): void {
  for (const [url, mirror] of mirrors) if (!mirror.isInUse) mirrors.delete(url);
}
