import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { atExit } from "./exit.ts";

/** What later runs use again: the peer's program and the modules of the real project. Ignored by git. */
export const keptFolder = path.join(import.meta.dirname, "../.tmp/bench");
/** Results as JSON, one file per run. Ignored by git. */
export const resultsFolder = path.join(import.meta.dirname, "results");

const memoryFolder = "/dev/shm";
const memoryBytes = 6 * 2 ** 30;

/** A new folder that is gone when the process ends. */
export function temporaryFolder(name: string, parent = tmpdir()): string {
  const folder = mkdtempSync(path.join(parent, `sluice-bench-${name}-`));
  atExit(() => removeFolder(folder));
  return folder;
}

/** For what clients write: the client's disk is not under test, so where there is room it is not a disk. */
export function clientFolder(): string {
  return temporaryFolder("client", hasRoom(memoryFolder) ? memoryFolder : tmpdir());
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= memoryBytes;
  } catch {
    return false; // only Linux has it
  }
}

/** Retries, as a server that is just ending may still write its log. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
