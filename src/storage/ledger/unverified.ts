import { DatabaseSync } from "node:sqlite";
import type { UnverifiedFile } from "../../core/ports.ts";
import { parseH1 } from "../../protocol/zip/index.ts";
import { databaseError } from "../sqlite/database-error.ts";

/**
 * The files that a ledger calls unverified, read beside a Sluice that runs: nothing is written, and a broken ledger is left as
 * it is. At most `limit`, in byte order of keys, and how many there are. Fails with `storage_failed`.
 */
export function readUnverified(
  file: string,
  limit: number,
): { readonly files: readonly UnverifiedFile[]; readonly count: number } {
  try {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      const rows = db.prepare("SELECT key, h1, reason, since FROM unverified ORDER BY key LIMIT ?").all(limit);
      const files = rows.map((row) => ({
        key: String(row["key"]),
        h1: parseH1(String(row["h1"])),
        reason: String(row["reason"]),
        since: Number(row["since"]),
      }));
      return { files, count: Number(db.prepare("SELECT count(*) AS files FROM unverified").get()?.["files"]) };
    } finally {
      db.close();
    }
  } catch (error) {
    throw databaseError("read", { what: "the ledger", file }, error);
  }
}
