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

/** Makes new names in the folder survive a power failure, where the file system lets a folder be synced at all. */
export async function syncFolder(folder: string): Promise<void> {
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
