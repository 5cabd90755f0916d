import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

const blockBytes = 512;

/** What a folder takes on the disk, in bytes. What goes away meanwhile counts or not; 0 where there is none. */
export async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let sum = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const facts = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    if (facts !== undefined) sum += Math.max(facts.size, facts.blocks * blockBytes);
  }
  return sum;
}
