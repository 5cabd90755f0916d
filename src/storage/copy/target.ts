import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Events } from "../../core/events.ts";
import type { BlobStore, Clock, Ledger, ModuleStore, ZipVerifier } from "../../core/ports.ts";
import { createDiskBlobStore } from "../blob/disk.ts";
import { openS3BlobStore } from "../blob/s3.ts";
import type { S3BucketOptions } from "../blob/s3-bucket.ts";
import { openSqliteLedger } from "../ledger/sqlite.ts";
import { openLocalStore } from "../local-store.ts";
import { createModuleStore } from "../module-store.ts";
import { Staging } from "../staging.ts";
import { errorCode, isMissing, storageError } from "../storage-error.ts";

/** Where modules are copied to. */
export interface Target {
  /** Printable. */
  readonly name: string;
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  /** Over both. */
  readonly store: ModuleStore;
  /** A Sluice keeps its lists up to date. */
  readonly isManaged: boolean;
  close(): Promise<void>;
}

export interface TargetParts {
  readonly verifier: ZipVerifier;
  readonly events: Events;
  readonly clock: Clock;
}

/** Nothing is served from here, so nothing is worth holding in memory. */
const memory = { memoryBytes: 0, wholeFileLimitBytes: 0 };

/** A data folder of Sluice, made where it is missing. One may run there. */
export async function openDataFolderTarget(folder: string, parts: TargetParts): Promise<Target> {
  const { blobs, ledger, stagingFile } = await openLocalStore(folder, parts);
  const store = createModuleStore({ ...parts, ...memory, blobs, ledger, stagingFile });
  return { name: folder, blobs, ledger, store, isManaged: true, close: () => store.close() };
}

/** A folder in the layout of a module cache's `cache/download`. Files under way stand beside the modules, and what was found broken. */
export async function openDownloadFolderTarget(folder: string, parts: TargetParts): Promise<Target> {
  const work = path.join(folder, ".sluice");
  const blobs = await createDiskBlobStore({
    root: folder,
    stagingDir: path.join(work, "staging"),
    quarantineDir: path.join(work, "quarantine"),
  });
  const ledger = await openSqliteLedger({ ...parts, file: ":memory:" });
  const store = createModuleStore({ ...parts, ...memory, blobs, ledger, stagingFile: () => blobs.stagingFile() });
  const close = async (): Promise<void> => {
    await store.close();
    for (const name of ["staging", "quarantine", "."]) await removeIfEmpty(path.join(work, name));
  };
  return { name: folder, blobs, ledger, store, isManaged: false, close };
}

/** A bucket of Sluice. What is known of its files stands in the ledgers of those who use it, which find it out as they read. */
export async function openBucketTarget(options: S3BucketOptions, parts: TargetParts): Promise<Target> {
  const blobs = await openS3BlobStore({ ...options, events: parts.events });
  await blobs.check();
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-copy-"));
  const staging = new Staging(folder);
  const ledger = await openSqliteLedger({ ...parts, file: ":memory:" });
  const store = createModuleStore({ ...parts, ...memory, blobs, ledger, stagingFile: () => staging.newFile() });
  const close = async (): Promise<void> => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { name: blobs.name, blobs, ledger, store, isManaged: true, close };
}

/** Whether a folder is written in the layout of a module cache: one that has modules at its top, or is named like one. */
export async function isDownloadFolder(folder: string): Promise<boolean> {
  if (existsSync(path.join(folder, "modules")) || existsSync(path.join(folder, "ledger.db"))) return false;
  if (path.resolve(folder).endsWith(path.join("cache", "download"))) return true;
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.some((entry) => entry.isDirectory() && /^[^.]+\../.test(entry.name));
  } catch (error) {
    if (isMissing(error)) return false;
    throw storageError("read", folder, error);
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (errorCode(error) !== "ENOTEMPTY" && !isMissing(error)) throw storageError("delete", folder, error);
  }
}
