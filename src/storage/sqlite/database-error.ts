import { SluiceError } from "../../core/errors.ts";

// Primary result codes of sqlite.org/rescode.html; extended ones carry them in the low byte.
const busy = 5;
const locked = 6;
const corrupt = 11;
const notADatabase = 26;

const advice: Readonly<Record<number, string>> = {
  3: "permission denied: let the user Sluice runs as read and write the file and its folder",
  5: "another process holds the write lock: look for a stuck Sluice or an open sqlite3 shell",
  6: "another process holds the write lock: look for a stuck Sluice or an open sqlite3 shell",
  8: "it cannot be written: check its permissions and whether the file system is mounted read-only",
  10: "the disk reports I/O errors: check the disk",
  13: "no space is left there: free some",
  14: "it cannot be opened: check that its folder exists and may be written",
};

export interface NamedDatabase {
  /** With its article, such as `the ledger`. */
  readonly what: string;
  readonly file: string;
}

/** Another connection is writing; the same thing will work in a moment. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === busy || code === locked;
}

/** The file is no database, or no longer a sound one. */
export function isCorrupt(error: unknown): boolean {
  const code = resultCode(error);
  return code === corrupt || code === notADatabase;
}

/** What went wrong with a database for whoever runs Sluice: which operation, on what, why, and what to do. */
export function databaseError(operation: string, { what, file }: NamedDatabase, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const code = resultCode(cause);
  const reason =
    (code === undefined ? undefined : advice[code]) ?? (cause instanceof Error ? cause.message : String(cause));
  return new SluiceError("storage_failed", `cannot ${operation} ${what} ${JSON.stringify(file)}: ${reason}`, {
    cause,
    details: { operation, path: file, sqlite: code },
    retryAfterSeconds: 10,
  });
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}
