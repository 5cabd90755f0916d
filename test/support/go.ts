import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a finished command said. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A Go developer's machine of its own: an empty module cache, an empty home, and no settings but those given. */
export interface GoMachine {
  /** The project's folder. */
  readonly dir: string;
  readonly modCache: string;
  go(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<CommandResult>;
  /** Throws away what was downloaded. */
  clearModCache(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * `env` is what the developer exported, such as GOPROXY. Checksum databases are off unless it says otherwise.
 * A command that takes longer than `timeoutMs` is killed, and ends with code -1.
 */
export async function createGoMachine(
  env: Readonly<Record<string, string>>,
  { timeoutMs = 0 }: { readonly timeoutMs?: number } = {},
): Promise<GoMachine> {
  const root = await mkdtemp(join(tmpdir(), "sluice-go-"));
  const dir = await mkdtemp(join(root, "project-"));
  const modCache = join(root, "modcache");
  // Otherwise go leaves a process behind that writes into the home after go itself has ended.
  await mkdir(join(root, ".config/go/telemetry"), { recursive: true });
  await writeFile(join(root, ".config/go/telemetry/mode"), "off");
  const base = {
    PATH: process.env["PATH"] ?? "",
    HOME: root,
    GOPATH: join(root, "gopath"),
    GOMODCACHE: modCache,
    GOCACHE: join(root, "gocache"),
    GOENV: "off",
    GOFLAGS: "-modcacherw",
    GOTOOLCHAIN: "local",
    GOSUMDB: "off",
    ...env,
  };
  return {
    dir,
    modCache,
    go: (args, extra = {}) => run("go", args, { cwd: dir, env: { ...base, ...extra }, timeout: timeoutMs }),
    clearModCache: () => rm(modCache, { recursive: true, force: true }),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Record<string, string>; readonly timeout: number },
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { ...options, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error?.killed === true)
        resolve({ code: -1, stdout, stderr: `${stderr}\nkilled after ${options.timeout} ms` });
      else if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}
