import path from "node:path";
import { isSluiceError } from "../core/errors.ts";
import type { HealthOf } from "../core/health.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore, Clock, FileFacts, Ledger, ModuleStore, ZipVerifier } from "../core/ports.ts";
import { createDiskBlobStore, type DiskBlobStore } from "./blob/disk.ts";
import type { S3BlobStore } from "./blob/s3.ts";
import { withReserve } from "./blob/reserving-disk.ts";
import { type BucketTier, type BucketTierOptions, openBucketTier, prepareBucket } from "./bucket-tier.ts";
import { DiskReserve } from "./disk-reserve.ts";
import { isOnFullDisk } from "./full-disk.ts";
import { requestOf } from "./layout.ts";
import { openSqliteLedger } from "./ledger/sqlite.ts";
import { createModuleStore } from "./module-store.ts";
import { rebuildLedger } from "./rebuild.ts";

export interface DataFolderOptions {
  /** Made when it is missing. */
  readonly dataDir: string;
  readonly memoryBytes: number;
  readonly wholeFileLimitBytes: number;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
  readonly events: Events;
  /** Stands behind the disk. It is closed with the store. */
  readonly bucket?: {
    readonly store: S3BlobStore;
    /** Tells it from other buckets, with what leads to it. */
    readonly id: string;
    /** Of the files on the disk in front of it; 0 is no limit. */
    readonly maxDiskBytes: number;
  };
  /** Puts the ledger that several nodes share behind the folder's own. `giveWay` takes a file out of the store whose facts do not stand there. */
  readonly shareLedger?: ShareLedger | undefined;
  /** Free space that files of modules leave alone, but at most a twentieth of the disk. Default 0, which is none. */
  readonly reserveBytes?: number;
  /** Stands before the disk. */
  readonly wrapDisk?: ((disk: DiskBlobStore) => DiskBlobStore) | undefined;
}

type ShareLedger = (local: Ledger, giveWay: GiveWay) => Promise<Ledger>;
/** `settle` records the facts that stand. */
type GiveWay = (ours: FileFacts, settle: () => Promise<void>) => Promise<void>;

export interface OpenedStore extends ModuleStore {
  readonly health: HealthOf;
  /** Told of how much should go where free space is scarce. Answers how to end it. */
  onScarce(listener: (missingBytes: number) => void): () => void;
  /** Where a client gets a stored file from the bucket behind this store, for a short time. Absent without a bucket. */
  readonly signedUrl?: BucketTier["signedUrl"];
  /** Told of each file of ours that another node was first with: whoever has it in memory forgets it. Answers how to end it. */
  onConceded(listener: (key: BlobKey) => void): () => void;
}

/**
 * A store in one folder: `modules/` (a GOPROXY by `file://`), `ledger.db`, `staging/` and `quarantine/`; with a bucket behind it
 * `outbox.db`. When the ledger is new, whatever stands in `modules/` is checked and recorded in the background.
 */
