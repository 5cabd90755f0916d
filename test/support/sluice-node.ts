import { readFileSync } from "node:fs";
import { closedPort } from "./loopback.ts";
import { childrenOf } from "./processes.ts";
import { type RunningSluice, startSluiceProcess } from "./sluice.ts";

export interface SluiceNodeOptions {
  readonly upstream: string;
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** A Sluice that comes back at the same address with the same data. */
export class SluiceNode {
  readonly port: number;
  readonly url: string;
  readonly dataDir: string;
  readonly #options: SluiceNodeOptions;
  #sluice: RunningSluice | undefined;
  #earlierOutput = "";

  private constructor(port: number, options: SluiceNodeOptions) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.dataDir = options.dataDir;
    this.#options = options;
  }

  static async start(options: SluiceNodeOptions): Promise<SluiceNode> {
    const node = new SluiceNode(await closedPort(), options);
    await node.start();
    return node;
  }

  /** Of its first process; 0 while it does not run. */
  get pid(): number {
    return this.#sluice?.pid ?? 0;
  }

  /** Of all times that it ran. */
  get output(): string {
    return this.#earlierOutput + (this.#sluice?.output() ?? "");
  }

  async start(): Promise<void> {
    if (this.#sluice !== undefined) return;
    this.#sluice = await startSluiceProcess({
      upstream: this.#options.upstream,
      dataDir: this.dataDir,
      env: { SLUICE_LISTEN: `127.0.0.1:${this.port}`, SLUICE_LOG_REQUESTS: "false", ...this.#options.env },
      args: this.#options.args ?? [],
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const sluice = this.#sluice;
    if (sluice === undefined) return;
    this.#sluice = undefined;
    await sluice.stop(signal);
    this.#earlierOutput += sluice.output();
  }

  /** All its processes stand still. */
  pause(): void {
    this.#signalAll("SIGSTOP");
  }

  resume(): void {
    this.#signalAll("SIGCONT");
  }

  /** SIGKILL of the one of its processes with this title. */
  killProcess(title: string): void {
    const child = childrenOf(this.#sluice?.pid ?? 0).find((one) => one.title.includes(title));
    if (child === undefined) throw new Error(`there is no process "${title}"`);
    process.kill(child.pid, "SIGKILL");
  }

  /** Resident bytes of all its processes. What is mapped from files, such as Node itself, they share: it counts once. */
  rssBytes(): number {
    const all = this.#processes().map((pid) => residentBytesOf(pid));
    return all.reduce((sum, { own }) => sum + own, 0) + Math.max(0, ...all.map(({ mapped }) => mapped));
  }

  async isReady(): Promise<boolean> {
    return fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(5000) }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
  }

  /** Whether clients' requests have come to it since it started. */
  async isAsked(): Promise<boolean> {
    const answer = await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(5000) });
    return /^sluice_requests_total\{kind="info".* [1-9]/m.test(await answer.text());
  }

  /** Its parts, one in a line, as operators see them. */
  async parts(): Promise<string> {
    const answer = await fetch(`${this.url}/readyz?verbose`, { signal: AbortSignal.timeout(5000) });
    return answer.text();
  }

  #processes(): number[] {
    const { pid } = this.#sluice ?? {};
    return pid === undefined ? [] : [pid, ...childrenOf(pid).map((child) => child.pid)];
  }

  #signalAll(signal: NodeJS.Signals): void {
    for (const pid of this.#processes()) process.kill(pid, signal);
  }
}

function residentBytesOf(pid: number): { readonly own: number; readonly mapped: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
    return { own: bytes("RssAnon") + bytes("RssShmem"), mapped: bytes("RssFile") };
  } catch {
    return { own: 0, mapped: 0 }; // ended meanwhile
  }
}
