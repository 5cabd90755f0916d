import { access, constants, mkdir, open, readdir } from "node:fs/promises";
import path from "node:path";
import { errorCode, isMissing, storageError } from "./storage-error.ts";

/** Makes the folder with all above it. Answers the topmost that was made. */
export async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await mkdir(folder, { recursive: true });
  } catch (error) {
    // Node says ENOENT where the file system above is read-only.
    if (errorCode(error) === "ENOENT") await checkWritableAbove(folder);
    throw error;
  }
}

/** Runs `place`, which makes the file `target`, with the folder it needs. Answers the folders that got a new entry. */
export async function placeInFolder(target: string, place: () => Promise<void> | void): Promise<string[]> {
  const folder = path.dirname(target);
  try {
    await place();
    return [folder];
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  const topmost = await makeFolder(folder);
  await place();
  const folders = [folder];
  if (topmost === undefined) return folders;
  for (let made = folder; made !== path.dirname(topmost) && made !== path.dirname(made);) {
    made = path.dirname(made);
    folders.push(made);
  }
  return folders;
}

interface SyncTurn {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

/** Makes new names in folders survive a power failure. Of all who ask while a folder is synced, the next sync is one for all. */
export class FolderSyncs {
  readonly #turns = new Map<string, SyncTurn>();

  /** Covers what was in the folder when it was called: a sync that began before may have missed it. */
  sync(folder: string): Promise<void> {
    const turn = this.#turns.get(folder);
    if (turn === undefined) return this.#start(folder);
    const start = (): Promise<void> => this.#start(folder);
    return (turn.next ??= turn.running.then(start, start));
  }

  #start(folder: string): Promise<void> {
    const turn: SyncTurn = { running: syncFolder(folder), next: undefined };
    this.#turns.set(folder, turn);
    const end = (): void => {
      if (turn.next === undefined) this.#turns.delete(folder);
    };
    turn.running.then(end, end);
    return turn.running;
  }
}

/** Where the file system lets a folder be synced at all. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EISDIR", "EPERM", "ENOENT"].includes(errorCode(error) ?? "")) throw error;
  }
}

async function checkWritableAbove(folder: string): Promise<void> {
  const above = path.dirname(folder);
  if (above === folder) return;
  try {
    await access(above, constants.W_OK);
  } catch (error) {
    if (!isMissing(error)) throw error;
    await checkWritableAbove(above);
  }
}

/** What stands in it; nothing where there is no such folder. */
export async function readFolder(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw storageError("read", folder, error);
  }
}
