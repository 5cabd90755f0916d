import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { Clock, ZipVerifier } from "../../src/core/ports.ts";
import { createS3BlobStore, type S3BlobStore } from "../../src/storage/blob/s3.ts";
import { openDataFolder, type OpenedStore } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { recordEvents, type RecordedEvents } from "./recorded-events.ts";
import type { S3Server } from "./s3-server.ts";

/** A store with a disk of its own in front of a bucket that others have, too. */
export interface BucketNode {
  readonly store: OpenedStore;
  readonly events: RecordedEvents;
  readonly dataDir: string;
  /** Another store over the same disk and bucket. */
  restart(options?: Partial<BucketNodeOptions>): Promise<BucketNode>;
  /** With an empty disk from now on. */
  remove(): Promise<void>;
}

export interface BucketNodeOptions {
  readonly server: S3Server;
  readonly prefix: string;
  readonly dataDir?: string;
  readonly clock?: Clock;
  readonly diskCacheBytes?: number;
  readonly reserveBytes?: number;
  /** Stands between the store and the bucket. */
  readonly wrap?: (bucket: S3BlobStore) => S3BlobStore;
}

const mib = 1024 * 1024;
let sharedVerifier: ZipVerifier | undefined;

export async function openBucketNode(options: BucketNodeOptions): Promise<BucketNode> {
  const {
    server,
    prefix,
    clock = systemClock,
    diskCacheBytes = 0,
    reserveBytes = 0,
    wrap = (bucket) => bucket,
  } = options;
  const dataDir = options.dataDir ?? (await mkdtemp(path.join(tmpdir(), "sluice-bucket-")));
  const events = recordEvents();
  sharedVerifier ??= createZipVerifier({ workers: 1 });
  const store = await openDataFolder({
    dataDir,
    memoryBytes: 64 * mib,
    wholeFileLimitBytes: mib,
    reserveBytes,
    verifier: sharedVerifier,
    clock,
    events,
    bucket: {
      store: wrap(createS3BlobStore({ ...server.options(), prefix })),
      id: prefix,
      maxDiskBytes: diskCacheBytes,
    },
  });
  return {
    store,
    events,
    dataDir,
    async restart(changes = {}) {
      await store.close();
      return openBucketNode({ ...options, dataDir, ...changes });
    },
    async remove() {
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
