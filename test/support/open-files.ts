import { readdir, readlink } from "node:fs/promises";

/** What this process holds open in the folder. Nothing where the system does not tell (it does on Linux). */
export async function openFilesIn(folder: string): Promise<string[]> {
  const handles = await readdir("/proc/self/fd").catch(() => []);
  const targets = await Promise.all(handles.map((handle) => readlink(`/proc/self/fd/${handle}`).catch(() => "")));
  return targets.filter((target) => target.startsWith(folder));
}
