import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { keyFolderPrefix } from "./git-environment.ts";

/** Takes away the SSH keys that killed runs left in `folder`. Call it before the first key is written there by this process. */
export async function removeLeftKeys(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(keyFolderPrefix));
  for (const name of names) {
    const pid = Number.parseInt(name.slice(keyFolderPrefix.length), 10);
    if (pid === process.pid || !isAlive(pid)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
