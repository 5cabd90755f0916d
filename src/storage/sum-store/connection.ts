import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, openSync, rmSync } from "node:fs";
import path from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { fileIdOf } from "../sqlite/file-id.ts";
import { migrate } from "../sqlite/migrate.ts";
import { errorCode } from "../storage-error.ts";
import { markOf } from "./log-mark.ts";
import { refusal } from "./refusal.ts";
import { sumStoreMigrations } from "./schema.ts";

/** One open database with its statements. */
export interface Connection {
  readonly db: DatabaseSync;
  /** Which files these are, to notice that one was moved or deleted since. */
  readonly fileIds: string;
  readonly tree: StatementSync;
  readonly setTree: StatementSync;
  readonly removeTree: StatementSync;
  readonly trees: StatementSync;
  readonly addFork: StatementSync;
  readonly forks: StatementSync;
  readonly settleForks: StatementSync;
  readonly log: StatementSync;
  readonly logs: StatementSync;
  readonly addLog: StatementSync;
  readonly setLog: StatementSync;
  readonly findRecord: StatementSync;
  readonly records: StatementSync;
  readonly addRecord: StatementSync;
  readonly treeHash: StatementSync;
  readonly addTreeHash: StatementSync;
}

export interface ConnectOptions {
  readonly readOnly: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Opens the database, and makes it where there is none. SQLite waits for no lock here: whoever calls waits off the main thread. */
export function connect(file: string, { readOnly, now }: ConnectOptions): Connection {
  const db = readOnly ? new DatabaseSync(file, { readOnly }) : openForWriting(file, now);
  try {
    const statements = prepare(db);
    // Reads the database, so that its write-ahead log is there and can be told from another one.
    statements.logs.all();
    return { ...statements, db, fileIds: fileIdsOf(file) };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Changes when the database or its write-ahead log is moved, deleted or replaced. SQLite itself does so only when nobody has them open. */
export function fileIdsOf(file: string): string {
  return `${fileIdOf(file)} ${fileIdOf(file === ":memory:" ? file : `${file}-wal`)}`;
}

function openForWriting(file: string, now: number): DatabaseSync {
  if (file === ":memory:") return migrated(new DatabaseSync(file), file, now);
  // Looked for first: another process that makes the database in this moment makes these after it.
  const leftovers = [`${file}-wal`, markOf(file)].filter((name) => fileIdOf(name) !== undefined);
  if (fileIdOf(file) === undefined) {
    if (leftovers.length > 0)
      throw refusal(file, `is gone, and has left ${leftovers.map((name) => path.basename(name)).join(" and ")}`);
    makeDatabase(file, now);
  }
  const url = pathToFileURL(file);
  // Without it, SQLite makes an empty database when the file is deleted in this moment.
  url.searchParams.set("mode", "rw");
  const db = new DatabaseSync(url, { timeout: 0 });
  if (!hasSchema(db)) {
    db.close();
    throw refusal(file, "is empty");
  }
  return migrated(db, file, now);
}

/** Under another name first, so that a database that stands under its own is whole: an empty one was lost, not interrupted. */
function makeDatabase(file: string, now: number): void {
  const draft = `${file}.new-${randomBytes(4).toString("hex")}`;
  try {
    migrated(new DatabaseSync(draft), file, now).close();
    linkSync(draft, file);
    syncFolder(path.dirname(file));
  } catch (error) {
    // Another process was first; its database stands.
    if (errorCode(error) !== "EEXIST") throw error;
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${draft}${suffix}`, { force: true });
  }
}

function migrated(db: DatabaseSync, file: string, now: number): DatabaseSync {
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;");
    migrate(db, { file, migrations: sumStoreMigrations, now });
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function hasSchema(db: DatabaseSync): boolean {
  try {
    return db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").get() !== undefined;
  } catch (error) {
    db.close();
    throw error;
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function prepare(db: DatabaseSync): Omit<Connection, "db" | "fileIds"> {
  return {
    tree: db.prepare("SELECT size, hash, note FROM trees WHERE database = ?"),
    setTree: db.prepare("INSERT OR REPLACE INTO trees (database, size, hash, note, kept_at) VALUES (?, ?, ?, ?, ?)"),
    removeTree: db.prepare("DELETE FROM trees WHERE database = ?"),
    trees: db.prepare("SELECT database, size, kept_at FROM trees ORDER BY database"),
    addFork: db.prepare(
      `INSERT INTO forks (database, ours, theirs, seen_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (database, ours, theirs) DO UPDATE SET
         seen_at = CASE WHEN settled_at IS NULL THEN seen_at ELSE excluded.seen_at END, settled_at = NULL`,
    ),
    forks: db.prepare(
      "SELECT ours, theirs, seen_at FROM forks WHERE database = ? AND settled_at IS NULL ORDER BY seen_at, ours, theirs",
    ),
    settleForks: db.prepare("UPDATE forks SET settled_at = ? WHERE database = ? AND settled_at IS NULL"),
    log: db.prepare("SELECT id, size, hash FROM logs WHERE name = ?"),
    logs: db.prepare("SELECT name, size FROM logs ORDER BY name"),
    addLog: db.prepare("INSERT INTO logs (name, size, hash) VALUES (?, 0, ?)"),
    setLog: db.prepare("UPDATE logs SET size = ?, hash = ? WHERE id = ?"),
    findRecord: db.prepare("SELECT id, text FROM records WHERE log = ? AND module_path = ? AND version = ?"),
    records: db.prepare("SELECT id, text FROM records WHERE log = ? AND id >= ? AND id < ? ORDER BY id"),
    addRecord: db.prepare("INSERT INTO records (log, id, module_path, version, text) VALUES (?, ?, ?, ?, ?)"),
    treeHash: db.prepare("SELECT hash FROM tree_hashes WHERE log = ? AND id = ?"),
    addTreeHash: db.prepare("INSERT INTO tree_hashes (log, id, hash) VALUES (?, ?, ?)"),
  };
}
