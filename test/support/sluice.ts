import { spawn } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../", import.meta.url));

/** A Sluice of its own process, started as a user would, on a free port. */
export interface RunningSluice {
  /** To be used as GOPROXY. */
  readonly url: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Everything it wrote so far, both streams. */
  output(): string;
  /** Resolves when `count` (default 1) places in its output match; rejects when it ends before. */
  saw(pattern: RegExp, count?: number): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface SluiceOptions {
  /** The chain, as GOPROXY. */
  readonly upstream: string;
  /** Given back untouched; without one, a temporary folder that `stop` removes. */
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** A file for standard output, in JSON; the banner goes to standard error then. */
  readonly logTo?: string;
}

export async function startSluiceProcess(options: SluiceOptions): Promise<RunningSluice> {
  const log = options.logTo === undefined ? undefined : await open(options.logTo, "w");
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "sluice-data-")));
  const child = spawn(process.execPath, [join(repository, "src/cli/main.ts"), "serve", ...(options.args ?? [])], {
    cwd: dataDir,
    env: {
      PATH: process.env["PATH"] ?? "",
      SLUICE_LISTEN: "127.0.0.1:0",
      SLUICE_DATA_DIR: dataDir,
      GOPROXY: options.upstream,
      // Most tests have no log to ask; those about it set `SLUICE_SUMDB_DATABASE`.
      GOSUMDB: "off",
      ...(log === undefined ? {} : { SLUICE_LOG_FORMAT: "json" }),
      ...options.env,
    },
    stdio: ["ignore", log?.fd ?? "pipe", "pipe"],
  });
  let output = "";
  const watchers = new Set<() => void>();
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer): void => {
      output += data.toString();
      for (const watch of watchers) watch();
      const match = /export GOPROXY=(\S+)/.exec(output);
      if (match?.[1] !== undefined) resolve(match[1]);
    };
    child.stdout?.on("data", onData);
    child.stderr?.on("data", onData);
    child.once("error", reject);
    void exited.then((code) => reject(new Error(`sluice ended with ${code} before it listened:\n${output}`)));
  });
  await log?.close();
  return {
    url,
    dataDir,
    pid: child.pid ?? 0,
    output: () => output,
    saw: (pattern, count = 1) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          if ([...output.matchAll(new RegExp(pattern, "g"))].length < count) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
        void exited.then(() => reject(new Error(`ended without ${String(pattern)}:\n${output}`)));
      }),
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      const code = await exited;
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
      return code;
    },
  };
}
