import type { H1 } from "../../protocol/brand.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, Clock, FileFacts, Freshness, Ledger, UnverifiedFile } from "../../core/ports.ts";
import type { PostgresDatabase } from "../postgres/database.ts";
import type { Statements } from "../postgres/pool.ts";
import { postgresError } from "../postgres/problem.ts";
import { applyWrite, type LedgerWrite, type WriteOutcome } from "./postgres-writes.ts";
import { toFacts, toFreshness, toUnverified } from "./rows.ts";
import { WaitingUses } from "./waiting-uses.ts";

export interface PostgresLedgerOptions {
  readonly database: PostgresDatabase;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a use may wait in memory before it is written. */
  readonly flushIntervalMs?: number;
}

const pageRows = 500;

/**
 * A ledger in PostgreSQL, which many nodes share. While the database is not there everything fails with `storage_failed`: see
 * `TieredLedger` for what nodes do then. Of freshness the latest confirmation stands, whoever is last to tell.
 */
export class PostgresLedger implements Ledger {
  readonly name: string;
  readonly #database: PostgresDatabase;
  readonly #uses: WaitingUses;

  constructor(options: PostgresLedgerOptions) {
    const { database, events } = options;
    this.#database = database;
    this.name = database.name;
    this.#uses = new WaitingUses({
      ...options,
      write: (uses) => database.write((sql) => writeUses(sql, uses)),
      onFailure: (cause) => {
        // Of an outage the database itself has told.
        if (!database.isUp) return;
        const error = postgresError("write", database.name, cause);
        events.emit({ type: "store_failed", store: database.name, operation: "record uses", error });
      },
    });
  }

  facts(key: BlobKey): Promise<FileFacts | undefined> {
    return this.#database.read(async (sql) => toFacts((await sql`SELECT * FROM sluice_facts WHERE key = ${key}`)[0]));
  }

  async addFacts(facts: FileFacts): Promise<FileFacts> {
    return (await this.#apply({ kind: "addFacts", facts })).standing ?? facts;
  }

  async removeFacts(key: BlobKey, sha256?: string): Promise<boolean> {
    this.#uses.delete(key);
    return (await this.#apply({ kind: "removeFacts", key, sha256 })).isChanged;
  }

  freshness(key: BlobKey): Promise<Freshness | undefined> {
    return this.#database.read(async (sql) =>
      toFreshness((await sql`SELECT * FROM sluice_freshness WHERE key = ${key}`)[0]),
    );
  }

  async setFreshness({ key, sha256, source, checkedAt }: Freshness): Promise<void> {
    await this.#apply({ kind: "setFreshness", freshness: { key, sha256, source, checkedAt } });
  }

  async removeFreshness(key: BlobKey): Promise<boolean> {
    return (await this.#apply({ kind: "removeFreshness", key })).isChanged;
  }

  touch(key: BlobKey, usedAt: number): void {
    this.#uses.touch(key, usedAt);
  }

  async lastUsed(key: BlobKey): Promise<number | undefined> {
    const [row] = await this.#database.read((sql) => sql`SELECT used_at FROM sluice_uses WHERE key = ${key}`);
    const usedAt = Math.max(Number(row?.["used_at"] ?? -1), this.#uses.get(key) ?? -1);
    return usedAt < 0 ? undefined : usedAt;
  }

  async *listFacts(prefix: string): AsyncGenerator<FileFacts> {
    let from = prefix;
    for (let isFirst = true; ; isFirst = false) {
      const rows = await this.#database.read(
        (sql) => sql`
          SELECT * FROM sluice_facts WHERE key > ${from} OR (${isFirst}::boolean AND key = ${from})
          ORDER BY key LIMIT ${pageRows}`,
      );
      for (const row of rows) {
        const facts = toFacts(row);
        if (facts === undefined || !facts.key.startsWith(prefix)) return;
        yield facts;
        from = facts.key;
      }
      if (rows.length < pageRows) return;
    }
  }

  async addUnverified(file: UnverifiedFile): Promise<void> {
    await this.#apply({ kind: "addUnverified", file });
  }

  unverified(key: BlobKey): Promise<UnverifiedFile | undefined> {
    return this.#database.read(async (sql) => {
      const [row] = await sql`SELECT * FROM sluice_unverified WHERE key = ${key}`;
      return row && toUnverified(row);
    });
  }

  async removeUnverified(key: BlobKey, h1?: H1): Promise<boolean> {
    return (await this.#apply({ kind: "removeUnverified", key, h1 })).isChanged;
  }

  listUnverified(after: BlobKey, limit: number): Promise<UnverifiedFile[]> {
    return this.#database.read(async (sql) => {
      const rows = await sql`SELECT * FROM sluice_unverified WHERE key > ${after} ORDER BY key LIMIT ${limit}`;
      return rows.map(toUnverified);
    });
  }

  countUnverified(): Promise<number> {
    return this.#database.read(async (sql) =>
      Number((await sql`SELECT count(*) AS files FROM sluice_unverified`)[0]?.["files"]),
    );
  }

  /**
   * Does writes one after the other in one transaction. `take` is asked for them once nobody else is at those of the same
   * `queue`, so that two processes with one queue keep its order; it answers none when there are none.
   */
  applyQueued(queue: string, take: () => readonly LedgerWrite[]): Promise<readonly WriteOutcome[]> {
    return this.#database.write(async (sql) => {
      await sql`SELECT pg_advisory_xact_lock(hashtextextended(${queue}, 7))`;
      return Promise.all(take().map((write) => applyWrite(sql, write)));
    });
  }

  async check(): Promise<void> {
    await this.#database.write((sql) => sql`DELETE FROM sluice_uses WHERE FALSE`);
  }

  /** Closes the database, too. */
  async close(): Promise<void> {
    await this.#uses.close();
    await this.#database.close();
  }

  #apply(write: LedgerWrite): Promise<WriteOutcome> {
    return this.#database.write((sql) => applyWrite(sql, write));
  }
}

async function writeUses(sql: Statements, uses: ReadonlyMap<BlobKey, number>): Promise<void> {
  // In one order, so that nodes with the same keys do not wait for each other in a circle.
  const inOrder = [...uses].sort(([a], [b]) => (a < b ? -1 : 1));
  await sql`
    INSERT INTO sluice_uses (key, used_at)
    SELECT * FROM unnest(${inOrder.map(([key]) => key)}::text[], ${inOrder.map(([, usedAt]) => usedAt)}::bigint[])
    ON CONFLICT (key) DO UPDATE SET used_at = excluded.used_at WHERE sluice_uses.used_at < excluded.used_at`;
}
