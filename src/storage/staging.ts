import { randomBytes } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import { makeFolder } from "./folders.ts";
import { isMissing, storageError } from "./storage-error.ts";

/** A staging file of a process on another host, or whose number another process has now, is stale when it was not written to for so long. */
const staleAfterMs = 3_600_000;

/**
 * The folder where files are written before they get their final name. Each name tells which process it belongs to, so that
 * several processes can share the folder and each can clear away what a killed one left behind.
 */
export class Staging {
  readonly folder: string;
  readonly #owner = `${hostLabel()}~${process.pid}~${randomBytes(6).toString("hex")}`;
  #count = 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** A name nobody else has or gets. The file is not there yet. */
  async newFile(): Promise<string> {
    try {
      await makeFolder(this.folder);
    } catch (error) {
      throw storageError("create the folder", this.folder, error);
    }
    return this.newName();
  }

  /** The same, but the folder may be missing. */
  newName(): string {
    return path.join(this.folder, `${this.#owner}~${++this.#count}.part`);
  }

  /** Removes what processes that are gone left behind. Answers how many files that were. */
  async sweep(): Promise<number> {
    try {
      await makeFolder(this.folder);
      const names = await readdir(this.folder);
      const swept = await Promise.all(names.map((name) => this.#sweepFile(name)));
      return swept.filter(Boolean).length;
    } catch (error) {
      throw storageError("clear", this.folder, error);
    }
  }

  async #sweepFile(name: string): Promise<boolean> {
    const parsed = /^(?<host>[^~]+)~(?<pid>\d+)~(?<run>[0-9a-f]{12})~\d+\.part$/.exec(name)?.groups;
    if (parsed === undefined || name.startsWith(`${this.#owner}~`)) return false;
    const file = path.join(this.folder, name);
    const isDead = parsed["host"] === hostLabel() && !isRunning(Number(parsed["pid"]));
    if (!isDead && !(await isOld(file))) return false;
    await rm(file, { force: true });
    return true;
  }
}

/** Another process cannot have our own number: a file with it is from an earlier run, as of a container's process 1. */
function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function isOld(file: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(file)).mtimeMs > staleAfterMs;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function hostLabel(): string {
  return hostname().replaceAll(/[^A-Za-z0-9.-]/g, "_") || "localhost";
}
