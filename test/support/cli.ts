import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** How far a long command is, which it tells every few seconds. */
const progressLines = /^\d+ of \d+ (?:files|records|versions)\n/gm;

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  /** Without the lines about progress: how long a command takes depends on the machine. */
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd: string;
  /** All of its environment but PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** What to run instead of `src/cli/main.ts`. */
  readonly script?: string;
  /** For node itself, before the script. */
  readonly nodeArgs?: readonly string[];
  /** What to run instead of node and a script. */
  readonly command?: string;
}

/** A command under way, in a process of its own and with the Node.js that runs the tests. */
export interface CliProcess {
  /** Resolves when the process has ended. */
  readonly ended: Promise<CliResult>;
  /** Resolves when standard output or error match the pattern; rejects when the process ends without. */
  saw(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
}

export function startCli(
  args: readonly string[],
  { cwd, env = {}, script = program, nodeArgs = [], command }: CliOptions,
): CliProcess {
  const [file, before] = command === undefined ? [process.execPath, [...nodeArgs, script]] : [command, []];
  const child = spawn(file, [...before, ...args], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const watchers = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      for (const watch of watchers) watch();
    });
  }
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output, stderr: output.stderr.replace(progressLines, "") }));
  });
  return {
    ended,
    kill: (signal) => void child.kill(signal),
    saw: (pattern) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          const match = pattern.exec(output.stdout) ?? pattern.exec(output.stderr);
          if (match !== null) resolve(match);
        };
        watchers.add(watch);
        watch();
        void ended.then(() => reject(new Error(`ended without ${String(pattern)}:\n${output.stdout}${output.stderr}`)));
      }),
  };
}

export function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return startCli(args, options).ended;
}
