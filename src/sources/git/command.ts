import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import type { Environment } from "../../net/egress.ts";
import { givenUp } from "../../net/given-up.ts";
import { redactText } from "../../net/redact.ts";
import { configLine, ownConfig } from "./own-config.ts";
import { createLimit } from "./limit.ts";
import { collectOutput, type Output } from "./output.ts";
import { onDisk, prepareOnce } from "./prepare-once.ts";

export interface GitCommandOptions {
  /** Git's HOME: made when it is missing, with a configuration of our own and nothing of the machine's. */
  readonly home: string;
  /** Of this process: PATH, proxies and certificates are passed on, nothing else. */
  readonly env: Environment;
  /** PEM file of the authorities that hosts are checked against; without one, git's own choice. */
  readonly caFile?: string | undefined;
  /** For tests: `file://` repositories. Never for what clients name. */
  readonly allowFileProtocol?: boolean;
  /** For tests: more configuration, such as `url.X.insteadOf`. */
  readonly config?: readonly (readonly [key: string, value: string])[];
  readonly executable?: string;
}

export interface GitRun {
  /** Arguments behind `git`. What others wrote stands behind `--end-of-options`, or goes through `input`. */
  readonly args: readonly string[];
  readonly gitDir?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The scheme of the remote that may be talked to; without one, git may talk to nobody. */
  readonly scheme?: string | undefined;
  /** It is no work of a request, and whoever runs it sees to it that there are few at a time. */
  readonly isUpkeep?: boolean | undefined;
  readonly input?: string | undefined;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Of standard output. */
  readonly maxBytes?: number;
  /** A new file for standard output, in place of memory. What is in it after a failure is nothing whole. */
  readonly outputFile?: string | undefined;
  /** The process and its group, right after its start. */
  readonly onStart?: ((pid: number) => void) | undefined;
}

export interface GitServiceRun extends Pick<GitRun, "args" | "gitDir" | "signal"> {
  readonly onOutput: (chunk: Buffer) => void;
  /** It has ended; with this for those who wait for it yet. */
  readonly onEnd: (error: unknown) => void;
}

/** A git that is asked one thing after the other. */
export interface GitService {
  write(input: string): void;
  /** Nothing more will be asked. */
  end(): void;
  kill(why: GitFailure): void;
}

/** The one way to start git: no prompts, no hooks, no settings of the machine, bounded time and output, its whole group ended. */
export interface GitCommand {
  /** Standard output. Fails with `GitError`, or as the signal says. */
  run(run: GitRun): Promise<Buffer>;
  /** Starts one that goes on until it is ended. It talks to no remote. Fails when it cannot be started. */
  start(run: GitServiceRun): Promise<GitService>;
  /** Fails with `upstream_failed` when there is no git, or one older than 2.39. Asked once, as long as the answer is yes. */
  check(): Promise<void>;
}

export type GitFailure = "exit" | "timeout" | "too_large";

/** Git ran and failed. */
export class GitError extends Error {
  override readonly name = "GitError";
  readonly failure: GitFailure;
  readonly exitCode: number | undefined;
  /** What git said, without user info, at most some kilobytes. */
  readonly stderr: string;

  constructor(failure: GitFailure, command: string, result: { exitCode?: number | undefined; stderr: string }) {
    super(`git ${command}: ${failure === "exit" ? `exit code ${result.exitCode}: ${result.stderr}` : failure}`);
    this.failure = failure;
    this.exitCode = result.exitCode;
    this.stderr = result.stderr;
  }
}

