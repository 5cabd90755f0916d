import { readdirSync, readFileSync } from "node:fs";

export interface ChildProcessFacts {
  readonly pid: number;
  /** As ps shows it. */
  readonly title: string;
}

/** The child processes of a process that are alive. */
export function childrenOf(parent: number): ChildProcessFacts[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        // proc(5): the second field is in brackets and may hold anything.
        const [state, parentPid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        if (Number(parentPid) !== parent || state === "Z") return [];
        const title = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return [{ pid: Number(name), title }];
      } catch {
        return []; // ended meanwhile
      }
    });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
