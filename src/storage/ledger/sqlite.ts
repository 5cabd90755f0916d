import type { H1 } from "../../protocol/brand.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, Clock, FileFacts, Freshness, Ledger, UnverifiedFile } from "../../core/ports.ts";
import { databaseError, isBusy, isCorrupt, type NamedDatabase } from "../sqlite/database-error.ts";
import { fileIdOf } from "../sqlite/file-id.ts";
import { inTransaction } from "../sqlite/transaction.ts";
import { connect, type Connection, moveDatabaseAside } from "./connection.ts";
import { toFacts, toFreshness, toUnverified } from "./rows.ts";
import { WaitingUses } from "./waiting-uses.ts";

export interface SqliteLedgerOptions {
  /** The database file, or `:memory:`. Its folder must be there. */
  readonly file: string;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a use may wait in memory before it is written. */
  readonly flushIntervalMs?: number;
}

export interface OpenedSqliteLedger extends Ledger {
  /** There was no database, or a corrupt one: nothing is known of whatever is stored. */
  readonly isNew: boolean;
}

const pageRows = 500;
const busyPauseMs = 25;
const busyLimitMs = 5000;

/**
 * A ledger in an SQLite file, which several processes of one machine may share. A database that turns out to be corrupt, or is
 * moved or deleted under way, is replaced by a new one: what it knew of files is found out again from the files.
 */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<OpenedSqliteLedger> {
  const ledger = new SqliteLedger(options);
  await ledger.open();
  return ledger;
}

class SqliteLedger implements OpenedSqliteLedger {
  readonly name: string;
  isNew = false;
  readonly #options: SqliteLedgerOptions;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #replacing: Promise<void> | undefined;
  readonly #uses: WaitingUses;

