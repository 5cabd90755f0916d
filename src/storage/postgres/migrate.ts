import { SluiceError } from "../../core/errors.ts";
import type { Sql, Statements } from "./pool.ts";

export interface PostgresMigrationOptions {
  /** For messages. */
  readonly database: string;
  /** SQL; each brings the schema one version further. */
  readonly migrations: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Of Sluice's advisory locks, the one for its schema. */
const lockKey = 7_101_221_501;

/**
 * Brings the schema up to date, in one transaction; of several nodes that do so at the same time, one does. Where nothing is
 * to be done nothing is written, so that a user without the right to make tables will do. `storage_failed` for the schema of a newer Sluice.
 */
export async function migratePostgres(sql: Sql, options: PostgresMigrationOptions): Promise<void> {
  if (await isCurrent(sql, options)) return;
  await sql.begin(async (transaction) => {
    await transaction`SET LOCAL statement_timeout = 0`;
    await transaction`SELECT pg_advisory_xact_lock(${lockKey})`;
    if (await isCurrent(transaction, options)) return;
    await transaction`CREATE TABLE IF NOT EXISTS sluice_migrations (version integer PRIMARY KEY, applied_at bigint NOT NULL)`;
    const version = await versionOf(transaction);
    for (const [index, migration] of options.migrations.entries()) {
      if (index < version) continue;
      await transaction.unsafe(migration);
      await transaction`INSERT INTO sluice_migrations (version, applied_at) VALUES (${index + 1}, ${options.now})`;
    }
  });
}

async function isCurrent(sql: Statements, { database, migrations }: PostgresMigrationOptions): Promise<boolean> {
  const [found] = await sql`SELECT to_regclass('sluice_migrations') IS NOT NULL AS is_there`;
  if (found?.["is_there"] !== true) return false;
  const version = await versionOf(sql);
  if (version > migrations.length) {
    throw new SluiceError(
      "storage_failed",
      `${database} was set up by a newer Sluice (schema ${version}, this one knows ${migrations.length}): run that one, or name another database`,
      { details: { schema: version } },
    );
  }
  return version === migrations.length;
}

async function versionOf(sql: Statements): Promise<number> {
  const [row] = await sql`SELECT coalesce(max(version), 0) AS version FROM sluice_migrations`;
  return Number(row?.["version"]);
}
