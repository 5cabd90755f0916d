import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

const usedFile = "sluice-used";
const removedMark = ".removed-";

/** Notes on the disk that a mirror was used, for later Sluices and for others on the same folder. */
export async function noteUse(folder: string, now: number): Promise<void> {
  const file = join(folder, usedFile);
  try {
    await writeFile(file, "");
    await utimes(file, now / 1000, now / 1000);
  } catch {
    // Then it is removed sooner, which costs a fetch.
  }
}

export interface MirrorOnDisk {
  readonly name: string;
  readonly usedAt: number;
}

/** The mirrors, and broken ones that were set aside. */
export async function mirrorsOnDisk(parent: string): Promise<MirrorOnDisk[]> {
  const names = await readdir(parent).catch(() => []);
  const found: MirrorOnDisk[] = [];
  for (const name of names) {
    if (!/^[0-9a-f]{64}(\.broken-|$)/.test(name)) continue;
    const usedAt = await lastUse(join(parent, name));
    if (usedAt !== undefined) found.push({ name, usedAt });
  }
  return found;
}

/** Answers what it was a mirror of. A kill in between leaves nothing that `removeRemains` does not find. */
export async function removeMirror(folder: string): Promise<string | undefined> {
  const config = await readFile(join(folder, "config"), "utf8").catch(() => "");
  const target = `${folder}${removedMark}${randomBytes(6).toString("hex")}`;
  try {
    await rename(folder, target);
  } catch {
    // Somebody else was faster, or the disk does not let us: there is another time.
    return undefined;
  }
  await rm(target, { recursive: true, force: true });
  return /^\turl = "(.*)"$/m.exec(config)?.[1] ?? folder;
}

export async function removeRemains(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((one) => one.includes(removedMark))) {
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

async function lastUse(folder: string): Promise<number | undefined> {
  for (const file of [join(folder, usedFile), folder]) {
    const facts = await stat(file).catch(() => undefined);
    if (facts !== undefined) return facts.mtimeMs;
  }
  return undefined;
}
