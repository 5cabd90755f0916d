import { Buffer } from "node:buffer";
import type { LogTree, NewLogRecord } from "../../core/ports.ts";
import { parseModulePath, parseVersion } from "../../protocol/module/index.ts";
import { emptyTreeHash } from "../../protocol/sumdb/index.ts";
import type { PostgresDatabase } from "../postgres/database.ts";
import type { Statements } from "../postgres/pool.ts";

/** One log as it is committed, with nobody else appending to it until the transaction ends. */
export interface LockedLog {
  readonly tree: LogTree;
  /** In order, from `start` (inclusive) to the end. */
  records(start: number): AsyncIterable<readonly NewLogRecord[]>;
  /** Those that come behind the ones that are there, and the tree with them. */
  append(records: readonly NewLogRecord[], tree: LogTree): Promise<void>;
}

const pageRecords = 1000;

/**
 * Our own logs in PostgreSQL: their records in order and the tree over all of them. What follows from the records (the hashes
 * within the tree) each node makes itself.
 */
export class PostgresLogs {
  readonly name: string;
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
    this.name = database.name;
  }

  get isUp(): boolean {
    return this.#database.isUp;
  }

  /** As it is committed. For what somebody waits for. */
  tree(log: string): Promise<LogTree> {
    return this.#database.read(async (sql) => (await headOf(sql, log)).tree);
  }

  /** In order, from `start` (inclusive) to `end` (exclusive), page by page. */
  async *records(log: string, start: number, end: number): AsyncGenerator<readonly NewLogRecord[]> {
    for (let next = start; next < end;) {
      const page = await this.#database.read(async (sql) =>
        recordsOf(sql, await headOf(sql, log), { start: next, end }),
      );
      yield page;
      next += page.length;
    }
  }

  /** One caller at a time, over all nodes. On the disk when it resolves; what `work` appends is there as a whole or not at all. */
  locked<T>(log: string, work: (locked: LockedLog) => Promise<T>): Promise<T> {
    return this.#database.write(async (sql) => {
      // Whatever the server's default is: what is answered once must never be lost.
      await sql`SET LOCAL synchronous_commit = on`;
      await sql`INSERT INTO sluice_logs (name, size, hash) VALUES (${log}, 0, ${Buffer.from(emptyTreeHash)}) ON CONFLICT (name) DO NOTHING`;
      const head = await headOf(sql, log, "locked");
      return work({
        tree: head.tree,
        async *records(start) {
          for (let next = start; next < head.tree.size;) {
            const page = await recordsOf(sql, head, { start: next, end: head.tree.size });
            yield page;
            next += page.length;
          }
        },
        append: (records, tree) => append(sql, head, { records, tree }),
      });
    });
  }
}

interface Head {
  readonly id: number | undefined;
  readonly tree: LogTree;
}

async function headOf(sql: Statements, log: string, lock?: "locked"): Promise<Head> {
  const [row] =
    lock === undefined
      ? await sql`SELECT id, size, hash FROM sluice_logs WHERE name = ${log}`
      : await sql`SELECT id, size, hash FROM sluice_logs WHERE name = ${log} FOR UPDATE`;
  if (row === undefined) return { id: undefined, tree: { size: 0, hash: emptyTreeHash } };
  return { id: Number(row["id"]), tree: { size: Number(row["size"]), hash: bytesOf(row["hash"]) } };
}

/** At most a page. */
async function recordsOf(
  sql: Statements,
  { id = null }: { readonly id?: number | null | undefined },
  { start, end }: { readonly start: number; readonly end: number },
): Promise<NewLogRecord[]> {
  const last = Math.min(end, start + pageRecords);
  const rows = await sql`
    SELECT module_path, version, text FROM sluice_log_records WHERE log = ${id} AND id >= ${start} AND id < ${last} ORDER BY id`;
  if (rows.length !== last - start) throw new Error(`it has not all of the records ${start} to ${last - 1}`);
  return rows.map((row) => ({
    modulePath: parseModulePath(String(row["module_path"])),
    version: parseVersion(String(row["version"])),
    text: String(row["text"]),
  }));
}

async function append(
  sql: Statements,
  head: Head,
  { records, tree }: { readonly records: readonly NewLogRecord[]; readonly tree: LogTree },
): Promise<void> {
  const { id, tree: before } = head;
  if (id === undefined) throw new Error("the log is not locked");
  for (let start = 0; start < records.length; start += pageRecords) {
    const page = records.slice(start, start + pageRecords);
    await sql`
      INSERT INTO sluice_log_records (log, id, module_path, version, text)
      SELECT ${id}, ${before.size + start} + place - 1, module_path, version, text
      FROM unnest(
        ${page.map(({ modulePath }) => String(modulePath))}::text[],
        ${page.map(({ version }) => String(version))}::text[],
        ${page.map(({ text }) => text)}::text[]
      ) WITH ORDINALITY AS new (module_path, version, text, place)`;
  }
  await sql`UPDATE sluice_logs SET size = ${tree.size}, hash = ${Buffer.from(tree.hash)} WHERE id = ${id}`;
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw new TypeError("a value that must be bytes is none");
}
