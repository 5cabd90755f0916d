import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
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

/** The real project, as the servers see it. */
export interface ProjectFiles {
  /** All its modules in the GOPROXY layout. */
  readonly tree: string;
  readonly moduleCount: number;
}

/**
 * Fetches the project's modules from the machine's own chain and keeps them for later runs.
 * Mirrors of companies fail now and then, so it takes several attempts.
 */
export async function projectFiles(): Promise<ProjectFiles> {
  const tree = path.join(moduleCache, "cache/download");
  const goSum = path.join(moduleCache, "go.sum");
  const complete = path.join(moduleCache, "go.mod");
  if (readText(complete) !== readText(path.join(project, "go.mod"))) {
    const folder = temporaryFolder("tree");
    for (let attempt = 1; ; attempt += 1) {
      try {
        await download(machineChain(), folder, moduleCache);
        break;
      } catch (error) {
        if (attempt === attempts) throw error;
      }
    }
    copyFileSync(path.join(folder, "go.sum"), goSum);
    for (const entry of readdirSync(moduleCache)) {
      if (entry !== "cache" && entry !== "go.sum") removeFolder(path.join(moduleCache, entry));
    }
    copyFileSync(path.join(project, "go.mod"), complete);
  }
  const modules = (readText(goSum) ?? "")
    .split("\n")
    .filter((line) => / v\S+ h1:/.test(line) && !line.includes("/go.mod h1:"));
  return { tree, moduleCount: modules.length };
}

function readText(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
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
