import { type ChildProcess, spawn } from "node:child_process";
import { SluiceError } from "../../core/errors.ts";
import { givenUp } from "../../net/given-up.ts";
import { redactText } from "../../net/redact.ts";
import { collectOutput, type Output } from "./output.ts";

export interface Program {
  readonly executable: string;
  readonly cwd: string;
}

export interface ProcessRun {
  /** Arguments behind `git`. What others wrote stands behind `--end-of-options`, or goes through `input`. */
  readonly args: readonly string[];
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

export interface ServiceRun extends Pick<ProcessRun, "args" | "signal"> {
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

/** Major and minor version. */
export const oldestGit = [2, 39] as const;

const defaultMaxBytes = 64 * 1024 * 1024;
const maxStderrBytes = 16 * 1024;
const killAfterMs = 1_000;
const exhausted = new Set(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"]);

/** Standard output of one that ends by itself. Fails with `GitError`, or as the signal says. */
export function runProcess(
  { executable, cwd }: Program,
  run: ProcessRun,
  env: Record<string, string>,
): Promise<Buffer> {
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

/** Starts one that goes on until it is ended. Fails when it cannot be started. */
export async function startService(
  { executable, cwd }: Program,
  { args, signal, onOutput, onEnd }: ServiceRun,
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
      ? `there is no program ${executable} on this machine, so that nothing can be fetched from git; install git ${oldestGit.join(".")} or newer`
      : `${executable} cannot be started: ${code ?? cause.message}`,
    { cause },
  );
}
