import path from "node:path";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { HealthOf, PartHealth } from "../core/health.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore, Clock, Ledger } from "../core/ports.ts";
import type { DiskBlobStore } from "./blob/disk.ts";
import type { S3BlobStore } from "./blob/s3.ts";
import { isRefusal } from "./blob/s3-error.ts";
import { BucketGuard } from "./bucket-guard.ts";
import { createDiskCache, type DiskCacheStore } from "./disk-cache.ts";
import type { DiskReserve } from "./disk-reserve.ts";
import { Eviction } from "./disk-cache-eviction.ts";
import { attempt } from "./failures.ts";
import { isOnFullDisk } from "./full-disk.ts";
import { isFileRequest, requestOf } from "./layout.ts";
import { Outbox } from "./outbox.ts";
import { type Concede, Uploader } from "./outbox-uploader.ts";
import { withPatience } from "./patience.ts";

export interface BucketTierOptions {
  readonly dataDir: string;
  readonly disk: DiskBlobStore;
  readonly bucket: S3BlobStore;
  /** What `prepareBucket` began. */
  readonly prepared: Promise<void>;
  /** Tells this bucket from others, with what leads to it. Never shown. */
  readonly bucketId: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly events: Events;
  /** Of the disk: where space is scarce, room is made. */
  readonly reserve: DiskReserve;
  /** Of the files on the disk; 0 is no limit. */
  readonly maxBytes: number;
}

export interface BucketTier {
  /** The disk in front of the bucket. Closing it closes both. */
  readonly blobs: DiskCacheStore;
  readonly health: HealthOf;
  /** Sends a file that was just kept. Answers whether another node was first, so that ours is gone. */
  readonly send: (key: BlobKey) => Promise<boolean>;
  /** Where a client gets this file from the bucket itself, for a short time; undefined where it cannot, or not just now. */
  readonly signedUrl: (file: { readonly key: BlobKey; readonly size: number }) => Promise<string | undefined>;
  /** Begins to send what waits. `concede` is as that of `Uploader.start`. */
  start(concede: Concede): void;
  /** Ends what `start` has begun, but for uploads, which end with `blobs`. */
  stop(): Promise<void>;
}

/** How long the start waits for the bucket. */
const preparePatienceMs = 5_000;
/** A file may be there for a while before its entry is. */
const flushMarginMs = 60_000;
/** Files of an existing folder that are put into the outbox before others have their turn. */
const seedBatch = 100;
/** A client follows a redirect at once; the rest is for clocks that differ. */
const urlLifetimeSeconds = 300;
/** A client that waits longer for its redirect is better served from the disk. */
const redirectPatienceMs = 1_000;
/** An outbox whose entries wait longer than this is a part that is not well. */
const lateAfterMs = 10 * 60_000;

/** Finds out whether the bucket can be used, with as much patience as the start has. Begun first, so that other waits are beside it. */
export function prepareBucket(bucket: S3BlobStore, clock: Clock): Promise<void> {
  const prepared = withPatience(bucket.prepare(), { clock, ms: preparePatienceMs });
  prepared.catch(() => undefined);
  return prepared;
}

/**
 * Puts a disk in front of a bucket. One that is down does not keep Sluice from starting; one that refuses does (`storage_failed`),
 * unless this folder has got on with it before: then it is no mistake in the configuration, and what is on the disk is served.
 */
export async function openBucketTier(options: BucketTierOptions): Promise<BucketTier> {
  const { disk, bucket, bucketId, clock, events } = options;
  const outbox = await openOutbox(options);
  const since = unsureSince(outbox, bucketId);
  const guard = new BucketGuard({ name: bucket.name, probe: () => firstOf(bucket), clock, events });
  try {
    await options.prepared;
    outbox.markWorked(bucketId);
    events.emit({ type: "bucket_state", bucket: bucket.name, state: "ok" });
  } catch (error) {
    const isMistake = isRefusal(error) && !outbox.hasWorked(bucketId);
    if (!isSluiceError(error, "storage_failed") || isMistake) {
      await guard.close();
      await bucket.close();
      outbox.close();
      throw isMistake ? refused(bucket.name, error) : error;
    }
    guard.assumeDown(error);
  }
  const uploader = new Uploader({ ...options, outbox, guard });
  const eviction = new Eviction({ ...options, outbox, guard, uploader });
  const endTelling = options.reserve.onScarce((missingBytes) => eviction.makeRoom(missingBytes));
  const closing = new AbortController();
  let seeding: Promise<void> | undefined;
  return {
    blobs: createDiskCache({ ...options, guard, outbox, uploader, onStored: (bytes) => eviction.noteStored(bytes) }),
    send: async (key) => (await attempt(events, disk.name, () => uploader.push(key))) === "displaced",
    signedUrl: (file) => signedUrl(file, { bucket, guard, outbox, clock, events }),
    health: () => [bucketHealth(bucket, guard), outboxHealth(outbox, bucketId, clock.now()), eviction.health()],
    start(concede) {
      uploader.start(concede);
      eviction.start();
      if (since === undefined) return;
      const toSeed = { disk, outbox, uploader, bucketId, since, signal: closing.signal };
      seeding = attempt(events, disk.name, () => seed(toSeed));
    },
    async stop() {
      closing.abort();
      endTelling();
      await seeding;
      await eviction.close();
    },
  };
}

