import { SluiceError } from "../core/errors.ts";

const advice: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left there: free some",
  EDQUOT: "the disk quota is used up: raise it, or free some space",
  EACCES: `permission denied: let the user Sluice runs as (${whoRuns()}) read and write there`,
  EPERM: `not permitted: let the user Sluice runs as (${whoRuns()}) read and write there, and check for immutable files`,
  EROFS: "it is on a read-only file system: mount it writable, or use another data folder",
  EIO: "the disk reports I/O errors: check the disk",
  EMFILE: "too many files are open: raise the limit of open files (ulimit -n)",
  ENFILE: "too many files are open on this machine: raise its limit",
  ENOTDIR: "a file stands where a folder must be: move it away",
  EISDIR: "a folder stands where a file must be: move it away",
  ENAMETOOLONG: "the name is too long for this file system",
  EXDEV: "it is on another file system than the rest of the store: keep the data folder on one",
};
const noHardLinks: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** What a failing file system means for whoever runs Sluice: which operation, on what, why, and what to do. */
export function storageError(operation: string, path: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const code = errorCode(cause);
  const reason =
    (code === undefined ? undefined : advice[code]) ?? (cause instanceof Error ? cause.message : String(cause));
  const suffix = code === undefined ? "" : ` (${code})`;
  return new SluiceError("storage_failed", `cannot ${operation} ${JSON.stringify(path)}: ${reason}${suffix}`, {
    cause,
    details: { operation, path, errno: code },
    retryAfterSeconds: 10,
  });
}

/** Such as `ENOENT`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The file system has no hard links, or no more of this file. */
export function lacksHardLinks(error: unknown): boolean {
  return noHardLinks.has(errorCode(error));
}

/** There is no such file; also when its name could not even exist. */
export function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

function whoRuns(): string {
  return `uid ${process.getuid?.() ?? "unknown"}`;
}
