import { setTimeout as delay } from "node:timers/promises";
import { createGoMachine } from "../support/go.ts";
import type { Random } from "../support/random.ts";
import { type ModuleWorld, parseDownloads } from "./modules.ts";

/** One module that one client asked for. */
export interface Attempt {
  readonly module: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** What went wrong, in go's words; undefined when its hashes are right. */
  readonly problem: string | undefined;
}

/** Statuses that clients of the run got, as `go -x` prints them, by status. */
export type Statuses = Map<string, number>;

/** Far above what any download takes here: whoever waits longer waits for ever. */
const timeoutMs = 120_000;
/** Between a build that failed and the next one. */
const restMs = 500;

/** Real go commands that download, each time into an empty module cache, until they are told to stop. */
export class Clients {
  readonly attempts: Attempt[] = [];
  readonly statuses: Statuses = new Map();
  readonly #chain: string;
  readonly #world: ModuleWorld;
  readonly #random: Random;
  readonly #cold: string[];
  #isEnding = false;
  #done: Promise<unknown> = Promise.resolve();

  constructor(chain: string, world: ModuleWorld, random: Random) {
    this.#chain = chain;
    this.#world = world;
    this.#random = random;
    this.#cold = [...world.cold];
  }

  start(count: number): void {
    this.#done = Promise.all(Array.from({ length: count }, () => this.#goOn()));
    // `end` tells.
    this.#done.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#done;
  }

  /** By one go command. */
  async download(modules: readonly string[]): Promise<readonly Attempt[]> {
    const machine = await createGoMachine({ GOPROXY: this.#chain }, { timeoutMs });
    try {
      const startedAt = performance.now();
      const { stdout, stderr } = await machine.go(["mod", "download", "-x", "-json", ...modules]);
      const endedAt = performance.now();
      for (const [, status = ""] of stderr.matchAll(/^# get \S+: (\d{3}) /gm)) {
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      }
      const results = new Map(parseDownloads(stdout).map((download) => [download.module, download]));
      return modules.map((module) => {
        const result = results.get(module);
        const isRight = result?.sums !== undefined && result.sums === this.#world.sums.get(module);
        const problem = isRight ? undefined : (result?.error ?? `other hashes: ${result?.sums}; ${stderr.slice(-500)}`);
        return { module, startedAt, endedAt, problem };
      });
    } finally {
      await machine.remove();
    }
  }

  async #goOn(): Promise<void> {
    while (!this.#isEnding) {
      const known = Array.from({ length: 4 }, () => this.#random.pick(this.#world.known));
      const cold = Array.from({ length: 4 }, () => this.#cold.splice(this.#random.int(this.#cold.length), 1)).flat();
      const attempts = await this.download([...new Set([...known, ...cold])]);
      this.attempts.push(...attempts);
      const failed = attempts.filter(({ problem }) => problem !== undefined).map(({ module }) => module);
      if (failed.length === 0) continue;
      this.#cold.push(...cold.filter((module) => failed.includes(module)));
      await delay(restMs);
    }
  }
}