/** The bucket is asked each time: a client that is sent there for nothing gets an error, or another file. */
async function signedUrl(
  { key, size }: { readonly key: BlobKey; readonly size: number },
  {
    bucket,
    guard,
    outbox,
    clock,
    events,
  }: Pick<BucketTierOptions, "bucket" | "clock" | "events"> & { readonly guard: BucketGuard; readonly outbox: Outbox },
): Promise<string | undefined> {
  if (guard.isResting || outbox.has(key)) return undefined;
  return attempt(events, bucket.name, async () => {
    const found = await guard.ask({ work: () => bucket.stat(key), patienceMs: redirectPatienceMs });
    if (found?.size !== size) return undefined;
    // The credentials may have to be renewed for it.
    return withPatience(bucket.signedUrl(key, urlLifetimeSeconds), { clock, ms: redirectPatienceMs });
  });
}

/** Without space for a database the outbox is in memory: the disk takes no files either. */
async function openOutbox({ dataDir, clock, events }: BucketTierOptions): Promise<Outbox> {
  const file = path.join(dataDir, "outbox.db");
  try {
    return await Outbox.open({ file, clock, events });
  } catch (error) {
    if (!isSluiceError(error, "storage_failed") || !(await isOnFullDisk(dataDir))) throw error;
    events.emit({ type: "store_failed", store: `outbox:${file}`, operation: "open", error });
    return Outbox.open({ file: ":memory:", clock, events });
  }
}

/** From when on files may lack their entry: all of a folder that is new to this bucket, and those of the last minutes before a power failure. */
function unsureSince(outbox: Outbox, bucketId: string): number | undefined {
  if (!outbox.isSeeded(bucketId)) return 0;
  return outbox.flushedAt === undefined ? undefined : outbox.flushedAt - flushMarginMs;
}

/** What was on the disk before there was this bucket, or whose entry was lost. What the bucket has is only compared. */
async function seed({
  disk,
  outbox,
  uploader,
  bucketId,
  since,
  signal,
}: {
  readonly disk: DiskBlobStore;
  readonly outbox: Outbox;
  readonly uploader: Uploader;
  readonly bucketId: string;
  /** Milliseconds since the epoch: older files have their entry, or need none. */
  readonly since: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  let count = 0;
  for await (const { key, changedAt } of disk.files()) {
    if (signal.aborted) return;
    const request = changedAt >= since ? requestOf(key) : undefined;
    // A record that another node has replaced since would be put back; the next one that is fetched here is sent anyway.
    const isMeant = request !== undefined && (since === 0 || isFileRequest(request));
    if (isMeant && outbox.find(key) === undefined) outbox.add(key);
    if (++count % seedBatch !== 0) continue;
    uploader.wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
  outbox.markSeeded(bucketId);
  uploader.wake();
}

/** Asks for a list, whose refusal says why; the one of a single object may look like an object that is not there. */
async function firstOf(bucket: BlobStore): Promise<void> {
  await bucket.list("probe")[Symbol.asyncIterator]().next();
}

/** Whether the bucket can be read and written now; `storage_failed` says why not. */
export async function checkBucket(bucket: S3BlobStore): Promise<void> {
  try {
    await bucket.prepare();
    await bucket.check();
  } catch (error) {
    throw isSluiceError(error, "storage_failed") ? refused(bucket.name, error) : error;
  }
}

function refused(bucket: string, { message, details }: SluiceError): SluiceError {
  return new SluiceError(
    "storage_failed",
    `the bucket ${bucket} cannot be used: ${message}; see [bucket] in docs/config.md`,
    {
      details: { ...details, mayMove: false },
    },
  );
}

function bucketHealth({ name }: BlobStore, guard: BucketGuard): PartHealth {
  const detail =
    guard.trouble === undefined
      ? "answers"
      : `${guard.trouble}; what is on the disk is served, and what is new waits in the outbox`;
  return {
    part: `bucket ${name}`,
    state: guard.isResting ? "down" : guard.isWell ? "ok" : "degraded",
    detail,
    isNeeded: false,
  };
}

/** An outbox that cannot be read is no reason to get no traffic. */
export function outboxHealth(outbox: Outbox, bucketId: string, now: number): PartHealth {
  try {
    return readOutboxHealth(outbox, bucketId, now);
  } catch (error) {
    if (!isSluiceError(error, "storage_failed")) throw error;
    return { part: "outbox", state: "down", detail: error.message, isNeeded: false };
  }
}

function readOutboxHealth(outbox: Outbox, bucketId: string, now: number): PartHealth {
  const { waiting } = outbox;
  const waitsMs = waiting === 0 ? 0 : now - (outbox.oldestAt() ?? now);
  const left =
    waiting === 0 ? "empty" : `${waiting} wait for the bucket, the first for ${Math.round(waitsMs / 1000)} s`;
  const isSeeded = outbox.isSeeded(bucketId);
  return {
    part: "outbox",
    state: waitsMs > lateAfterMs ? "degraded" : "ok",
    detail: isSeeded ? left : `${left}; what was on the disk before the bucket is still being looked through`,
    isNeeded: false,
  };
}
