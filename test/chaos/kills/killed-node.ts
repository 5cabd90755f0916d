import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { childrenOf, isAlive } from "../../support/processes.ts";
import { waitFor } from "../../support/wait-for.ts";

const program = path.resolve(import.meta.dirname, "../../../src/cli/main.ts");

export interface KilledNodeOptions {
  readonly port: number;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
}

/**
 * A Sluice that is killed with all its processes at once, also before it listens. It leads a process group of its own, so that none of
 * them sees another one die.
 */
export class KilledNode {
  readonly dataDir: string;
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<void>();
  #output = "";

  constructor({ port, dataDir, env, args }: KilledNodeOptions) {
    this.dataDir = dataDir;
    this.#child = spawn(process.execPath, [program, "serve", ...args], {
      cwd: dataDir,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "",
        SLUICE_LISTEN: `127.0.0.1:${port}`,
        SLUICE_DATA_DIR: dataDir,
        SLUICE_LOG_FORMAT: "json",
        SLUICE_LOG_REQUESTS: "false",
        GOSUMDB: "off",
        ...env,
      },
    });
    const listen = (data: Buffer): void => {
      this.#output += data.toString();
      if (this.#output.includes('"sluice is ready"')) this.#ready.resolve();
    };
    this.#child.stdout?.on("data", listen);
    this.#child.stderr?.on("data", listen);
    this.#child.once("exit", (code, signal) =>
      this.#ready.reject(new Error(`it ended (${code ?? signal}):\n${this.#output}`)),
    );
    // Who kills it before it is ready does not wait for that.
    this.#ready.promise.catch(() => undefined);
  }

  /** Rejects when it ends before. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** What it has logged, in JSON lines. */
  get output(): string {
    return this.#output;
  }

  /** Of all its processes. */
  get pids(): readonly number[] {
    return [this.#pid, ...childrenOf(this.#pid).map(({ pid }) => pid)];
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** SIGKILL to all its processes. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** SIGKILL of the one of its processes with this title. */
  killProcess(title: string): void {
    const child = childrenOf(this.#pid).find((one) => one.title.includes(title));
    if (child === undefined) throw new Error(`there is no process "${title}":\n${this.#output}`);
    process.kill(child.pid, "SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.hasEnded) {
      const ended = once(this.#child, "exit");
      if (signal === "SIGKILL") process.kill(-this.#pid, signal);
      else this.#child.kill(signal);
      await ended;
    }
    await waitFor(() => this.#expectNoProcess(), { timeout: 20_000, interval: 10 });
  }

  #expectNoProcess(): void {
    if (isAlive(-this.#pid)) throw new Error("some of its processes still run");
  }

  get #pid(): number {
    if (this.#child.pid === undefined) throw new Error("it was not started");
    return this.#child.pid;
  }
}
