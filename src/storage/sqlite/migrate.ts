import type { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../../core/errors.ts";
import { inTransaction } from "./transaction.ts";

export interface MigrationOptions {
  /** For messages. */
  readonly file: string;
  /** SQL; each brings the schema one version further. */
  readonly migrations: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Brings the schema up to date; several processes may do this at the same time. Answers whether the database was empty. */
export function migrate(db: DatabaseSync, { file, migrations, now }: MigrationOptions): boolean {
  return inTransaction(db, () => {
    db.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT");
    const row = db.prepare("SELECT coalesce(max(version), 0) AS version FROM migrations").get();
    const version = Number(row?.["version"]);
    if (version > migrations.length) {
      throw new SluiceError(
        "storage_failed",
        `${file} was written by a newer Sluice (schema ${version}, this one knows ${migrations.length}): run that one, or move the file away`,
      );
    }
    for (const [index, sql] of migrations.entries()) {
      if (index < version) continue;
      db.exec(sql);
      db.prepare("INSERT INTO migrations (version, applied_at) VALUES (?, ?)").run(index + 1, now);
    }
    return version === 0;
  });
}
