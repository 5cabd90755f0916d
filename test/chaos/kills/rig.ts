import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { closedPort } from "../../support/loopback.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { ask } from "../../support/raw-http.ts";
import type { GeneratedUpstream } from "../generated-upstream.ts";
import { Ingest, problemOf } from "./ingest.ts";
import { KilledNode } from "./killed-node.ts";
import { logTrouble } from "./log-trouble.ts";
import { type KillMode, type ModeParts, startParts } from "./modes.ts";
import { filesIn, storedKeys, wrongKeys } from "./stored-files.ts";

export interface RigOptions {
  readonly mode: KillMode;
  readonly upstream: GeneratedUpstream;
  /** Says what happens when; drawn from in the same order whatever the machine does meanwhile. */
  readonly random: Random;
  /** Where nodes keep what V8 made of their code, so that they start in half the time. */
  readonly codeCache: string;
  /** Told of each bad thing. */
  readonly report: (problem: string) => void;
}

/** What kills have hit, so that one sees that they hit something. */
export interface KillFigures {
  kills: number;
  /** Of these, before the node listened. */
  duringStart: number;
  /** Of these, of one process only. */
  ofOneProcess: number;
  /** With requests under way, and how many all together. */
  withRequests: number;
  requestsCut: number;
  /** Files under way that were left in staging, for the next start to sweep. */
  stagingFilesLeft: number;
  acknowledged: number;
  /** Of each start that was waited for. */
  readonly startMs: number[];
}

/** Files above this are passed on while they are fetched, by way of a staging file. */
const streamFrom = "64KiB";
const maxIngestMs = 900;

/** One data folder, and the nodes that are killed on it one after the other. */
export class Rig {
  readonly mode: KillMode;
  readonly dataDir: string;
  readonly parts: ModeParts;
  readonly acknowledged = new Set<string>();
  readonly figures: KillFigures = {
    kills: 0,
    duringStart: 0,
    ofOneProcess: 0,
    withRequests: 0,
    requestsCut: 0,
    stagingFilesLeft: 0,
    acknowledged: 0,
    startMs: [],
  };
  /** Events that were logged as warnings or worse, and how often. */
  readonly warnings = new Map<string, number>();
  readonly #options: RigOptions;
  readonly #port: number;
  #node: KilledNode | undefined;
  #newest: readonly string[] = [];
  #interrupted: readonly string[] = [];
  readonly #samples = createRandom(1);
  /** Of the modules that clients asked for last. */
  #folders: ReadonlySet<string> = new Set();
  #round = 0;

  private constructor(options: RigOptions, made: { dataDir: string; port: number; parts: ModeParts }) {
    this.mode = options.mode;
    this.#options = options;
    this.dataDir = made.dataDir;
    this.#port = made.port;
    this.parts = made.parts;
  }

