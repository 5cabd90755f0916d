import { statfs } from "node:fs/promises";

/** A new database with its log takes less. */
const fullBelowBytes = 256 * 1024;

/** Whether SQLite cannot even open a database in this folder, as no space is left. */
export async function isOnFullDisk(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize <= fullBelowBytes;
}