export async function openDataFolder(options: DataFolderOptions): Promise<OpenedStore> {
  const { dataDir, events, clock, bucket, reserveBytes = 0, wrapDisk = (disk) => disk } = options;
  const own = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    stagingDir: path.join(dataDir, "staging"),
    quarantineDir: path.join(dataDir, "quarantine"),
  });
  const reserve = new DiskReserve({ folder: dataDir, bytes: reserveBytes, clock, events });
  const disk = withReserve(wrapDisk(own), reserve);
  const prepared = bucket && prepareBucket(bucket.store, clock);
  const { ledger: local, isNew } = await openLedger(options);
  const opened = Promise.withResolvers<GiveWay>();
  opened.promise.catch(() => undefined);
  const giveWay: GiveWay = async (ours, settle) => (await opened.promise)(ours, settle);
  const shared = options.shareLedger?.(local, giveWay).catch(async (error: unknown) => {
    await Promise.all([local.close(), disk.close(), bucket?.store.close()]);
    throw error;
  });
  const ledger = (await shared) ?? local;
  const tier =
    bucket &&
    prepared &&
    (await openTier(bucket, {
      dataDir,
      disk,
      reserve,
      prepared,
      ledger,
      clock,
      events,
      // Else the ledger, which is closed then, waits for a store that never comes.
      onFailed: opened.reject,
    }));
  const closing = new AbortController();
  const store = createModuleStore({
    ...options,
    blobs: tier?.blobs ?? disk,
    ledger,
    isShared: tier !== undefined,
    ...(tier !== undefined && {
      isInDoubt: (key: BlobKey) => tier.blobs.isInDoubt(key),
      send: tier.send,
      shared: tier.blobs,
    }),
    stagingFile: () => disk.stagingFile(),
    // What is stored is served, whatever space is left.
    scratchFile: () => own.stagingFile(),
    beforeClose: async () => {
      closing.abort();
      await tier?.stop();
      await rebuilding;
    },
  });
  await reserve.start();
  const concedeListeners = new Set<(key: BlobKey) => void>();
  // The first ones may be conceded before somebody listens.
  const untold = new Set<BlobKey>();
  const conceded = (key: BlobKey): void => {
    if (concedeListeners.size === 0) untold.add(key);
    for (const listener of concedeListeners) listener(key);
  };
  tier?.start(async (key, take) => {
    await store.concede(key, take);
    conceded(key);
  });
  opened.resolve(async ({ key, h1 }, settle) => {
    const request = requestOf(key);
    if (request === undefined || h1 === undefined) return;
    try {
      await store.giveWay(request, {
        reason: `its h1 is ${h1}, and another node was first with another one`,
        h1,
        settle,
      });
    } finally {
      // Also where it was settled before: whoever asked in between may have been answered with ours.
      conceded(key);
    }
  });
  // Of a bucket only what is read is adopted: it may have much more than this node will ever need.
  const rebuilding = isNew
    ? rebuildInBackground({ blobs: disk, ledger, store, events, signal: closing.signal })
    : undefined;
  return Object.assign(store, {
    ...(tier !== undefined && { signedUrl: tier.signedUrl }),
    health: () => [...(tier?.health() ?? []), ...reserve.health()],
    onScarce: (listener: (missingBytes: number) => void) => reserve.onScarce(listener),
    onConceded: (listener: (key: BlobKey) => void) => {
      concedeListeners.add(listener);
      for (const key of untold) listener(key);
      untold.clear();
      return () => void concedeListeners.delete(listener);
    },
  });
}

async function openTier(
  { store, id, maxDiskBytes }: NonNullable<DataFolderOptions["bucket"]>,
  {
    onFailed,
    ...options
  }: Omit<BucketTierOptions, "bucket" | "bucketId" | "maxBytes"> & { readonly onFailed: (error: unknown) => void },
): Promise<BucketTier> {
  try {
    return await openBucketTier({ ...options, bucket: store, bucketId: id, maxBytes: maxDiskBytes });
  } catch (error) {
    onFailed(error);
    await options.ledger.close();
    await options.disk.close();
    throw error;
  }
}

/**
 * SQLite cannot even open a database where no space is left. What is stored there can be served all the same, so facts are
 * found out and held in memory then, until the next start.
 */
async function openLedger({ dataDir, clock, events }: DataFolderOptions): Promise<{ ledger: Ledger; isNew: boolean }> {
  const file = path.join(dataDir, "ledger.db");
  try {
    const ledger = await openSqliteLedger({ file, clock, events });
    return { ledger, isNew: ledger.isNew };
  } catch (error) {
    if (!isSluiceError(error, "storage_failed") || !(await isOnFullDisk(dataDir))) throw error;
    events.emit({ type: "store_failed", store: `sqlite:${file}`, operation: "open", error });
    return { ledger: await openSqliteLedger({ file: ":memory:", clock, events }), isNew: false };
  }
}

interface Background {
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly store: ModuleStore;
  readonly events: Events;
  readonly signal: AbortSignal;
}

/** One file at a time, so that whoever asks for files does not notice. */
async function rebuildInBackground(background: Background): Promise<void> {
  try {
    await rebuildLedger({ ...background, concurrency: 1 });
  } catch (cause) {
    // What it did not reach is checked when it is asked for.
    const error = cause instanceof Error ? cause : new Error(String(cause));
    background.events.emit({ type: "store_failed", store: background.ledger.name, operation: "rebuild", error });
  }
}
