import path from "node:path";
import type { Events } from "../core/events.ts";
import type { BlobStore, Clock, Ledger } from "../core/ports.ts";
import { createDiskBlobStore } from "./blob/disk.ts";
import { FactBook } from "./fact-book.ts";
import { openSqliteLedger } from "./ledger/sqlite.ts";
import { ZipHashes } from "./zip-hashes.ts";

/** The parts of a data folder, for whoever works on its files beside the Sluice that may run there. */
export interface LocalStore {
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly facts: Pick<FactBook, "adopt">;
  readonly zipHashes: ZipHashes;
  readonly stagingFile: () => Promise<string>;
  close(): Promise<void>;
}

export interface LocalStoreParts {
  readonly events: Events;
  readonly clock: Clock;
  /** Its folder for files under way, within that of all. Each that is open at the same time needs its own. Default `upkeep`. */
  readonly staging?: string;
}

/** Where broken files of a data folder are. */
export function quarantineOf(dataDir: string): string {
  return path.join(dataDir, "quarantine");
}

/** Made where it is missing. Fails with `storage_failed`. */
export async function openLocalStore(dataDir: string, parts: LocalStoreParts): Promise<LocalStore> {
  const { events, clock, staging = "upkeep" } = parts;
  const blobs = await createDiskBlobStore({
    root: path.join(dataDir, "modules"),
    // Opening a folder for files under way clears it of what this process left there, and a Sluice may run in this process.
    stagingDir: path.join(dataDir, "staging", staging),
    quarantineDir: quarantineOf(dataDir),
  });
  const ledger = await openSqliteLedger({ file: path.join(dataDir, "ledger.db"), clock, events });
  return {
    blobs,
    ledger,
    facts: new FactBook({ ledger, clock, events }),
    zipHashes: new ZipHashes(blobs, events),
    stagingFile: () => blobs.stagingFile(),
    async close() {
      await ledger.close();
      await blobs.close();
    },
  };
}
