import { createHash } from "node:crypto";
import { join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import { createFairQueue } from "../../net/fair-queue.ts";
import type { AccessRemote } from "./credentials/access.ts";
import type { Entitlement } from "./credentials/entitlement.ts";
import { Activity } from "./activity.ts";
import { createLimit } from "./limit.ts";
import { sweepMirrors } from "./mirror-sweep.ts";
import { ObjectReaders } from "./object-reader.ts";
import type { GitAccess } from "./remote-host.ts";
import { Mirror, type MirrorOptions, type MirrorView, type ViewContext } from "./repository-mirror.ts";

type SharedOptions = "queue" | "aheadQueue" | "readers" | "gcTurn" | "activity" | "onFetched" | "closing";

export interface MirrorsOptions extends Omit<MirrorOptions, "url" | "access" | SharedOptions> {
  readonly access: AccessRemote;
  /** Has one bare repository for each URL. */
  readonly folder: string;
  /** Repositories that are fetched at the same time. */
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** A mirror that nobody used for so long is removed: the store has what was served of it. Default: kept for ever. */
  readonly keepUnusedMs?: number | undefined;
  /** On the disk, for all together: beyond it, those go that were not used for longest. Default: any. */
  readonly maxBytes?: number | undefined;
}

export interface OpenContext extends ViewContext {
  /** Which credentials the remote is shown. Default: none. */
  readonly entitlement?: Entitlement | undefined;
}

/** Long-lived mirrors of repositories. One fetch per repository at a time, for any number of askers. */
export interface Mirrors {
  /** `url` has no user info. Nothing is fetched yet. */
  open(url: string, context: OpenContext): MirrorView;
  /** Removes what nobody used for long, and what takes too much space. Done at the start, and from time to time. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

const maxIdle = 1_000;
/** What nobody waits for is left undone when there is much of it. */
const aheadLimits = { concurrency: 2, maxWaiting: 100, maxWaitMs: 30_000 };
/** Nothing is gained by looking how large all are after every single fetch. */
const sweepAfterFetchMs = 60_000;
const sweepEveryMs = 6 * 3_600_000;

export function createMirrors(options: MirrorsOptions): Mirrors {
  const { clock, concurrency, maxWaiting, maxWaitMs, folder } = options;
  const closing = new AbortController();
  const queue = createFairQueue({ clock, name: "git", concurrency, maxWaiting, maxWaitMs });
  const aheadQueue = createFairQueue({ clock, name: "git, ahead", ...aheadLimits });
  const readers = new ObjectReaders(options.git, closing.signal);
  let soon: NodeJS.Timeout | undefined;
  const onFetched = (): void => {
    if (options.maxBytes === undefined || closing.signal.aborted) return;
    soon ??= setTimeout(() => {
      soon = undefined;
      void sweep();
    }, sweepAfterFetchMs).unref();
  };
  const shared = {
    ...options,
    queue,
    aheadQueue,
    readers,
    gcTurn: createLimit(1),
    activity: new Activity(clock),
    onFetched,
    closing: closing.signal,
  };
  const mirrors = new Map<string, Mirror>();
  const sweepOnce = (): Promise<void> =>
    sweepMirrors({
      ...options,
      maxBytes: options.maxBytes,
      keepUnusedMs: options.keepUnusedMs,
      opened: () => new Map([...mirrors].map(([key, mirror]) => [folderName(key), mirror])),
      closing: closing.signal,
    });
  /** A disk that fails is told by those who need it. */
  let sweeping = sweepOnce().catch(() => undefined);
  const sweep = (): Promise<void> => (sweeping = sweeping.then(sweepOnce).catch(() => undefined));
  const timer = setInterval(() => void sweep(), sweepEveryMs);
  timer.unref();
  return {
    sweep,
    open(url, { entitlement = "none", ...context }) {
      const key = mirrorKey(url, entitlement);
      const access = (remote: string): Promise<GitAccess> => options.access(remote, entitlement);
      const mirror = mirrors.get(key) ?? new Mirror({ ...shared, access, url, folder: join(folder, folderName(key)) });
      if (mirrors.size >= maxIdle) forgetUnused(mirrors);
      mirrors.set(key, mirror);
      return mirror.view(context);
    },
    async close() {
      clearInterval(timer);
      clearTimeout(soon);
      closing.abort(new SluiceError("draining", "this node is shutting down"));
      await sweeping;
      await Promise.all([...mirrors.values()].map((mirror) => mirror.settled()));
    },
  };
}

/** What was fetched with a credential is for nobody who has none: it has a mirror of its own. */
function mirrorKey(url: string, entitlement: Entitlement): string {
  return entitlement === "all" ? url : `${entitlement} ${url}`;
}

function folderName(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/** Clients can name any number of repositories that are none. What has a folder is kept: two of it would disturb each other. */
function forgetUnused(mirrors: Map<string, Mirror>): void {
  for (const [key, mirror] of mirrors) if (!mirror.isInUse) mirrors.delete(key);
}