  static async create(options: RigOptions): Promise<Rig> {
    const parts = await startParts(options.mode);
    const dataDir = await mkdtemp(path.join(tmpdir(), `sluice-kills-${options.mode}-`));
    return new Rig(options, { dataDir, port: await closedPort(), parts });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Start, look whether all is there, ingest, kill, look at what is left. */
  async killOnce(): Promise<void> {
    const { random } = this.#options;
    const link = this.parts.bucket?.link;
    this.#round += 1;
    const isStarted = this.#node !== undefined;
    if (!isStarted && random.chance(8)) return this.#killStarting();
    // In a third of all rounds the bucket is away, so that the outbox has something to lose.
    if (link !== undefined) await link.setFault(random.chance(33) ? { kind: "refuse" } : undefined);
    await this.start();
    await this.#expectAcknowledged();
    const set = `${this.mode}${this.#round}`;
    const own = createRandom(random.int(1_000_000));
    const ingest = new Ingest({ url: this.url, again: this.#interrupted, set, random: own });
    // While it is killed the bucket may be on its way back.
    const moments = [random.int(maxIngestMs), random.int(maxIngestMs)].sort((a, b) => a - b);
    await delay(moments[0] ?? 0);
    const isBack = random.chance(50);
    const isLater = random.chance(50);
    if (isBack) await link?.setFault(undefined);
    if (isLater) await delay((moments[1] ?? 0) - (moments[0] ?? 0));
    await this.#kill(ingest);
    for (const problem of ingest.problems) this.#problem(problem);
    this.#newest = ingest.acknowledged;
    this.#interrupted = ingest.interrupted;
    this.#folders = new Set(
      [...this.#newest, ...this.#interrupted].map((key) => path.dirname(path.dirname(path.dirname(key)))),
    );
    this.figures.acknowledged += ingest.acknowledged.length;
    for (const key of ingest.acknowledged) this.acknowledged.add(key);
    await this.#expectWholeFiles();
  }

  /** Resolves when it listens. With other settings than those of the rounds, such as another chain. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.#node !== undefined) return;
    const startedAt = performance.now();
    const node = this.#spawn(env);
    await node.ready;
    this.figures.startMs.push(performance.now() - startedAt);
    this.#expectSwept(node, await filesIn(path.join(this.dataDir, "staging")));
  }

  async stop(): Promise<void> {
    const node = this.#node;
    if (node === undefined) return;
    await node.stop();
    this.#ended(node);
  }

  /** Of all that it had, the bucket is left. */
  async loseDisk(): Promise<void> {
    await this.stop();
    for (const name of await readdir(this.dataDir)) await rm(path.join(this.dataDir, name), { recursive: true });
  }

  async remove(): Promise<void> {
    await this.#node?.kill();
    await this.parts.remove();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** What was acknowledged and cannot be had now. */
  async missing(keys: readonly string[]): Promise<readonly string[]> {
    const missing: string[] = [];
    const queue = [...keys];
    const lane = async (): Promise<void> => {
      for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
        const problem = await problemOf(this.url, key);
        if (problem !== undefined) missing.push(`${key}: ${problem.text}`);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    return missing;
  }

  #spawn(env: Readonly<Record<string, string>> = {}): KilledNode {
    const { upstream, codeCache } = this.#options;
    const node = new KilledNode({
      port: this.#port,
      dataDir: this.dataDir,
      args: this.parts.args,
      env: {
        GOPROXY: upstream.url,
        SLUICE_FETCH_STREAM_FROM: streamFrom,
        NODE_COMPILE_CACHE: codeCache,
        ...this.parts.env,
        ...env,
      },
    });
    this.#node = node;
    return node;
  }

  async #killStarting(): Promise<void> {
    const { random } = this.#options;
    const usual = this.figures.startMs.at(-1) ?? 1000;
    const node = this.#spawn();
    await delay(random.int(Math.round(usual)));
    await node.kill();
    this.#ended(node);
    this.figures.kills += 1;
    this.figures.duringStart += 1;
    await this.#expectWholeFiles();
  }

  async #kill(ingest: Ingest): Promise<void> {
    const node = this.#node;
    if (node === undefined) throw new Error("no node runs");
    const { random } = this.#options;
    this.figures.kills += 1;
    this.figures.requestsCut += ingest.underWay;
    if (ingest.underWay > 0) this.figures.withRequests += 1;
    if (this.mode === "workers" && random.chance(50)) {
      this.figures.ofOneProcess += 1;
      const title = random.pick(["sluice engine", "sluice engine", "sluice front"]);
      ingest.noticeKill();
      node.killProcess(title);
      await ingest.end();
      await this.#becomeReady();
      return;
    }
    ingest.noticeKill();
    await node.kill();
    this.#ended(node);
    await ingest.end();
    this.figures.stagingFilesLeft += (await filesIn(path.join(this.dataDir, "staging"))).length;
  }

  async #becomeReady(): Promise<void> {
    const endsAt = performance.now() + 30_000;
    for (;;) {
      const isReady = await ask(this.url, "/readyz", { signal: AbortSignal.timeout(5000) }).then(
        ({ status }) => status === 200,
        () => false,
      );
      if (isReady) return;
      if (performance.now() > endsAt) return this.#problem("not ready again 30 s after a process of it was killed");
      await delay(50);
    }
  }

  #ended(node: KilledNode): void {
    this.#node = undefined;
    const { warnings, troubles } = logTrouble(node.output);
    for (const name of warnings) this.warnings.set(name, (this.warnings.get(name) ?? 0) + 1);
    for (const trouble of troubles) this.#problem(`it logged: ${trouble}`);
  }

  /** What clients got in the last round must be there now, though nobody could fetch it again. */
  async #expectAcknowledged(): Promise<void> {
    const { upstream } = this.#options;
    const older = [...this.acknowledged];
    const some = older.length === 0 ? [] : Array.from({ length: 5 }, () => this.#samples.pick(older));
    upstream.weather.isOff = true;
    const missing = await this.missing([...this.#newest, ...some].filter((key) => !key.endsWith("/list")));
    upstream.weather.isOff = false;
    for (const one of missing) this.#problem(`lost after an acknowledgement: ${one}`);
  }

  /** What the node that runs writes by itself is its own. */
  #expectSwept(node: KilledNode, staging: readonly string[]): void {
    const owners = node.pids.map((pid) => `~${pid}~`);
    const left = staging.filter((file) => !owners.some((owner) => path.basename(file).includes(owner)));
    if (left.length > 0) this.#problem(`left in staging after a start: ${left.slice(0, 5).join(", ")}`);
  }

  /** Those that became visible since the last kill. */
  async #expectWholeFiles(): Promise<void> {
    for (const folder of this.#folders) {
      const keys = await storedKeys(this.dataDir, folder);
      for (const key of await wrongKeys(this.dataDir, keys)) this.#problem(`wrong bytes are visible: ${key}`);
    }
    const quarantine = await readdir(path.join(this.dataDir, "quarantine")).catch(() => []);
    if (quarantine.length > 0) this.#problem(`set aside as broken: ${quarantine.slice(0, 5).join(", ")}`);
  }

  #problem(text: string): void {
    this.#options.report(`${this.mode}, kill ${this.figures.kills}: ${text}`);
  }
}
