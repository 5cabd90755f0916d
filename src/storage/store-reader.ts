import path from "node:path";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore, Clock, StoredFile } from "../core/ports.ts";
import { blobKey, type FileRequest } from "../protocol/goproxy/index.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { FactBook } from "./fact-book.ts";
import { FileStore } from "./file-store.ts";
import { HotTier } from "./hot-tier.ts";
import { openSqliteLedger } from "./ledger/sqlite.ts";
import { WholeReads } from "./whole-reads.ts";
import { ZipHashes } from "./zip-hashes.ts";

export interface StoreReaderOptions {
  readonly dataDir: string;
  /** As those of a module store. */
  readonly memoryBytes: number;
  readonly wholeFileLimitBytes: number;
  /** Files that no checksum database has confirmed are not answered. */
  readonly confirmedOnly: boolean;
  readonly clock: Clock;
  readonly events: Events;
}

/** Reads what another process keeps in the same folder. */
export interface StoreReader {
  /**
   * A file that is known and as it was kept. Whatever is odd about one (nothing is known of it, it is broken, it cannot be read) is
   * for the process that keeps the store, and the file is not here.
   */
  read(request: FileRequest): Promise<StoredFile | undefined>;
  touch(key: BlobKey): void;
  /** It turned out to be wrong. */
  forget(key: BlobKey): void;
  close(): Promise<void>;
}

export async function openStoreReader(options: StoreReaderOptions): Promise<StoreReader> {
  const { dataDir, memoryBytes, wholeFileLimitBytes, confirmedOnly, clock, events } = options;
  const disk = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    stagingDir: path.join(dataDir, "staging"),
    quarantineDir: path.join(dataDir, "quarantine"),
  });
  const ledger = await openSqliteLedger({ file: path.join(dataDir, "ledger.db"), clock, events });
  const blobs = withoutWrites(disk);
  const hot = new HotTier(memoryBytes);
  const files = new FileStore({
    blobs,
    events,
    hot,
    facts: new FactBook({ ledger, clock, events }),
    zipHashes: new ZipHashes(blobs, events),
    wholeReads: new WholeReads({
      maxFileBytes: Math.min(wholeFileLimitBytes, hot.maxFileBytes),
      maxHeldBytes: memoryBytes * 1.5,
    }),
  });
  return {
    async read(request) {
      const key = blobKey(request);
      const known = hot.file(key);
      // What is in memory was confirmed when it came there.
      if (known !== undefined) return known;
      if (confirmedOnly && (await ledger.unverified(key)) !== undefined) return undefined;
      return files.read(request);
    },
    touch: (key) => ledger.touch(key, clock.now()),
    forget: (key) => hot.delete(key),
    async close() {
      await ledger.close();
      await disk.close();
    },
  };
}

function withoutWrites(blobs: BlobStore): BlobStore {
  const refuse = (): Promise<never> => Promise.reject(new TypeError("a reader writes nothing"));
  return {
    name: blobs.name,
    stat: (key) => blobs.stat(key),
    get: (key) => blobs.get(key),
    create: refuse,
    replace: refuse,
    delete: refuse,
    setAside: () => Promise.resolve(false),
    list: (prefix) => blobs.list(prefix),
    check: () => blobs.check(),
    close: () => blobs.close(),
  };
}
