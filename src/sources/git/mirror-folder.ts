import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The attributes of a repository that go switches off, so that archives have what the commit has (SPEC §5.1). */
const attributes = "\n* -export-subst -export-ignore\n";
/** Broken mirrors that are kept for an operator to look at. */
const maxSetAside = 3;

export interface MirrorFolderOptions {
  /** Of the mirror itself. */
  readonly folder: string;
  readonly url: string;
}

/**
 * Makes the bare repository of a mirror, or takes over the one that is there: what processes left behind that were killed is
 * removed, and one that still runs is ended. Once for each mirror in a process, before anything else.
 */
export async function openMirrorFolder(options: MirrorFolderOptions, hashLength: () => Promise<number>): Promise<void> {
  const { folder } = options;
  if (await isRepository(folder)) {
    await endOrphan(folder);
    await removeLeftovers(folder);
    return;
  }
  const objectFormat = (await hashLength()) === 64 ? "sha256" : "sha1";
  await mkdir(dirname(folder), { recursive: true });
  for (const name of await readdir(dirname(folder))) {
    if (name.startsWith(`${basename(folder)}.new-`)) await rm(join(dirname(folder), name), { recursive: true });
  }
  await makeRepository(options, objectFormat);
}

export async function isRepository(folder: string): Promise<boolean> {
  try {
    return (await stat(join(folder, "objects"))).isDirectory();
  } catch {
    return false;
  }
}

/** As `git init --bare` makes it (gitrepository-layout(5)), without a process, which would take longer than all of this. */
async function makeRepository({ folder, url }: MirrorFolderOptions, objectFormat: "sha1" | "sha256"): Promise<void> {
  // Under another name until it is complete: a kill in between leaves no half mirror.
  const draft = `${folder}.new-${randomBytes(6).toString("hex")}`;
  try {
    for (const name of ["info", "objects/info", "objects/pack", "refs/heads", "refs/tags"]) {
      await mkdir(join(draft, name), { recursive: true });
    }
    await writeFile(join(draft, "HEAD"), "ref: refs/heads/master\n");
    await writeFile(join(draft, "info", "attributes"), attributes);
    // A machine that goes down must not leave a mirror that does not know its remote.
    await writeFile(join(draft, "config"), configOf(url, objectFormat), { flush: true });
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function configOf(url: string, objectFormat: "sha1" | "sha256"): string {
  const isOld = objectFormat === "sha1";
  return [
    `[core]\n\trepositoryformatversion = ${isOld ? 0 : 1}\n\tfilemode = true\n\tbare = true\n`,
    isOld ? "" : "[extensions]\n\tobjectformat = sha256\n",
    `[remote "origin"]\n\turl = ${JSON.stringify(url)}\n\ttagOpt = --no-tags\n`,
  ].join("");
}

const historyMark = "sluice-history";

/** All branches and tags are here with their history, as of some moment. */
export async function noteHistory(folder: string): Promise<void> {
  await writeFile(join(folder, historyMark), "");
}

export async function hasHistory(folder: string): Promise<boolean> {
  return (await exists(join(folder, historyMark))) && !(await isShallow(folder));
}

/** Some commits are here without those before them. */
export function isShallow(folder: string): Promise<boolean> {
  return exists(join(folder, "shallow"));
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** What a git that was killed leaves: lock files that would stop all others, and temporary files. */
export async function removeLeftovers(folder: string): Promise<void> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of found) {
    const isLeftover = entry.isDirectory()
      ? entry.name.startsWith("tmp_objdir-")
      : entry.name.endsWith(".lock") || /^(tmp_(pack|idx|rev|obj|mtimes)_|\.tmp-)/.test(entry.name);
    if (isLeftover) await rm(join(entry.parentPath, entry.name), { recursive: true, force: true });
  }
}

/** A mirror that git finds damaged is kept aside, and a new one can take its place. */
export async function setAsideFolder(folder: string): Promise<void> {
  const parent = dirname(folder);
  const target = `${folder}.broken-${Date.now()}-${randomBytes(3).toString("hex")}`;
  try {
    await rename(folder, target);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const broken = (await readdir(parent)).filter((name) => name.includes(".broken-"));
  broken.sort((a, b) => Number(/\.broken-(\d+)/.exec(b)?.[1]) - Number(/\.broken-(\d+)/.exec(a)?.[1]));
  for (const name of broken.slice(maxSetAside)) await rm(join(parent, name), { recursive: true, force: true });
}

const jobFile = "sluice-job";

/** Notes which process writes into the mirror, so that a later Sluice can end it should this one be killed. */
export async function noteJob(folder: string, pid: number | undefined): Promise<void> {
  const file = join(folder, jobFile);
  if (pid === undefined) await rm(file, { force: true });
  else {
    const startedAt = await startTimeOf(pid);
    if (startedAt !== undefined) await writeFile(file, `${pid} ${startedAt}`).catch(() => undefined);
  }
}

async function endOrphan(folder: string): Promise<void> {
  const note = await readFile(join(folder, jobFile), "utf8").catch(() => "");
  const [, pid, startedAt] = /^(\d+) (\d+)$/.exec(note) ?? [];
  // Another process may have the number by now.
  if (pid === undefined || (await startTimeOf(Number(pid))) !== startedAt) return;
  try {
    process.kill(-Number(pid), "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** In ticks since the machine started; undefined where that cannot be known. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const facts = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return facts?.slice(facts.lastIndexOf(")") + 2).split(" ")[19];
}