const defaultMaxBytes = 64 * 1024 * 1024;
const maxStderrBytes = 16 * 1024;
const killAfterMs = 1_000;
const exhausted = new Set(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"]);
const oldestMajor = 2;
const oldestMinor = 39;

/** GNU and BSD names both; curl reads most of them in lower case only. */
const passedOn = ["PATH", "TMPDIR", "SystemRoot", "http_proxy", "https_proxy", "no_proxy", "all_proxy"];

export function createGitCommand(options: GitCommandOptions): GitCommand {
  const executable = options.executable ?? "git";
  const configFile = join(options.home, "gitconfig");
  const base = baseEnvironment(options, configFile);
  const local = createLimit(Math.max(4, 2 * availableParallelism()));
  const prepared = prepareOnce(() => prepare(options, configFile));
  const checked = prepareOnce(() => checkVersion({ executable, cwd: "/" }, base));

  return {
    async run(run) {
      await prepared();
      const start = (): Promise<Buffer> =>
        runProcess({ executable, cwd: options.home }, run, { ...base, ...environmentOf(run, options) });
      return run.scheme === undefined && run.isUpkeep !== true ? local(start) : start();
    },
    async start(run) {
      await prepared();
      return startService({ executable, cwd: options.home }, run, { ...base, ...environmentOf(run, options) });
    },
    check: checked,
  };
}

async function prepare({ home, config = [] }: GitCommandOptions, configFile: string): Promise<void> {
  const lines = [...ownConfig, ...config].map(([key, value]) => configLine(key, value));
  await onDisk(`git's home ${home} cannot be written`, async () => {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(configFile, lines.join(""), { mode: 0o600 });
  });
}

function baseEnvironment({ home, env, caFile }: GitCommandOptions, configFile: string): Record<string, string> {
  const base: Record<string, string> = {
    HOME: home,
    XDG_CONFIG_HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: configFile,
    GIT_ATTR_NOSYSTEM: "1",
    // Together with the working directory: a repository around the data folder is none of ours.
    GIT_CEILING_DIRECTORIES: dirname(home),
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
    SSH_ASKPASS: "",
    GCM_INTERACTIVE: "never",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_LFS_SKIP_SMUDGE: "1",
    LC_ALL: "C",
    TZ: "UTC",
  };
  for (const name of passedOn) {
    const value = env[name] ?? env[name.toUpperCase()];
    if (value !== undefined && value !== "") base[name] = value;
  }
  const certificates = caFile ?? env["SSL_CERT_FILE"];
  if (certificates !== undefined && certificates !== "") base["GIT_SSL_CAINFO"] = certificates;
  const folder = env["SSL_CERT_DIR"];
  if (caFile === undefined && folder !== undefined && folder !== "") base["GIT_SSL_CAPATH"] = folder;
  return base;
}

function environmentOf(
  run: Pick<GitRun, "env" | "gitDir" | "scheme">,
  options: GitCommandOptions,
): Record<string, string> {
  const env: Record<string, string> = { ...run.env };
  if (run.gitDir !== undefined) env["GIT_DIR"] = run.gitDir;
  env["GIT_ALLOW_PROTOCOL"] = allowedProtocols(run.scheme, options.allowFileProtocol === true);
  return env;
}

/** A redirect or an `insteadOf` cannot lead to another protocol than the one that was checked. */
function allowedProtocols(scheme: string | undefined, isFileAllowed: boolean): string {
  if (scheme === undefined) return "none";
  if (isFileAllowed) return "file:http:https:ssh:git";
  if (scheme === "git+ssh" || scheme === "ssh+git") return "ssh";
  return ["https", "http", "ssh", "git"].includes(scheme) ? scheme : "none";
}

interface Program {
  readonly executable: string;
  readonly cwd: string;
}

function runProcess({ executable, cwd }: Program, run: GitRun, env: Record<string, string>): Promise<Buffer> {
  const { args, signal, timeoutMs, maxBytes = defaultMaxBytes } = run;
  const name = args.find((arg) => /^[a-z][a-z-]+$/.test(arg)) ?? "";
  if (signal.aborted) return Promise.reject(givenUp(signal, `git ${name}`));
  return new Promise((resolve, reject) => {
    const child = start({ executable, cwd }, args, env);
    // Before anything else: an `error` event that nobody listens to ends this process.
    child.once("error", (cause) => {
      settle();
      reject(notStarted(executable, cause));
    });
    const { pid } = child;
    let output: Output | undefined;
    let unwritable: unknown;
    let stderr = "";
    let stopped: "timeout" | "too_large" | "aborted" | "unwritable" | undefined;
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (why: NonNullable<typeof stopped>): void => {
      if (stopped !== undefined) return;
      stopped = why;
      // Git takes its lock and temporary files away when it is asked to end.
      killGroup(pid, "SIGTERM");
      killTimer = setTimeout(() => killGroup(pid, "SIGKILL"), killAfterMs);
    };
    const onAbort = (): void => stop("aborted");
    const timer = setTimeout(() => stop("timeout"), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      signal.removeEventListener("abort", onAbort);
    };

    // Without a file descriptor left there is no stdio at all.
    if (child.stdout) {
      output = collectOutput(child.stdout, {
        file: run.outputFile,
        maxBytes,
        onTooLarge: () => stop("too_large"),
        onUnwritable: (error) => {
          unwritable = error;
          stop("unwritable");
        },
      });
    }
    child.stderr?.on("data", (chunk: Buffer) => {
      if (stderr.length < maxStderrBytes) stderr += chunk.toString("utf8").slice(0, maxStderrBytes);
    });
    child.once("spawn", () => {
      if (pid !== undefined) run.onStart?.(pid);
    });
    // Helpers that git started may hold the pipes open after git has ended.
    child.once("exit", () => killGroup(pid, "SIGKILL"));
    child.once("close", (code) => {
      settle();
      const result = { exitCode: code ?? undefined, stderr: redactText(stderr.trim()) };
      if (stopped === undefined && code === 0 && output !== undefined) {
        output.finish().then(resolve, reject);
        return;
      }
      output?.discard();
      if (stopped === "unwritable") reject(unwritable);
      else if (stopped === "aborted") reject(givenUp(signal, `git ${name}`));
      else if (stopped !== undefined) reject(new GitError(stopped, name, result));
      else reject(new GitError("exit", name, result));
    });
    // A git that ends early does not read all of its input.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(run.input ?? "");
  });
}

async function startService(
  { executable, cwd }: Program,
  { args, signal, onOutput, onEnd }: GitServiceRun,
  env: Record<string, string>,
): Promise<GitService> {
  const [name = ""] = args;
  if (signal.aborted) throw givenUp(signal, `git ${name}`);
  const child = start({ executable, cwd }, args, env);
  const { pid } = child;
  let failure: GitFailure = "exit";
  let stderr = "";
  const kill = (): void => killGroup(pid, "SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const end = (error: unknown): void => {
    signal.removeEventListener("abort", kill);
    onEnd(error);
  };
  child.once("error", (cause) => end(notStarted(executable, cause)));
  child.stdout?.on("data", onOutput);
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderr.length < maxStderrBytes) stderr += chunk.toString("utf8").slice(0, maxStderrBytes);
  });
  child.once("close", (code) => {
    if (signal.aborted) end(givenUp(signal, `git ${name}`));
    else end(new GitError(failure, name, { exitCode: code ?? undefined, stderr: redactText(stderr.trim()) }));
  });
  // One that has ended reads nothing more; `close` tells.
  child.stdin?.on("error", () => undefined);
  return {
    write: (input) => void child.stdin?.write(input),
    end: () => void child.stdin?.end(),
    kill(why) {
      failure = why;
      kill();
    },
  };
}

