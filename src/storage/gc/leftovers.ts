import { readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { isMissing, storageError } from "../storage-error.ts";

/** Something that was set aside as broken. */
export interface Leftover {
  readonly path: string;
  readonly bytes: number;
}

/** What was set aside before `before`, in milliseconds since the epoch. */
export async function findLeftovers(quarantine: string, before: number): Promise<Leftover[]> {
  const leftovers: Leftover[] = [];
  try {
    for (const name of (await readdir(quarantine)).toSorted()) {
      const item = path.join(quarantine, name);
      if ((await stat(item)).mtimeMs < before) leftovers.push({ path: item, bytes: await sizeOf(item) });
    }
  } catch (error) {
    if (!isMissing(error)) throw storageError("read", quarantine, error);
  }
  return leftovers;
}

export async function removeLeftovers(leftovers: readonly Leftover[]): Promise<void> {
  for (const { path: item } of leftovers) {
    try {
      await rm(item, { recursive: true, force: true });
    } catch (error) {
      throw storageError("delete", item, error);
    }
  }
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
