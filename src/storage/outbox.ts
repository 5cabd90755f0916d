import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import type { Events } from "../core/events.ts";
import type { BlobKey, Clock } from "../core/ports.ts";
import { moveDatabaseAside } from "./ledger/connection.ts";
import { databaseError, isCorrupt } from "./sqlite/database-error.ts";
import { migrate } from "./sqlite/migrate.ts";

export interface OutboxOptions {
  /** The database file, or `:memory:`. */
  readonly file: string;
  readonly clock: Clock;
  readonly events: Events;
}

/** Something on this disk that the bucket does not have yet. */
export interface OutboxEntry {
  readonly key: BlobKey;
  /** Counts how often it was added, so that what changed while it was sent is sent again. */
  readonly serial: number;
  /** Times it was tried. */
  readonly attempts: number;
}

interface Statements {
  readonly db: DatabaseSync;
  readonly add: StatementSync;
  readonly find: StatementSync;
  readonly due: StatementSync;
  readonly nextDue: StatementSync;
  readonly postpone: StatementSync;
  readonly hurry: StatementSync;
  readonly remove: StatementSync;
  readonly drop: StatementSync;
  readonly count: StatementSync;
  readonly oldest: StatementSync;
  readonly bucket: StatementSync;
  readonly setWorked: StatementSync;
  readonly setSeeded: StatementSync;
  readonly flushedAt: StatementSync;
  readonly setFlushed: StatementSync;
}

/** Only ever append: databases in the field have run the ones above. */
const migrations: readonly string[] = [
  `CREATE TABLE outbox (
     key TEXT PRIMARY KEY,
     serial INTEGER NOT NULL,
     added_at INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     attempts INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX outbox_due ON outbox (due_at);
   CREATE INDEX outbox_added ON outbox (added_at);
   CREATE TABLE buckets (
     name TEXT PRIMARY KEY,
     worked_at INTEGER,
     seeded_at INTEGER
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE flushes (
     id INTEGER PRIMARY KEY CHECK (id = 1),
     flushed_at INTEGER NOT NULL
   ) STRICT;`,
];

/** Writers hold the lock for one statement. */
const lockTimeoutMs = 1000;
const flushEveryMs = 60_000;