  constructor(options: SqliteLedgerOptions) {
    this.#options = options;
    this.name = `sqlite:${options.file}`;
    this.#uses = new WaitingUses({
      ...options,
      write: (uses) => this.#writeUses(uses),
      onFailure: (error) => this.#tellUses(error),
    });
  }

  async open(): Promise<void> {
    this.isNew = await this.#run("open", ({ isNew }) => isNew);
  }

  facts(key: BlobKey): Promise<FileFacts | undefined> {
    return this.#run("read", ({ facts }) => toFacts(facts.get(key)));
  }

  addFacts(facts: FileFacts): Promise<FileFacts> {
    const { key, size, sha256, h1, source, firstSeenAt } = facts;
    return this.#run("write", (connection) => {
      connection.addFacts.run(key, size, sha256, h1 ?? null, source, firstSeenAt);
      return toFacts(connection.facts.get(key)) ?? facts;
    });
  }

  removeFacts(key: BlobKey, sha256?: string): Promise<boolean> {
    return this.#run("write", ({ removeFacts, removeUsed }) => {
      const isRemoved = removeFacts.run(key, sha256 ?? null).changes > 0;
      if (isRemoved || sha256 === undefined) {
        this.#uses.delete(key);
        removeUsed.run(key);
      }
      return isRemoved;
    });
  }

  freshness(key: BlobKey): Promise<Freshness | undefined> {
    return this.#run("read", ({ freshness }) => toFreshness(freshness.get(key)));
  }

  async setFreshness({ key, sha256, source, checkedAt }: Freshness): Promise<void> {
    await this.#run("write", ({ setFreshness }) => setFreshness.run(key, sha256, source, checkedAt));
  }

  removeFreshness(key: BlobKey): Promise<boolean> {
    return this.#run("write", ({ removeFreshness }) => removeFreshness.run(key).changes > 0);
  }

  touch(key: BlobKey, usedAt: number): void {
    this.#uses.touch(key, usedAt);
  }

  async lastUsed(key: BlobKey): Promise<number | undefined> {
    const stored = await this.#run("read", ({ lastUsed }) => lastUsed.get(key)?.["used_at"]);
    const usedAt = Math.max(Number(stored ?? -1), this.#uses.get(key) ?? -1);
    return usedAt < 0 ? undefined : usedAt;
  }

  async *listFacts(prefix: string): AsyncGenerator<FileFacts> {
    let from = prefix;
    for (let isFirst = true; ; isFirst = false) {
      // Page by page, so that no read transaction stays open while the caller works: it would keep the log from being cut.
      const page = await this.#run("read", ({ listFacts }) =>
        listFacts.all(from, isFirst ? 1 : 0, pageRows).map(toFacts),
      );
      for (const facts of page) {
        if (facts === undefined || !facts.key.startsWith(prefix)) return;
        yield facts;
        from = facts.key;
      }
      if (page.length < pageRows) return;
    }
  }

  async addUnverified({ key, h1, reason, since }: UnverifiedFile): Promise<void> {
    await this.#run("write", ({ addUnverified }) => addUnverified.run(key, h1, reason, since));
  }

  unverified(key: BlobKey): Promise<UnverifiedFile | undefined> {
    return this.#run("read", ({ unverified }) => {
      const row = unverified.get(key);
      return row && toUnverified(row);
    });
  }

  removeUnverified(key: BlobKey, h1?: H1): Promise<boolean> {
    return this.#run("write", ({ removeUnverified }) => removeUnverified.run(key, h1 ?? null).changes > 0);
  }

  listUnverified(after: BlobKey, limit: number): Promise<UnverifiedFile[]> {
    return this.#run("read", ({ listUnverified }) => listUnverified.all(after, limit).map(toUnverified));
  }

  countUnverified(): Promise<number> {
    return this.#run("read", ({ countUnverified }) => Number(countUnverified.get()?.["files"]));
  }

  async check(): Promise<void> {
    await this.#run("write", ({ db, fileId }) => {
      if (fileIdOf(this.#options.file) !== fileId) throw new Error("it was moved or deleted");
      db.exec("BEGIN IMMEDIATE; ROLLBACK;");
    });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#replacing;
    await this.#uses.close();
    this.#disconnect();
  }

  /** At once, as SQLite does. */
  async #writeUses(uses: ReadonlyMap<BlobKey, number>): Promise<void> {
    const { db, setUsed } = this.#connected();
    inTransaction(db, () => {
      for (const [key, usedAt] of uses) setUsed.run(key, usedAt);
    });
  }

  #tellUses(cause: unknown): void {
    const error = databaseError("write", this.#database, cause);
    this.#options.events.emit({ type: "store_failed", store: this.name, operation: "record uses", error });
  }

  /** Does `work` on a sound database, waiting for other writers, replacing the database when it is lost. */
  async #run<T>(operation: string, work: (connection: Connection) => T): Promise<T> {
    let isReplaced = false;
    for (let waitedMs = 0; ;) {
      try {
        await this.#replacing;
        return work(this.#connected());
      } catch (error) {
        if (!isReplaced && this.#isLost(error)) {
          isReplaced = true;
          await this.#replace(error);
        } else if (isBusy(error) && waitedMs < busyLimitMs) {
          await this.#options.clock.sleep(busyPauseMs);
          waitedMs += busyPauseMs;
        } else {
          throw databaseError(operation, this.#database, error);
        }
      }
    }
  }

  #connected(): Connection {
    if (this.#connection !== undefined) return this.#connection;
    if (this.#closing.signal.aborted)
      throw new SluiceError("storage_failed", `the ledger ${this.#options.file} is closed`);
    return (this.#connection = connect(this.#options.file, this.#options.clock.now()));
  }

  get #database(): NamedDatabase {
    return { what: "the ledger", file: this.#options.file };
  }

  #disconnect(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.db.close();
  }

  #isLost(error: unknown): boolean {
    if (isCorrupt(error)) return true;
    const fileId = this.#connection?.fileId;
    return fileId !== undefined && fileIdOf(this.#options.file) !== fileId;
  }

  #replace(cause: unknown): Promise<void> {
    this.#replacing ??= this.#replaceNow(cause).finally(() => (this.#replacing = undefined));
    return this.#replacing;
  }

  async #replaceNow(cause: unknown): Promise<void> {
    const { file, clock, events } = this.#options;
    // Another process that shares it may have replaced it already; its new one must stay.
    const fileId = this.#connection?.fileId ?? fileIdOf(file);
    try {
      this.#disconnect();
    } catch {
      // A corrupt database may fail to close; it is let go of all the same.
    }
    const isOurs = isCorrupt(cause) && fileIdOf(file) === fileId;
    const aside = isOurs ? await moveDatabaseAside(file, clock.now()) : undefined;
    const reason = aside === undefined ? "was moved or deleted" : `is corrupt and now at ${aside}`;
    const error = new SluiceError(
      "storage_failed",
      `the ledger ${file} ${reason}; a new one is made and filled from the stored files`,
      {
        cause,
      },
    );
    events.emit({ type: "store_failed", store: this.name, operation: "open", error });
  }
}
