import { existsSync, renameSync } from "node:fs";
import { access, constants, copyFile, link, open, rename, rm, stat, statfs, unlink } from "node:fs/promises";
import path from "node:path";
import { SluiceError } from "../../core/errors.ts";
import type { Blob, BlobContent, BlobKey, BlobStat, BlobStore } from "../../core/ports.ts";
import { Quarantine, type QuarantineLimits } from "../quarantine.ts";
import { Staging } from "../staging.ts";
import { errorCode, isMissing, lacksHardLinks, storageError } from "../storage-error.ts";
import { FolderSyncs, makeFolder, placeInFolder, readFolder } from "../folders.ts";
import { openDiskBlob, revisionOf } from "./disk-blob.ts";
import { checkKey, checkPrefix } from "./key.ts";

export interface DiskBlobStoreOptions {
  /** Holds the blobs under their keys and nothing else, so that it is a GOPROXY by `file://` at every moment. */
  readonly root: string;
  /** For files under way. Beside `root`, on the same file system. */
  readonly stagingDir: string;
  /** For broken files. Beside `root`, on the same file system. */
  readonly quarantineDir: string;
  readonly quarantineLimits?: QuarantineLimits;
  /** `check` fails with less free space than this. */
  readonly minFreeBytes?: number;
  /** `false` is for file systems without hard links, which is otherwise found out at the first write. */
  readonly hardLinks?: boolean;
  /**
   * Default true. `false` is for content that proves itself and can be had again: nothing is flushed, so that writing costs little, and
   * after a power failure a blob may be empty, torn or gone.
   */
  readonly durable?: boolean;
}

/** A blob, as the file system has it. */
export interface DiskFile {
  readonly key: BlobKey;
  readonly size: number;
  /** What it takes on the disk. */
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly changedAt: number;
}

export interface DiskBlobStore extends BlobStore {
  /** A new file name in the staging folder. A file made there is taken over by `create` without a copy. */
  stagingFile(): Promise<string>;
  /** A second name of a blob's file in the staging folder, for whoever may take the file over; a copy where there are no hard links. */
  borrow(key: BlobKey): Promise<{ readonly file: string; readonly size: number } | undefined>;
  /** All blobs, in any order; one that goes meanwhile is passed over. */
  files(): AsyncIterable<DiskFile>;
}

const defaultMinFreeBytes = 32 * 1024 * 1024;

/** Blobs as files. Any number of processes may use the same folders. */
export async function createDiskBlobStore(options: DiskBlobStoreOptions): Promise<DiskBlobStore> {
  const { root, stagingDir, quarantineDir } = options;
  await Promise.all([root, stagingDir, quarantineDir].map(makeWritableFolder));
  const { dev } = await stat(root);
  for (const folder of [stagingDir, quarantineDir]) {
    if ((await stat(folder)).dev === dev) continue;
    throw new SluiceError(
      "storage_failed",
      `${folder} and ${root} are on different file systems: keep the whole data folder on one`,
    );
  }
  const staging = new Staging(stagingDir);
  await staging.sweep();
  return new DiskStore(options, staging, new Quarantine(quarantineDir, options.quarantineLimits));
}

class DiskStore implements DiskBlobStore {
  readonly name: string;
  readonly #root: string;
  readonly #minFreeBytes: number;
  readonly #staging: Staging;
  readonly #quarantine: Quarantine;
  readonly #durable: boolean;
  readonly #folderSyncs = new FolderSyncs();
  #hardLinks: boolean;

  constructor(options: DiskBlobStoreOptions, staging: Staging, quarantine: Quarantine) {
    this.#root = path.resolve(options.root);
    this.#minFreeBytes = options.minFreeBytes ?? defaultMinFreeBytes;
    this.#hardLinks = options.hardLinks ?? true;
    this.#durable = options.durable ?? true;
    this.#staging = staging;
    this.#quarantine = quarantine;
    this.name = `disk:${this.#root}`;
  }

