import { randomUUID } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { BlobKey } from "../../core/ports.ts";
import { databaseError } from "../sqlite/database-error.ts";
import { migrate } from "../sqlite/migrate.ts";
import { inTransaction } from "../sqlite/transaction.ts";
import type { LedgerWrite } from "./postgres-writes.ts";

export interface QueuedWrite {
  /** Later ones have larger ones. */
  readonly number: number;
  readonly write: LedgerWrite;
}

/** See `migrate`. Only ever append. */
const migrations: readonly string[] = [
  `CREATE TABLE queue (
     name TEXT NOT NULL,
     is_seeded INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE writes (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     key TEXT NOT NULL,
     kind TEXT NOT NULL,
     write TEXT NOT NULL,
     queued_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX writes_by_key ON writes (key, kind);`,
];

/** SQLite waits on the main thread; what others do here takes microseconds. */
const lockTimeoutMs = 250;

/**
 * What is still to be written to the shared ledger, in an SQLite file: it outlives this process, but as the ledger beside it
 * not a power failure in the same moment. Several processes may share it. Everything fails with `storage_failed`.
 */
export class WriteQueue {
  /** Of this queue alone, among all nodes. */
  readonly name: string;
  readonly #file: string;
  readonly #db: DatabaseSync;
  readonly #add: StatementSync;
  readonly #drop: StatementSync;
  readonly #next: StatementSync;
  readonly #remove: StatementSync;
  readonly #find: StatementSync;
  readonly #count: StatementSync;

  /** `:memory:` is a queue that does not outlive the process. */
  constructor(file: string, now: number) {
    this.#file = file;
    try {
      const db = new DatabaseSync(file, { timeout: lockTimeoutMs });
      this.#db = db;
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
      migrate(db, { file, migrations, now });
      this.name = inTransaction(db, () => nameOf(db));
      this.#add = db.prepare("INSERT INTO writes (key, kind, write, queued_at) VALUES (?, ?, ?, ?)");
      this.#drop = db.prepare("DELETE FROM writes WHERE key = ? AND kind = ?");
      this.#next = db.prepare("SELECT number, write FROM writes ORDER BY number LIMIT ?");
      this.#remove = db.prepare("DELETE FROM writes WHERE number = ?");
      this.#find = db.prepare("SELECT 1 FROM writes WHERE key = ? LIMIT 1");
      this.#count = db.prepare("SELECT count(*) AS writes, min(queued_at) AS since FROM writes");
    } catch (error) {
      throw this.#explained("open", error);
    }
  }

  /** Answers its number. Of the confirmations of one record only the last is kept. */
  add(write: LedgerWrite, now: number): number {
    return this.#attempt("write", () => {
      const key = keyOf(write);
      if (write.kind !== "setFreshness") return Number(this.#insert(key, write, now));
      return inTransaction(this.#db, () => {
        this.#drop.run(key, write.kind);
        return Number(this.#insert(key, write, now));
      });
    });
  }

  /** All or nothing. */
  addAll(writes: readonly LedgerWrite[], now: number): void {
    this.#attempt("write", () =>
      inTransaction(this.#db, () => {
        for (const write of writes) this.#insert(keyOf(write), write, now);
      }),
    );
  }

  /** The oldest ones. They stay until they are removed. */
  next(limit: number): QueuedWrite[] {
    return this.#attempt("read", () =>
      this.#next.all(limit).map((row) => {
        // Written by `add` of this or an earlier version, from the same type.
        const write: LedgerWrite = JSON.parse(String(row["write"]));
        return { number: Number(row["number"]), write };
      }),
    );
  }

  remove(done: readonly QueuedWrite[]): void {
    this.#attempt("write", () =>
      inTransaction(this.#db, () => {
        for (const { number } of done) this.#remove.run(number);
      }),
    );
  }

  /** Whether something waits that is about this file or record. */
  has(key: BlobKey): boolean {
    return this.#attempt("read", () => this.#find.get(key) !== undefined);
  }

  /** `since`: milliseconds since the epoch, when the oldest came. */
  length(): { readonly writes: number; readonly since: number } {
    return this.#attempt("read", () => {
      const row = this.#count.get();
      return { writes: Number(row?.["writes"]), since: Number(row?.["since"] ?? 0) };
    });
  }

  /** What was known before there was a queue has been put into it. */
  get isSeeded(): boolean {
    return this.#attempt("read", () => this.#db.prepare("SELECT is_seeded FROM queue").get()?.["is_seeded"] === 1);
  }

  markSeeded(): void {
    this.#attempt("write", () => this.#db.exec("UPDATE queue SET is_seeded = 1"));
  }

  close(): void {
    this.#db.close();
  }

  #insert(key: BlobKey, write: LedgerWrite, now: number): number | bigint {
    return this.#add.run(key, write.kind, JSON.stringify(write), now).lastInsertRowid;
  }

  #attempt<T>(operation: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#explained(operation, error);
    }
  }

  #explained(operation: string, error: unknown): Error {
    return databaseError(operation, { what: "the queue of the shared ledger", file: this.#file }, error);
  }
}

function nameOf(db: DatabaseSync): string {
  const known = db.prepare("SELECT name FROM queue").get()?.["name"];
  if (typeof known === "string") return known;
  const name = randomUUID();
  db.prepare("INSERT INTO queue (name, is_seeded) VALUES (?, 0)").run(name);
  return name;
}

function keyOf(write: LedgerWrite): BlobKey {
  if (write.kind === "addFacts") return write.facts.key;
  if (write.kind === "setFreshness") return write.freshness.key;
  return write.kind === "addUnverified" ? write.file.key : write.key;
}
