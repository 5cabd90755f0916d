import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, closeSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { atExit } from "./exit.ts";
import { serverCore } from "./machine.ts";

/** What a server has used since its start, its child processes included. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Peak resident memory; of several processes the sum, which counts shared pages twice. */
  readonly peakRssBytes: number;
}

export interface StartOptions {
  readonly command: readonly [program: string, ...args: string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Where `output.log` goes: a file, so that nobody pays for a pipe the bench has to drain. */
  readonly folder: string;
  /** Default: the servers' own. */
  readonly cores?: readonly number[] | undefined;
  /** Is answered with a status below 500 once the server works. */
  readonly probe: URL;
}

/** A server alone on its core. */
export interface ServerProcess {
  usage(): Usage;
  /** SIGTERM, then SIGKILL after ten seconds. */
  stop(): Promise<void>;
}

const clockTicksPerSecond = 100;
const startTimeoutMs = 20_000;
const stopTimeoutMs = 10_000;

/** Resolves when the probe is answered. A server that ends or stays silent throws with the end of its output. */
export async function startServer({
  command,
  env,
  folder,
  cores = [serverCore],
  probe,
}: StartOptions): Promise<ServerProcess> {
  const log = path.join(folder, "output.log");
  const output = openSync(log, "a");
  const child = spawn("taskset", ["-c", cores.join(","), ...command], {
    env: { ...inherited(), HOME: folder, ...env },
    cwd: folder,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const ended = once(child, "exit");
  const kill = (): boolean => child.kill("SIGKILL");
  const forget = atExit(kill);
  void ended.then(forget);
  try {
    await untilAnswered(child, probe);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${command.join(" ")} did not start: ${tail(log)}`, { cause: error });
  }
  return {
    usage: () => usageOf(child.pid ?? 0),
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(kill, stopTimeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no TCP port");
  return address.port;
}

/** A real upstream may be behind a company's CA or proxy. Nothing else of the shell reaches a server. */
function inherited(): NodeJS.ProcessEnv {
  const names = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
  return Object.fromEntries(names.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])));
}

async function untilAnswered(child: ChildProcess, probe: URL): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (child.exitCode === null && performance.now() < deadline) {
    try {
      const response = await fetch(probe);
      await response.arrayBuffer();
      if (response.status < 500) return;
    } catch {
      // not listening yet
    }
    await delay(50);
  }
  throw new Error(`no good answer from ${probe.href}`);
}

function usageOf(root: number): Usage {
  let cpuSeconds = 0;
  let peakRssBytes = 0;
  for (const pid of family(root)) {
    const stat = statFields(pid);
    // utime, stime, and those of children that have ended.
    cpuSeconds += [11, 12, 13, 14].reduce((sum, index) => sum + Number(stat[index]), 0) / clockTicksPerSecond;
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    peakRssBytes += Number(peak?.[1] ?? 0) * 1024;
  }
  return { cpuSeconds, peakRssBytes };
}

function family(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      parents.set(Number(name), Number(statFields(Number(name))[1]));
    } catch {
      // ended meanwhile
    }
  }
  const found = [root];
  for (const pid of found) found.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child));
  return found;
}

/** proc(5): from field 3 on, as the second may contain spaces. */
function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function tail(file: string): string {
  return readFileSync(file, "utf8").trim().split("\n").slice(-12).join("\n");
}
