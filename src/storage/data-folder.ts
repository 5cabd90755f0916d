import path from "node:path";
import type { BlobStore, Clock, Events, ModuleStore, ZipVerifier } from "../core/ports.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { type OpenedSqliteLedger, openSqliteLedger } from "./ledger/sqlite.ts";
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
  const { dataDir, clock, events } = options;
  const blobs = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    stagingDir: path.join(dataDir, "staging"),
    quarantineDir: path.join(dataDir, "quarantine"),
  });
  const ledger = await openSqliteLedger({ file: path.join(dataDir, "ledger.db"), clock, events });
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
  const rebuilding = rebuildInBackground({ blobs, ledger, store, events, signal: closing.signal });
  return store;
}

interface Background {
  readonly blobs: BlobStore;
  readonly ledger: OpenedSqliteLedger;
  readonly store: ModuleStore;
  readonly events: Events;
  readonly signal: AbortSignal;
}

/** One file at a time, so that whoever asks for files does not notice. */
async function rebuildInBackground(background: Background): Promise<void> {
  if (!background.ledger.isNew) return;
  try {
    await rebuildLedger({ ...background, concurrency: 1 });
  } catch (cause) {
    // What it did not reach is checked when it is asked for.
    const error = cause instanceof Error ? cause : new Error(String(cause));
    background.events.emit({ type: "store_failed", store: background.ledger.name, operation: "rebuild", error });
  }
}
