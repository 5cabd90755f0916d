import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isAlive } from "./processes.ts";

/** The wall clock of other processes, which may step while they run. Their monotonic clock and their timers go on as ever. */
export interface SteppedClock {
  /** What a process must be started with; its children have the same clock. */
  readonly env: Readonly<Record<string, string>>;
  /** From now on it is so many seconds ahead of this machine's, or behind. */
  setOffset(seconds: number): void;
  remove(): void;
}

/** By libfaketime, which reads the offset at each look at the clock. */
export function createSteppedClock(): SteppedClock {
  const library = findLibrary();
  if (library === undefined) throw new Error("libfaketime is missing: install Debian's package faketime");
  const folder = mkdtempSync(path.join(tmpdir(), "sluice-clock-"));
  const file = path.join(folder, "offset");
  const setOffset = (seconds: number): void => {
    // Nobody may read half of it.
    const next = path.join(folder, "next");
    writeFileSync(next, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}\n`);
    renameSync(next, file);
  };
  setOffset(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_DONT_RESET: "1",
      // What files say of themselves stays as it is.
      NO_FAKE_STAT: "1",
    },
    setOffset,
    remove() {
      rmSync(folder, { recursive: true, force: true });
      removeLeftovers();
    },
  };
}

/** Guard of every test that uses it, as `lacks` is for programs. */
export function lacksSteppedClock(): boolean {
  if (findLibrary() !== undefined) return false;
  if (process.env["SLUICE_TEST_REQUIRE"] === "all")
    throw new Error("SLUICE_TEST_REQUIRE=all, but libfaketime is missing: install Debian's package faketime");
  return true;
}

/** What the library shares between processes stays when they are killed, and would end one that gets the same process ID. */
function removeLeftovers(): void {
  for (const name of readdirOf("/dev/shm")) {
    const pid = /^(?:sem\.)?faketime_(?:shm|sem)_(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(path.join("/dev/shm", name), { force: true });
  }
}

/** Debian has it in a folder by the machine's architecture. */
function findLibrary(): string | undefined {
  for (const folder of readdirOf("/usr/lib")) {
    const found = path.join("/usr/lib", folder, "faketime/libfaketimeMT.so.1");
    if (readdirOf(path.dirname(found)).includes(path.basename(found))) return found;
  }
  return undefined;
}

function readdirOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // not there
  }
}
