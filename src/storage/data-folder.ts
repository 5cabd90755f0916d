import path from "node:path";
import { isSluiceError } from "../core/errors.ts";
import type { BlobStore, Clock, Events, Ledger, ModuleStore, ZipVerifier } from "../core/ports.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { isOnFullDisk } from "./full-disk.ts";
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
}

/**
 * A store in one folder: `modules/` (a GOPROXY by `file://`), `ledger.db`, `staging/` and `quarantine/`. When the ledger is new,
 * whatever stands in `modules/` is checked and recorded in the background.
 */
export async function openDataFolder(options: DataFolderOptions): Promise<ModuleStore> {
  const { dataDir, events } = options;
  const blobs = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    stagingDir: path.join(dataDir, "staging"),
    quarantineDir: path.join(dataDir, "quarantine"),
  });
  const { ledger, isNew } = await openLedger(options);
  const closing = new AbortController();
  const store = createModuleStore({
    ...options,
    blobs,
    ledger,
    stagingFile: () => blobs.stagingFile(),
    beforeClose: async () => {
      closing.abort();
      await rebuilding;
    },
  });
  const rebuilding = isNew ? rebuildInBackground({ blobs, ledger, store, events, signal: closing.signal }) : undefined;
  return store;
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
