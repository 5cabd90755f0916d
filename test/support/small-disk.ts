import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, small enough to be filled by a test. */
export interface SmallDisk {
  readonly path: string;
  /** From now on nothing can be written to it, by nobody. */
  makeReadOnly(): void;
  makeWritable(): void;
  remove(): void;
}

export function createSmallDisk(megabytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "sluice-disk-"));
  mount("-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path);
  return {
    path,
    // The file system itself cannot change while a database on it is open; a read-only view over it can come and go.
    makeReadOnly: () => {
      mount("--bind", path, path);
      mount("-o", "remount,bind,ro", path);
    },
    makeWritable: () => run("umount", ["-l", path]),
    remove: () => {
      // Lazily, as a process that was just killed may still hold files on it.
      while (spawnSync("umount", ["-l", path]).status === 0);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Whether this machine lets us mount one: root, outside a locked-down container. */
export function lacksMount(): boolean {
  try {
    createSmallDisk(1).remove();
    return false;
  } catch (error) {
    if (process.env["SLUICE_TEST_REQUIRE"] === "all") throw error;
    return true;
  }
}

function mount(...args: readonly string[]): void {
  run("mount", args);
}

function run(program: string, args: readonly string[]): void {
  const { error, status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined || status !== 0) {
    throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  }
}
