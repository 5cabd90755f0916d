import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";

/** The core every server under test runs on, alone. */
export const serverCore = 0;
/** The core of everything else: load, the go command, upstreams, this program. */
export const loadCore = 1;

/** More than this over the last minute is somebody else's work. */
const quietLoad = 0.5;

/** Throws with a sentence for people when this machine cannot run the measurements. */
export function checkMachine(): void {
  if (availableParallelism() < 2) throw new Error("the bench needs two cores: one for the server, one for the load");
  for (const [program, args, from] of [
    ["taskset", ["--version"], "the package util-linux"],
    ["wrk", ["--version"], "the package wrk"],
    ["go", ["version"], "go.dev/dl"],
  ] as const) {
    if (spawnSync(program, args, { stdio: "ignore" }).error !== undefined) {
      throw new Error(`the bench needs ${program} (from ${from})`);
    }
  }
}

/** Moves this process, with all its threads and every child it starts from now on, to the load's core. */
export function moveToLoadCore(): void {
  const { status } = spawnSync("taskset", ["-a", "-p", "-c", String(loadCore), String(process.pid)], {
    stdio: "ignore",
  });
  if (status !== 0) throw new Error(`taskset could not move the bench to core ${loadCore}`);
}

/** What a reader needs to judge the figures, one line each. */
export function describeMachine(): readonly string[] {
  const [load = "unknown"] = readFileSync("/proc/loadavg", "utf8").split(" ");
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return [
    `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${memoryGiB} GiB, Linux ${release()}`,
    `Node ${process.version}, ${firstLine("go", ["version"])}, ${firstLine("wrk", ["--version"]).split(" Copyright")[0]}`,
    `load average before the run: ${load}${Number(load) > quietLoad ? ": **this machine is busy, the figures are not worth much**" : ""}`,
  ];
}

function firstLine(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return `${stdout}${stderr}`.trim().split("\n")[0] ?? program;
}
