import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BlobStore, Ledger, ZipVerifier } from "../../src/core/ports.ts";
import { createDiskBlobStore } from "../../src/storage/blob/disk.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { type ConcedingModuleStore, createModuleStore } from "../../src/storage/module-store.ts";
import { Staging } from "../../src/storage/staging.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import type { ModuleStoreUnderTest } from "../suites/module-store.ts";
import { createManualClock, type ManualClock } from "./manual-clock.ts";
import { recordEvents, type RecordedEvents } from "./recorded-events.ts";

export interface StoreParts {
  readonly folder: string;
  readonly events: RecordedEvents;
  readonly clock: ManualClock;
}

export interface StoreOptions {
  /** Default: on disk, in the folder. Called again at each restart. */
  readonly blobs?: (parts: StoreParts) => Promise<BlobStore>;
  /** To put something between the store and its ledger. */
  readonly wrapLedger?: (ledger: Ledger) => Ledger;
  readonly memoryBytes?: number;
  readonly wholeFileLimitBytes?: number;
}

const mib = 1024 * 1024;
let sharedVerifier: ZipVerifier | undefined;

export interface TestStore extends ModuleStoreUnderTest, StoreParts {
  readonly events: RecordedEvents;
  readonly clock: ManualClock;
  readonly store: ConcedingModuleStore;
  readonly restart: (options?: { readonly loseLedger: boolean }) => Promise<TestStore>;
}

/** A module store in a folder of its own, with the real verifier and an SQLite file. */
export async function openTestStore(options: StoreOptions = {}): Promise<TestStore> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-store-"));
  return openIn({ folder, events: recordEvents(), clock: createManualClock() }, options);
}

/** A data folder's disk blobs. */
export function diskBlobs({ folder }: Pick<StoreParts, "folder">) {
  return createDiskBlobStore({
    root: path.join(folder, "modules"),
    stagingDir: path.join(folder, "staging"),
    quarantineDir: path.join(folder, "quarantine"),
  });
}

async function openIn(parts: StoreParts, options: StoreOptions): Promise<TestStore> {
  const { folder, events, clock } = parts;
  const { memoryBytes = 64 * mib, wholeFileLimitBytes = 32 * mib } = options;
  sharedVerifier ??= createZipVerifier();
  const blobs = await (options.blobs ?? diskBlobs)(parts);
  const sqlite = await openSqliteLedger({ file: path.join(folder, "ledger.db"), clock, events });
  const ledger = options.wrapLedger?.(sqlite) ?? sqlite;
  const staging = new Staging(path.join(folder, "staging"));
  const store = createModuleStore({
    blobs,
    ledger,
    events,
    clock,
    memoryBytes,
    wholeFileLimitBytes,
    verifier: sharedVerifier,
    stagingFile: () => staging.newFile(),
  });
  return {
    ...parts,
    store,
    blobs,
    ledger,
    async restart({ loseLedger } = { loseLedger: false }) {
      await store.close();
      if (loseLedger) {
        for (const suffix of ["", "-wal", "-shm"]) await rm(path.join(folder, `ledger.db${suffix}`), { force: true });
      }
      return openIn(parts, options);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
