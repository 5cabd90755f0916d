import { join } from "node:path";
import type { Config } from "./config/index.ts";
import type { SharedDatabase } from "./config/database.ts";
import { systemClock } from "./core/clock.ts";
import { isSluiceError } from "./core/errors.ts";
import type { FaultBoard } from "./core/faults.ts";
import type { HealthOf } from "./core/health.ts";
import type { Events } from "./core/events.ts";
import { loadTrust } from "./net/trust.ts";
import type { DataFolderOptions } from "./storage/data-folder.ts";
import { isOnFullDisk } from "./storage/full-disk.ts";
import { moveDatabaseAside } from "./storage/ledger/connection.ts";
import { PostgresLedger } from "./storage/ledger/postgres.ts";
import { openTieredLedger, type TieredLedger } from "./storage/ledger/tiered.ts";
import { WriteQueue } from "./storage/ledger/write-queue.ts";
import { PostgresDatabase } from "./storage/postgres/database.ts";
import { isCorrupt } from "./storage/sqlite/database-error.ts";

/** What a node has of the database that several share. */
export interface NodeDatabase {
  /** Closed with the ledger. */
  readonly database: PostgresDatabase;
  /**
   * Resolves when it was asked for the first time, whether it answered or not. Fails with `storage_failed` where somebody has to
   * change something, such as for a wrong password. Need not be handled.
   */
  readonly opened: Promise<void>;
  /** Waits for `opened`, and fails as that does. */
  readonly shareLedger: NonNullable<DataFolderOptions["shareLedger"]>;
  readonly health: HealthOf;
}

/** Begins to connect. A database that cannot be reached is gone on without. */
export function composeDatabase(
  settings: SharedDatabase,
  {
    dataDir,
    events,
    faults,
  }: Pick<Config["store"], "dataDir"> & { readonly events: Events; readonly faults?: FaultBoard | undefined },
): NodeDatabase {
  const common = { clock: systemClock, events };
  const { ca, timeoutMs } = settings;
  const { certificates } = loadTrust({ env: process.env });
  const authorities = ca === undefined ? certificates : [...certificates, ca];
  const refusal = faults && (() => faults.refusal("database-down"));
  const database = new PostgresDatabase({ ...settings, authorities, refusal, ...common });
  const opened = database.open();
  opened.catch(() => undefined);
  let ledger: TieredLedger | undefined;
  return {
    database,
    opened,
    async shareLedger(local, onConflict) {
      await opened;
      const shared = new PostgresLedger({ database, ...common });
      const queue = await openQueue(dataDir, events);
      return (ledger = await openTieredLedger({ local, shared, database, queue, timeoutMs, onConflict, ...common }));
    },
    health: () => ledger?.health() ?? [database.health()],
  };
}

/** A corrupt one is made anew. On a full disk what is not written elsewhere yet is held in memory until the next start. */
async function openQueue(dataDir: string, events: Events): Promise<WriteQueue> {
  const file = join(dataDir, "ledger-queue.db");
  try {
    return new WriteQueue(file, systemClock.now());
  } catch (error) {
    if (!isSluiceError(error, "storage_failed")) throw error;
    events.emit({ type: "store_failed", store: `sqlite:${file}`, operation: "open", error });
    if (isCorrupt(error.cause)) {
      await moveDatabaseAside(file, systemClock.now());
      return new WriteQueue(file, systemClock.now());
    }
    if (await isOnFullDisk(dataDir)) return new WriteQueue(":memory:", systemClock.now());
    throw error;
  }
}