  stagingFile(): Promise<string> {
    return this.#staging.newFile();
  }

  async borrow(key: BlobKey): Promise<{ readonly file: string; readonly size: number } | undefined> {
    const source = this.#fileOf(key);
    const file = await this.#staging.newFile();
    try {
      await (this.#hardLinks ? link(source, file) : copyFile(source, file));
      return { file, size: (await stat(file)).size };
    } catch (error) {
      await rm(file, { force: true });
      if (isMissing(error)) return undefined;
      if (!this.#hardLinks || !lacksHardLinks(error)) throw storageError("read", source, error);
      this.#hardLinks = false;
      return this.borrow(key);
    }
  }

  async stat(key: BlobKey): Promise<BlobStat | undefined> {
    const file = this.#fileOf(key);
    try {
      const stats = await stat(file, { bigint: true });
      return stats.isFile() ? { size: Number(stats.size), revision: revisionOf(stats) } : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw storageError("read", file, error);
    }
  }

  async get(key: BlobKey): Promise<Blob | undefined> {
    return openDiskBlob(this.#fileOf(key));
  }

  async create(key: BlobKey, content: BlobContent): Promise<"created" | "exists"> {
    const target = this.#fileOf(key);
    // A large file is not flushed for nothing. Of others it is told by the link that fails.
    if ("file" in content && (await this.stat(key)) !== undefined) return "exists";
    let staged: string | undefined;
    try {
      staged = await this.#stage(content).catch(async (error: unknown) => {
        // What stands needs no space on a disk that is full.
        if ((await this.stat(key)) === undefined) throw error;
        return undefined;
      });
      if (staged === undefined) return "exists";
      const folders = await this.#publish(staged, target);
      if (folders === "exists") return "exists";
      await Promise.all(this.#synced(folders));
      if ("file" in content) await removeFile(content.file);
      return "created";
    } catch (error) {
      throw storageError("write", target, error);
    } finally {
      if (staged !== undefined && !("file" in content && staged === content.file)) await removeFile(staged);
    }
  }

  async replace(key: BlobKey, bytes: Uint8Array): Promise<void> {
    const target = this.#fileOf(key);
    let staged: string | undefined;
    try {
      staged = await this.#stage({ bytes });
      await placeInFolder(target, () => rename(staged ?? "", target));
    } catch (error) {
      if (staged !== undefined) await rm(staged, { force: true });
      throw storageError("write", target, error);
    }
  }

  async delete(key: BlobKey): Promise<boolean> {
    const file = this.#fileOf(key);
    try {
      await unlink(file);
      await Promise.all(this.#synced([path.dirname(file)]));
      return true;
    } catch (error) {
      // On a read-only file system, or where a folder stands, this is not told by the error.
      if ((await this.stat(key)) === undefined) return false;
      throw storageError("delete", file, error);
    }
  }

  async setAside(key: BlobKey, revision?: string): Promise<boolean> {
    const file = this.#fileOf(key);
    const found = await this.stat(key);
    if (found === undefined || (revision !== undefined && found.revision !== revision)) return false;
    try {
      await this.#quarantine.take(file, key);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      // It must leave the store even when the quarantine has no room for it.
      if (["ENOSPC", "EDQUOT"].includes(errorCode(error) ?? "")) return this.delete(key);
      throw storageError("set aside", file, error);
    }
  }

  async *list(prefix: string): AsyncGenerator<BlobKey> {
    checkPrefix(prefix);
    yield* this.#walk(prefix);
  }

  async *files(): AsyncGenerator<DiskFile> {
    for await (const key of this.#walk("")) {
      try {
        const { size, blocks, ctimeMs } = await stat(this.#fileOf(key));
        yield { key, size, bytes: blocks * 512, changedAt: ctimeMs };
      } catch (error) {
        if (!isMissing(error)) throw storageError("read", this.#fileOf(key), error);
      }
    }
  }

  async check(): Promise<void> {
    try {
      await access(this.#root, constants.R_OK | constants.W_OK | constants.X_OK);
      await this.#probe();
      const { bavail, bsize, files, ffree } = await statfs(this.#root);
      const freeBytes = bavail * bsize;
      if (freeBytes < this.#minFreeBytes)
        throw new Error(`only ${Math.floor(freeBytes / 2 ** 20)} MiB are free there: free some space`);
      if (files > 0 && ffree === 0) throw new Error("the file system has no inodes left: delete some files");
    } catch (error) {
      throw storageError("write", this.#root, error);
    }
  }

  async close(): Promise<void> {
    return undefined;
  }

  #fileOf(key: BlobKey): string {
    checkKey(key);
    return path.join(this.#root, key);
  }

  #synced(folders: readonly string[]): Promise<void>[] {
    return this.#durable ? folders.map((folder) => this.#folderSyncs.sync(folder)) : [];
  }

  /** A complete file, on the disk surface where that is wanted, that `#publish` can give its final name. */
  async #stage(content: BlobContent): Promise<string> {
    if ("file" in content) {
      const staged = (await this.#isOnOurFileSystem(content.file)) ? content.file : await this.#copy(content.file);
      const handle = await open(staged, "r+");
      try {
        const { size } = await handle.stat();
        if (size !== content.size) throw new Error(`${content.file} has ${size} bytes instead of ${content.size}`);
        if (this.#durable) await handle.datasync();
      } finally {
        await handle.close();
      }
      return staged;
    }
    const staged = this.#staging.newName();
    try {
      await placeInFolder(staged, () => writeNew(staged, content.bytes, this.#durable));
      return staged;
    } catch (error) {
      await removeFile(staged);
      throw error;
    }
  }

  /** Answers the folders that got a new entry. The staged file may keep its own name. */
  async #publish(staged: string, target: string): Promise<readonly string[] | "exists"> {
    try {
      return await placeInFolder(target, () =>
        this.#hardLinks ? link(staged, target) : renameUnlessExists(staged, target),
      );
    } catch (error) {
      if (errorCode(error) === "EEXIST") return "exists";
      if (!this.#hardLinks || !lacksHardLinks(error)) throw error;
      this.#hardLinks = false;
      return this.#publish(staged, target);
    }
  }

  async #isOnOurFileSystem(file: string): Promise<boolean> {
    return (await stat(file)).dev === (await stat(this.#root)).dev;
  }

  async #copy(file: string): Promise<string> {
    const copy = await this.#staging.newFile();
    try {
      await copyFile(file, copy);
      return copy;
    } catch (error) {
      await rm(copy, { force: true });
      throw error;
    }
  }

  async *#walk(prefix: string): AsyncGenerator<BlobKey> {
    const folder = path.join(this.#root, prefix);
    for (const entry of await readFolder(folder)) {
      const key = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) yield* this.#walk(key);
      else if (entry.isFile() || (entry.isSymbolicLink() && (await this.stat(key)) !== undefined)) yield key;
    }
  }

  async #probe(): Promise<void> {
    const probe = await this.#staging.newFile();
    try {
      await writeNew(probe, Buffer.alloc(4096), this.#durable);
    } finally {
      await rm(probe, { force: true });
    }
  }
}

/**
 * Where hard links are missing there is no way to take a name only if it is free. Nothing runs between these two calls in this
 * process; of two processes at the very same moment the later wins, and the earlier finds out by the recorded hash.
 */
function renameUnlessExists(staged: string, target: string): void {
  if (existsSync(target)) throw Object.assign(new Error(`${target} exists`), { code: "EEXIST" });
  renameSync(staged, target);
}

async function writeNew(file: string, bytes: Uint8Array, durable: boolean): Promise<void> {
  const handle = await open(file, "wx", 0o644);
  try {
    await handle.writeFile(bytes);
    if (durable) await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** With one system call, where `rm` looks first. */
async function removeFile(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function makeWritableFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw storageError("use the folder", folder, error);
  }
}
