import type { DatabaseSync } from "node:sqlite";

/** All that `work` writes, or, when it throws, nothing of it. Fails as busy at once while another connection writes. */
export function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    // A failed COMMIT has rolled back by itself already.
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}
