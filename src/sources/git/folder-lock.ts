import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A folder that no other process works in. */
export interface LockedFolder {
  readonly folder: string;
  /** Whether it could be locked. A disk that does not let us is told by those who write there. */
  readonly isLocked: boolean;
  release(): void;
}

const maxProcesses = 1_000;
const busy = 5;

/**
 * `git`, or `git-2`, `git-3` and so on where other processes have the ones before. SQLite's lock of a file that is never written is one
 * of the operating system, which takes it from a process that is killed.
 */
export function lockFolder(wanted: string): LockedFolder {
  for (let number = 1; number <= maxProcesses; number += 1) {
    const folder = number === 1 ? wanted : `${wanted}-${number}`;
    try {
      mkdirSync(folder, { recursive: true });
      const database = lock(join(folder, "lock"));
      return { folder, isLocked: true, release: () => database.close() };
    } catch (error) {
      if (error instanceof Error && "errcode" in error && error.errcode === busy) continue;
      return { folder, isLocked: false, release: () => undefined };
    }
  }
  return { folder: wanted, isLocked: false, release: () => undefined };
}

function lock(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
