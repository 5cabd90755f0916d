import { rename } from "node:fs/promises";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fileIdOf } from "../sqlite/file-id.ts";
import { migrate } from "../sqlite/migrate.ts";
import { isMissing } from "../storage-error.ts";
import { ledgerMigrations } from "./schema.ts";

/** How long SQLite itself may wait for a lock. It waits on the main thread, so the long waits are the ledger's. */
const lockTimeoutMs = 20;

/** One open database with its statements. */
export interface Connection {
  readonly db: DatabaseSync;
  /** This connection made the database. */
  readonly isNew: boolean;
  /** Which file this is, to notice that it was moved or deleted since. Undefined for a database in memory. */
  readonly fileId: string | undefined;
  readonly facts: StatementSync;
  readonly addFacts: StatementSync;
  readonly removeFacts: StatementSync;
  readonly listFacts: StatementSync;
  readonly freshness: StatementSync;
  readonly setFreshness: StatementSync;
  readonly removeFreshness: StatementSync;
  readonly lastUsed: StatementSync;
  readonly setUsed: StatementSync;
  readonly removeUsed: StatementSync;
  readonly addUnverified: StatementSync;
  readonly unverified: StatementSync;
  readonly removeUnverified: StatementSync;
  readonly listUnverified: StatementSync;
  readonly countUnverified: StatementSync;
}

/** Opens or makes the database and brings its schema up to date. */
export function connect(file: string, now: number): Connection {
  const db = new DatabaseSync(file, { timeout: lockTimeoutMs });
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    const isNew = migrate(db, { file, migrations: ledgerMigrations, now });
    return {
      db,
      isNew,
      fileId: fileIdOf(file),
      facts: db.prepare("SELECT * FROM facts WHERE key = ?"),
      addFacts: db.prepare(
        `INSERT INTO facts (key, size, sha256, h1, source, first_seen_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
      ),
      removeFacts: db.prepare("DELETE FROM facts WHERE key = ?1 AND (?2 IS NULL OR sha256 = ?2)"),
      listFacts: db.prepare("SELECT * FROM facts WHERE key > ?1 OR (key = ?1 AND ?2) ORDER BY key LIMIT ?3"),
      freshness: db.prepare("SELECT * FROM freshness WHERE key = ?"),
      setFreshness: db.prepare(
        `INSERT INTO freshness (key, sha256, source, checked_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET
           previous_sha256 = CASE WHEN sha256 = excluded.sha256 THEN previous_sha256 ELSE sha256 END,
           sha256 = excluded.sha256, source = excluded.source, checked_at = excluded.checked_at`,
      ),
      removeFreshness: db.prepare("DELETE FROM freshness WHERE key = ?"),
      lastUsed: db.prepare("SELECT used_at FROM uses WHERE key = ?"),
      setUsed: db.prepare(
        `INSERT INTO uses (key, used_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET used_at = max(used_at, excluded.used_at)`,
      ),
      removeUsed: db.prepare("DELETE FROM uses WHERE key = ?"),
      addUnverified: db.prepare("INSERT OR REPLACE INTO unverified (key, h1, reason, since) VALUES (?, ?, ?, ?)"),
      unverified: db.prepare("SELECT * FROM unverified WHERE key = ?"),
      removeUnverified: db.prepare("DELETE FROM unverified WHERE key = ?1 AND (?2 IS NULL OR h1 = ?2)"),
      listUnverified: db.prepare("SELECT * FROM unverified WHERE key > ? ORDER BY key LIMIT ?"),
      countUnverified: db.prepare("SELECT count(*) AS files FROM unverified"),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Renames the database with its write-ahead log, so that a new one can be made. Answers the new name. */
export async function moveDatabaseAside(file: string, now: number): Promise<string> {
  const aside = `${file}.corrupt-${new Date(now).toISOString().replaceAll(":", "-")}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      await rename(`${file}${suffix}`, `${aside}${suffix}`);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return aside;
}
