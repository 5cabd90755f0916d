import { execFile, execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { clientFolder, removeFolder } from "./folders.ts";
import { copyProject } from "./project.ts";

const timeoutMs = 600_000;

/** The machine's own chain, as go itself would use it. */
export function machineChain(): string {
  return execFileSync("go", ["env", "GOPROXY"], { encoding: "utf8" }).trim();
}

/** Everything the go command keeps below one folder; nothing of the shell's Go settings; no checksum database. */
export function goEnvironment(folder: string): Record<string, string> {
  return {
    GOPATH: path.join(folder, "go"),
    GOMODCACHE: path.join(folder, "modcache"),
    GOCACHE: path.join(folder, "build"),
    GOENV: "off",
    GOFLAGS: "-mod=mod -modcacherw",
    GOSUMDB: "off",
    GOTOOLCHAIN: "local",
    GOTELEMETRY: "off",
    // go downloads as many modules at once as it sees cores, and the load has one: the number of a usual desktop machine.
    GOMAXPROCS: "8",
  };
}

/** `go mod download all` of the real project with an empty module cache; answers the seconds it took. */
export async function timeDownload(chain: string): Promise<number> {
  const folder = clientFolder();
  try {
    const work = path.join(folder, "work");
    mkdirSync(work);
    copyProject(work);
    const begin = performance.now();
    await runGo(["mod", "download", "all"], { cwd: work, env: { ...goEnvironment(folder), GOPROXY: chain } });
    return (performance.now() - begin) / 1000;
  } finally {
    removeFolder(folder);
  }
}

/** Answers what it printed. Throws with go's own words. */
export async function runGo(
  args: readonly string[],
  { cwd, env }: { cwd: string; env: Readonly<Record<string, string>> },
): Promise<string> {
  const { stdout } = await promisify(execFile)("go", [...args], {
    cwd,
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
    timeout: timeoutMs,
  });
  return stdout;
}

/** All that it printed, whether or not it succeeded within the time. */
export async function tryGo(
  args: readonly string[],
  { cwd, env, timeoutMs: limitMs }: { cwd: string; env: Readonly<Record<string, string>>; timeoutMs: number },
): Promise<string> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 28, timeout: limitMs };
    execFile("go", [...args], options, (_failed, stdout, stderr) => resolve(stdout + stderr));
  });
}
