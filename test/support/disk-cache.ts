import path from "node:path";
import type { Events } from "../../src/core/events.ts";
import type { BlobStore, Clock, Ledger } from "../../src/core/ports.ts";
import { createDiskBlobStore, type DiskBlobStore } from "../../src/storage/blob/disk.ts";
import { BucketGuard } from "../../src/storage/bucket-guard.ts";
import { createDiskCache, type DiskCacheStore } from "../../src/storage/disk-cache.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { Uploader } from "../../src/storage/outbox-uploader.ts";
import { diskBlobs } from "./module-stores.ts";

export interface DiskCacheParts {
  readonly blobs: DiskCacheStore;
  readonly disk: DiskBlobStore;
  readonly outbox: Outbox;
  readonly guard: BucketGuard;
  readonly uploader: Uploader;
}

interface Place {
  readonly folder: string;
  readonly events: Events;
  readonly clock: Clock;
}

/** A disk in front of what stands for a bucket, without a module store over them. */
export async function openDiskCache(place: Place, bucket: BlobStore): Promise<DiskCacheParts> {
  const { folder, clock, events } = place;
  const disk = await diskBlobs({ folder });
  const outbox = await Outbox.open({ file: path.join(folder, "outbox.db"), clock, events });
  const probe = (): Promise<unknown> => bucket.stat("probe");
  const guard = new BucketGuard({ name: bucket.name, probe, clock, events });
  const ledger: Ledger = await openSqliteLedger({ file: ":memory:", clock, events });
  const uploader = new Uploader({ outbox, disk, bucket, guard, ledger, clock, events });
  uploader.start((_key, take) => take());
  const blobs = createDiskCache({ disk, bucket, guard, outbox, uploader, clock, events, onStored: () => undefined });
  return { blobs, disk, outbox, guard, uploader };
}

/** What stands for a bucket: another disk, which fails where a bucket would. */
export function bucketFolder(folder: string): Promise<DiskBlobStore> {
  return createDiskBlobStore({
    root: path.join(folder, "bucket/modules"),
    stagingDir: path.join(folder, "bucket/staging"),
    quarantineDir: path.join(folder, "bucket/quarantine"),
  });
}
