import { DatabaseSync } from "node:sqlite";
import type { BlobKey, FileFacts } from "../../core/ports.ts";
import { databaseError } from "../sqlite/database-error.ts";
import { toFacts } from "./rows.ts";

/** Facts of a ledger that somebody else writes. */
export interface FactReader {
  facts(key: BlobKey): FileFacts | undefined;
  close(): void;
}

/** Reads a ledger beside a Sluice that runs: nothing is written. Fails with `storage_failed`. */
export function openFactReader(file: string): FactReader {
  return reading(file, () => {
    const db = new DatabaseSync(file, { readOnly: true });
    const statement = db.prepare("SELECT * FROM facts WHERE key = ?");
    return {
      facts: (key) => reading(file, () => toFacts(statement.get(key))),
      close: () => db.close(),
    };
  });
}

function reading<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw databaseError("read", { what: "the ledger", file }, error);
  }
}