/** Some of what goes wrong is thrown, some is an event. */
function start({ executable, cwd }: Program, args: readonly string[], env: Record<string, string>): ChildProcess {
  try {
    return spawn(executable, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true });
  } catch (error) {
    throw notStarted(executable, error instanceof Error ? error : new Error(String(error)));
  }
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}

function notStarted(executable: string, cause: Error): SluiceError {
  const code = "code" in cause ? String(cause.code) : undefined;
  if (code !== undefined && exhausted.has(code)) {
    const message = `${executable} cannot be started now: this machine is out of file descriptors, processes or memory (${code})`;
    return new SluiceError("overloaded", message, { cause, retryAfterSeconds: 5 });
  }
  const isMissing = code === "ENOENT";
  return new SluiceError(
    "upstream_failed",
    isMissing
      ? `there is no program ${executable} on this machine, so that nothing can be fetched from git; install git ${oldestMajor}.${oldestMinor} or newer`
      : `${executable} cannot be started: ${code ?? cause.message}`,
    { cause },
  );
}

async function checkVersion(program: Program, env: Record<string, string>): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  const run = { args: ["version"], signal, timeoutMs: 10_000 };
  const said = (await runProcess(program, run, env)).toString("utf8").trim();
  const [, major, minor] = /git version (\d+)\.(\d+)/.exec(said) ?? [];
  const isOld = Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor);
  if (major !== undefined && !isOld) return;
  throw new SluiceError(
    "upstream_failed",
    `this machine's git is too old for Sluice (${JSON.stringify(said)}); install git ${oldestMajor}.${oldestMinor} or newer`,
  );
}
