import type { ModulePath, Version } from "../../protocol/brand.ts";
import { SluiceError } from "../../core/errors.ts";
import type {
  Clock,
  ForkEvidence,
  LogRecord,
  LogTree,
  NewLogRecord,
  SignedTree,
  SumStore,
  SumStoreOverview,
} from "../../core/ports.ts";
import { databaseError, isBusy, isCorrupt } from "../sqlite/database-error.ts";
import { inTransaction } from "../sqlite/transaction.ts";
import { connect, type Connection, fileIdsOf } from "./connection.ts";
import { markLog } from "./log-mark.ts";
import { isRefusal, refusal } from "./refusal.ts";
import { DamagedLogError, StoredLog, toBytes } from "./stored-log.ts";

export interface SqliteSumStoreOptions {
  /** The database file, or `:memory:`. Its folder must be there. */
  readonly file: string;
  readonly clock: Clock;
  /** To look into it beside a Sluice that runs; the file must be there. */
  readonly readOnly?: boolean;
  /** Asked when it cannot be opened, unless what stands there cannot be trusted; `true`: it is opened at its first use then. */
  readonly mayOpenLater?: (error: unknown) => Promise<boolean>;
}

const firstPauseMs = 2;
const longestPauseMs = 50;
const busyLimitMs = 10_000;

/**
 * A `SumStore` in an SQLite file, which several processes of one machine may share. Unlike the ledger it is never made anew by
 * itself: when it is damaged, or moved or deleted under way, everything asked of it fails with `storage_failed` and says what
 * to do.
 */
export async function openSqliteSumStore(options: SqliteSumStoreOptions): Promise<SumStore> {
  const store = new SqliteSumStore(options);
  try {
    await store.open();
  } catch (error) {
    if (isRefusal(error) || (await options.mayOpenLater?.(error)) !== true) throw error;
  }
  return store;
}

class SqliteSumStore implements SumStore {
  readonly name: string;
  readonly #options: SqliteSumStoreOptions;
  #connection: Connection | undefined;
  #isClosed = false;
  #isMarked = false;

  constructor(options: SqliteSumStoreOptions) {
    this.#options = options;
    this.name = `sqlite:${options.file}`;
  }

  async open(): Promise<void> {
    await this.#run("open", () => undefined);
  }

  tree(database: string): Promise<SignedTree | undefined> {
    return this.#run("read", (connection) => readTree(connection, database));
  }

  setTree(database: string, { size, hash, note }: SignedTree, previousSize: number): Promise<boolean> {
    return this.#write((connection) => {
      const known = readTree(connection, database);
      if ((known?.size ?? 0) !== previousSize || (known !== undefined && known.size >= size)) return false;
      connection.setTree.run(database, size, hash, note, this.#options.clock.now());
      return true;
    });
  }

  async addFork(database: string, { ours, theirs, seenAt }: ForkEvidence): Promise<void> {
    await this.#write(({ addFork }) => addFork.run(database, ours, theirs, seenAt));
  }

  forks(database: string): Promise<ForkEvidence[]> {
    return this.#run("read", ({ forks }) =>
      forks.all(database).map((row) => ({
        ours: toBytes(row["ours"]),
        theirs: toBytes(row["theirs"]),
        seenAt: Number(row["seen_at"]),
      })),
    );
  }

  async forgetTree(database: string): Promise<void> {
    await this.#write(({ removeTree, settleForks }) => {
      removeTree.run(database);
      settleForks.run(this.#options.clock.now(), database);
    });
  }

  logTree(log: string): Promise<LogTree> {
    return this.#run("read", (connection) => new StoredLog(connection, log).tree());
  }

  findRecord(log: string, modulePath: ModulePath, version: Version): Promise<LogRecord | undefined> {
    return this.#run("read", (connection) => new StoredLog(connection, log).find(modulePath, version));
  }

  appendRecords(log: string, records: readonly NewLogRecord[]): Promise<LogRecord[]> {
    return this.#write((connection) => {
      // Before the commit: a log that was answered from is never without its mark.
      this.#markLog();
      return new StoredLog(connection, log).append(records);
    });
  }

  records(log: string, start: number, end: number): Promise<string[]> {
    return this.#run("read", (connection) => new StoredLog(connection, log).records(start, end));
  }

  treeHashes(log: string, indexes: readonly number[]): Promise<Uint8Array[]> {
    return this.#run("read", (connection) => new StoredLog(connection, log).hashes(indexes));
  }

  overview(): Promise<SumStoreOverview> {
    return this.#run("read", ({ trees, logs }) => ({
      followed: trees.all().map((row) => ({
        database: String(row["database"]),
        size: Number(row["size"]),
        keptAt: Number(row["kept_at"]),
      })),
      own: logs.all().map((row) => ({ log: String(row["name"]), size: Number(row["size"]) })),
    }));
  }

  async check(): Promise<void> {
    // A transaction alone begins on a read-only disk, too.
    await this.#write(({ db }) => db.exec("DELETE FROM logs WHERE FALSE"));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.db.close();
    return Promise.resolve();
  }

  #markLog(): void {
    if (this.#isMarked) return;
    markLog(this.#options.file);
    this.#isMarked = true;
  }

  #write<T>(work: (connection: Connection) => T): Promise<T> {
    return this.#run("write", (connection) => inTransaction(connection.db, () => work(connection)));
  }

  /** Does `work`, waiting for other writers without holding up the main thread. */
  async #run<T>(operation: string, work: (connection: Connection) => T): Promise<T> {
    let pauseMs = firstPauseMs;
    for (let waitedMs = 0; ; waitedMs += pauseMs) {
      try {
        return work(this.#connected());
      } catch (error) {
        if (!isBusy(error) || waitedMs >= busyLimitMs) throw this.#explained(operation, error);
      }
      // Of different lengths, so that processes that wait for each other do not keep step.
      pauseMs = Math.min(pauseMs * (1 + Math.random()), longestPauseMs);
      await this.#options.clock.sleep(pauseMs);
    }
  }

  #connected(): Connection {
    const { file, clock, readOnly = false } = this.#options;
    if (this.#isClosed) throw new SluiceError("storage_failed", `the checksum store ${file} is closed`);
    this.#connection ??= connect(file, { readOnly, now: clock.now() });
    if (!readOnly && fileIdsOf(file) !== this.#connection.fileIds) {
      throw refusal(file, "was moved, deleted or replaced while Sluice was running");
    }
    return this.#connection;
  }

  #explained(operation: string, error: unknown): SluiceError {
    const { file } = this.#options;
    if (isCorrupt(error)) return refusal(file, "is damaged", error);
    if (error instanceof DamagedLogError) return refusal(file, `cannot be trusted: ${error.message}`, error);
    return databaseError(operation, { what: "the checksum store", file }, error);
  }
}

function readTree({ tree }: Connection, database: string): SignedTree | undefined {
  const row = tree.get(database);
  return row && { size: Number(row["size"]), hash: toBytes(row["hash"]), note: toBytes(row["note"]) };
}
