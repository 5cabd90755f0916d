import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { clientFolder, keptFolder, removeFolder, temporaryFolder } from "./folders.ts";

/** A real project, whose whole module graph is downloaded. */
const project = path.join(import.meta.dirname, "../test/live/projects/kubernetes");
const moduleCache = path.join(keptFolder, "modcache");
const attempts = 5;
const downloadTimeoutMs = 600_000;

/** The machine's own chain, as go itself would use it. */
export function machineChain(): string {
  return execFileSync("go", ["env", "GOPROXY"], { encoding: "utf8" }).trim();
}

/** Everything the go command keeps below one folder; nothing of the shell's Go settings; no checksum database. */
export function goEnvironment(folder: string): Record<string, string> {
  return {
    GOPATH: folder,
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

/** `go mod download all` of the project with an empty module cache; answers the seconds it took. */
export async function timeDownload(chain: string): Promise<number> {
  const folder = clientFolder();
  try {
    const begin = performance.now();
    await download(chain, folder, path.join(folder, "modcache"));
    return (performance.now() - begin) / 1000;
  } finally {
    removeFolder(folder);
  }
}

/**
 * The project's modules as a tree in the GOPROXY layout, from the machine's own chain, kept for later runs.
 * Mirrors of companies fail now and then, so it takes several attempts.
 */
export async function projectTree(): Promise<string> {
  const tree = path.join(moduleCache, "cache/download");
  const complete = path.join(moduleCache, "complete");
  if (existsSync(complete)) return tree;
  const folder = temporaryFolder("tree");
  for (let attempt = 1; ; attempt += 1) {
    try {
      await download(machineChain(), folder, moduleCache);
      break;
    } catch (error) {
      if (attempt === attempts) throw error;
    }
  }
  copyFileSync(path.join(folder, "go.sum"), complete);
  return tree;
}

/** How many modules, by go.sum, the download brings. */
export function countProjectModules(): number {
  const lines = readFileSync(path.join(moduleCache, "complete"), "utf8").trim().split("\n");
  return lines.filter((line) => !line.includes("/go.mod h1:")).length;
}

async function download(chain: string, folder: string, cache: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  copyFileSync(path.join(project, "go.mod"), path.join(folder, "go.mod"));
  rmSync(path.join(folder, "go.sum"), { force: true });
  await promisify(execFile)("go", ["mod", "download", "all"], {
    cwd: folder,
    env: { ...process.env, ...goEnvironment(folder), GOMODCACHE: cache, GOPROXY: chain },
    maxBuffer: 1 << 26,
    timeout: downloadTimeoutMs,
  });
}