/**
 * What is on this disk and has to get into the bucket, in an SQLite file of its own: a kill loses nothing of it. When the file
 * is lost or corrupt, everything on the disk counts as not sent, see `isSeeded`. Its calls block, for a fraction of a millisecond.
 *
 * A power failure may take the entries since the last flush with it, while their files are on the disk: with a flush for each, calls
 * would block everybody for milliseconds, on a busy disk for many. So there is one a minute, and a start looks at the files that
 * are newer, see `flushedAt`.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #statements: Statements;
  #waiting: number;
  #triedFlushAt = Number.NEGATIVE_INFINITY;

  private constructor(options: OutboxOptions, statements: Statements) {
    this.#options = options;
    this.#statements = statements;
    this.#waiting = countOf(statements);
  }

  static async open(options: OutboxOptions): Promise<Outbox> {
    const { file, clock, events } = options;
    try {
      return new Outbox(options, connect(options));
    } catch (cause) {
      if (!isCorrupt(cause)) throw databaseError("open", { what: "the outbox", file }, cause);
      const aside = await moveDatabaseAside(file, clock.now());
      const error = new Error(`the outbox is corrupt and now at ${aside}; all files are compared with the bucket`);
      events.emit({ type: "store_failed", store: `outbox:${file}`, operation: "open", error });
      return new Outbox(options, connect(options));
    }
  }

  /** Entries, but for what other processes in this folder have added or sent since it was opened. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Milliseconds since the epoch, of the entry that waits for longest. */
  oldestAt(): number | undefined {
    const oldest = this.#run("read", ({ oldest: statement }) => statement.get()?.["added_at"]);
    return oldest === undefined ? undefined : Number(oldest);
  }

  has(key: BlobKey): boolean {
    return this.find(key) !== undefined;
  }

  find(key: BlobKey): OutboxEntry | undefined {
    const row = this.#run("read", ({ find }) => find.get(key));
    return row && toEntry(row);
  }

  /** To be sent now. Also what is there already, as it may have changed. */
  add(key: BlobKey): void {
    const now = this.#options.clock.now();
    const isNew = !this.has(key);
    this.#run("write", ({ add }) => add.run(key, now));
    if (isNew) this.#waiting++;
  }

  /** Those whose time has come, that first which has been due for longest. */
  due(limit: number): OutboxEntry[] {
    const now = this.#options.clock.now();
    return this.#run("read", ({ due }) => due.all(now, limit)).map(toEntry);
  }

  /** Milliseconds since the epoch; undefined when nothing waits. */
  nextDueAt(): number | undefined {
    const next = this.#run("read", ({ nextDue }) => nextDue.get()?.["due_at"]);
    return next === undefined || next === null ? undefined : Number(next);
  }

  /** `until` is in milliseconds since the epoch, whole or not. */
  postpone({ key, serial }: OutboxEntry, until: number): void {
    this.#run("write", ({ postpone }) => postpone.run(Math.ceil(until), key, serial));
  }

  /** Nothing waits for its time any more: what kept them from being sent is over. */
  hurry(): void {
    const now = this.#options.clock.now();
    this.#run("write", ({ hurry }) => hurry.run(now));
  }

  /** It was sent, unless it has been added again since. */
  remove({ key, serial }: OutboxEntry): void {
    this.#waiting -= Number(this.#run("write", ({ remove }) => remove.run(key, serial)).changes);
  }

  /** It need not be sent, whatever it is now. */
  drop(key: BlobKey): void {
    this.#waiting -= Number(this.#run("write", ({ drop }) => drop.run(key)).changes);
  }

  /** Whether everything that was on the disk before is in the outbox, or in this bucket. */
  isSeeded(bucket: string): boolean {
    return this.#bucket(bucket)?.["seeded_at"] != null;
  }

  markSeeded(bucket: string): void {
    const now = this.#options.clock.now();
    this.#run("write", ({ setSeeded }) => setSeeded.run(bucket, now));
  }

  /** Whether this folder has ever got on with this bucket. */
  hasWorked(bucket: string): boolean {
    return this.#bucket(bucket)?.["worked_at"] != null;
  }

  markWorked(bucket: string): void {
    const now = this.#options.clock.now();
    this.#run("write", ({ setWorked }) => setWorked.run(bucket, now));
  }

  /** Milliseconds since the epoch: entries from before that survive a power failure. Undefined when that was never made sure of. */
  get flushedAt(): number | undefined {
    const flushed = this.#run("read", ({ flushedAt }) => flushedAt.get()?.["flushed_at"]);
    return flushed === undefined ? undefined : Number(flushed);
  }

  /** Once a minute, or when the clock was set back, however often it is called: makes sure that a power failure takes none of the entries. What fails is told. */
  flush(): void {
    const sinceMs = this.#options.clock.now() - this.#triedFlushAt;
    if (sinceMs < 0 || sinceMs >= flushEveryMs) this.#flush();
  }

  close(): void {
    const { db } = this.#statements;
    if (!db.isOpen) return;
    this.#flush();
    db.close();
  }

  /** The log of SQLite is flushed as a whole, with all that was committed before. */
  #flush(): void {
    const { file, clock, events } = this.#options;
    const now = clock.now();
    this.#triedFlushAt = now;
    const { db, setFlushed } = this.#statements;
    try {
      db.exec("PRAGMA synchronous = FULL");
      try {
        setFlushed.run(now);
      } finally {
        // Else each entry that is written after a failure would wait for the disk.
        db.exec("PRAGMA synchronous = NORMAL");
      }
    } catch (cause) {
      const error = databaseError("flush", { what: "the outbox", file }, cause);
      events.emit({ type: "store_failed", store: `outbox:${file}`, operation: "flush", error });
    }
  }

  #bucket(name: string) {
    return this.#run("read", ({ bucket }) => bucket.get(name));
  }

  #run<T>(operation: string, work: (statements: Statements) => T): T {
    try {
      return work(this.#statements);
    } catch (cause) {
      throw databaseError(operation, { what: "the outbox", file: this.#options.file }, cause);
    }
  }
}

function toEntry(row: Record<string, SQLOutputValue>): OutboxEntry {
  return { key: String(row["key"]), serial: Number(row["serial"]), attempts: Number(row["attempts"]) };
}

function countOf({ count }: Statements): number {
  return Number(count.get()?.["entries"]);
}

function connect({ file, clock }: OutboxOptions): Statements {
  const db = new DatabaseSync(file, { timeout: lockTimeoutMs });
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    migrate(db, { file, migrations, now: clock.now() });
    return {
      db,
      add: db.prepare(
        `INSERT INTO outbox (key, serial, added_at, due_at, attempts) VALUES (?1, 1, ?2, ?2, 0)
         ON CONFLICT (key) DO UPDATE SET serial = serial + 1, due_at = excluded.due_at, attempts = 0`,
      ),
      find: db.prepare("SELECT key, serial, attempts FROM outbox WHERE key = ?"),
      due: db.prepare("SELECT key, serial, attempts FROM outbox WHERE due_at <= ? ORDER BY due_at LIMIT ?"),
      nextDue: db.prepare("SELECT min(due_at) AS due_at FROM outbox"),
      postpone: db.prepare("UPDATE outbox SET due_at = ?, attempts = attempts + 1 WHERE key = ? AND serial = ?"),
      hurry: db.prepare("UPDATE outbox SET due_at = ?1 WHERE due_at > ?1"),
      remove: db.prepare("DELETE FROM outbox WHERE key = ? AND serial = ?"),
      drop: db.prepare("DELETE FROM outbox WHERE key = ?"),
      count: db.prepare("SELECT count(*) AS entries FROM outbox"),
      oldest: db.prepare("SELECT added_at FROM outbox ORDER BY added_at LIMIT 1"),
      bucket: db.prepare("SELECT * FROM buckets WHERE name = ?"),
      setWorked: db.prepare(
        "INSERT INTO buckets (name, worked_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET worked_at = excluded.worked_at",
      ),
      flushedAt: db.prepare("SELECT flushed_at FROM flushes"),
      setFlushed: db.prepare(
        "INSERT INTO flushes (id, flushed_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET flushed_at = excluded.flushed_at",
      ),
      setSeeded: db.prepare(
        "INSERT INTO buckets (name, seeded_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seeded_at = excluded.seeded_at",
      ),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}
