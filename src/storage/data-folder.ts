import path from "node:path";
import type { Clock, Events, ModuleStore, ZipVerifier } from "../core/ports.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { openSqliteLedger } from "./ledger/sqlite.ts";
import { createModuleStore } from "./module-store.ts";

export interface DataFolderOptions {
  /** Made when it is missing. */
  readonly dataDir: string;
  readonly memoryBytes: number;
  readonly wholeFileLimitBytes: number;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
  readonly events: Events;
}

/** A store in one folder: `modules/` (a GOPROXY by `file://`), `ledger.db`, `staging/` and `quarantine/`. */
export async function openDataFolder(options: DataFolderOptions): Promise<ModuleStore> {
  const { dataDir, clock, events } = options;
  const blobs = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    stagingDir: path.join(dataDir, "staging"),
    quarantineDir: path.join(dataDir, "quarantine"),
  });
  const ledger = await openSqliteLedger({ file: path.join(dataDir, "ledger.db"), clock, events });
  return createModuleStore({ ...options, blobs, ledger, stagingFile: () => blobs.stagingFile() });
}
