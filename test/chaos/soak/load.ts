import { readFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createGoMachine } from "../../support/go.ts";
import type { Random } from "../../support/random.ts";
import { ask, type RawAnswer } from "../../support/raw-http.ts";
import type { SluiceNode } from "../../support/sluice-node.ts";
import { generatedFile, generatedModule, generatedVersions } from "../generated-modules.ts";
import { isSameInfo } from "../kills/ingest.ts";

/** What clients asked for and what was not as it should be. */
export interface LoadFigures {
  /** Requests by what they are, such as `hot` or `cold`. */
  readonly requests: Map<string, number>;
  readonly problems: string[];
  /** The longest answers in ms, by what they are. */
  readonly slowest: Map<string, number>;
  wrongBytes: number;
  falseNotFounds: number;
}

const hotModules = 60;
/** Longer than any outage here, and what Sluice waits for an upstream that is down. */
const patienceMs = 120_000;
const slowBytesPerSecond = 60_000;

/** Clients of all kinds at a steady pace, until they are told to stop. */
export class SoakLoad {
  readonly figures: LoadFigures = {
    requests: new Map(),
    problems: [],
    slowest: new Map(),
    wrongBytes: 0,
    falseNotFounds: 0,
  };
  readonly #node: SluiceNode;
  readonly #random: Random;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  readonly #lanes: Promise<void>[] = [];
  readonly #ending = new AbortController();
  #cold = 0;

  constructor(node: SluiceNode, random: Random) {
    this.#node = node;
    this.#random = random;
  }

  /** Everything that is known from the beginning. */
  async warmUp(): Promise<void> {
    for (let number = 0; number < hotModules; number++) {
      for (const kind of ["info", "mod", "zip"]) await this.#expect("first", this.#file("hot", number, kind));
    }
  }

  start(): void {
    for (let client = 0; client < 4; client++) this.#every(120, () => this.#hot());
    this.#every(700, () => this.#download("cold", this.#cold++));
    this.#every(900, () => this.#warm());
    this.#every(400, () => this.#record());
    this.#every(1000, () => this.#unknown());
    this.#every(2500, () => this.#hangUp());
    this.#every(4000, () => this.#readSlowly());
    this.#every(60_000, () => this.#go());
    this.#every(45_000, () => this.#purge());
    // Each makes another service beside the one that counts.
    this.#every(150_000, () => this.#operate("/-/reload", {}));
  }

  /** Resolves when all requests have ended. */
  async end(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#lanes);
    this.#agent.destroy();
  }

  #every(ms: number, work: () => Promise<void>): void {
    const lane = async (): Promise<void> => {
      while (!this.#ending.signal.aborted) {
        await work().catch((error: unknown) => this.#problem(String(error)));
        await delay(ms / 2 + this.#random.int(ms), undefined, { signal: this.#ending.signal }).catch(() => undefined);
      }
    };
    this.#lanes.push(lane());
  }

  #hot(): Promise<void> {
    const kind = this.#random.pick(["info", "mod", "mod", "zip"]);
    return this.#expect("hot", this.#file("hot", this.#random.int(hotModules), kind));
  }

  /** As go does: one after the other. */
  async #download(what: string, number: number): Promise<void> {
    for (const kind of ["info", "mod", "zip"]) await this.#expect(what, this.#file("cold", number, kind));
  }

  /** Fetched before, and perhaps gone from the disk since. */
  async #warm(): Promise<void> {
    if (this.#cold > 5) await this.#download("warm", this.#random.int(this.#cold - 2));
  }

  #record(): Promise<void> {
    const module = generatedModule("hot", this.#random.int(hotModules));
    return this.#expect("records", `${module}/${this.#random.pick(["@v/list", "@latest", "@v/main.info"])}`);
  }

  /** Modules that do not exist. While the upstream is away nobody can know that. */
  async #unknown(): Promise<void> {
    const key = `example.com/none/m${this.#random.int(100_000)}/@v/list`;
    const answer = await this.#ask("unknown", key);
    if (answer !== undefined && ![404, 502, 503, 504].includes(answer.status))
      this.#problem(`unknown: ${answer.status} ${key}`);
  }

  /** A client that goes away in the middle. */
  async #hangUp(): Promise<void> {
    this.#count("hang-ups");
    const after = this.#random.int(300);
    const signal = AbortSignal.any([AbortSignal.timeout(after), this.#ending.signal]);
    const key = this.#file("gone", this.#cold, "zip");
    await ask(this.#node.url, `/${key}`, { signal }).catch(() => undefined);
  }

  /** A client that takes a zip so slowly that it is in the way for long. */
  async #readSlowly(): Promise<void> {
    const key = this.#file("hot", this.#random.int(hotModules), "zip");
    this.#count("slow readers");
    const wanted = generatedFile(key) ?? Buffer.alloc(0);
    const answer = Promise.withResolvers<string | undefined>();
    const signal = AbortSignal.timeout(patienceMs);
    const request = get(`${this.#node.url}/${key}`, { agent: false, signal }, (response) => {
      let at = 0;
      let isRight = response.statusCode === 200;
      response.on("data", (chunk: Buffer) => {
        isRight &&= wanted.subarray(at, at + chunk.length).equals(chunk);
        at += chunk.length;
        response.pause();
        void delay((chunk.length / slowBytesPerSecond) * 1000).then(() => response.resume());
      });
      response.on("end", () =>
        answer.resolve(isRight && at === wanted.length ? undefined : `${response.statusCode}, or wrong bytes`),
      );
      response.on("error", (error) => answer.resolve(error.message));
    });
    request.on("error", (error) => answer.resolve(error.message));
    const problem = await answer.promise;
    if (problem !== undefined) this.#problem(`slow reader: ${key}: ${problem}`);
  }

  /** The real command, with an empty module cache: some that it knows, one that is new. */
  async #go(): Promise<void> {
    this.#count("go mod download");
    const numbers = Array.from({ length: 4 }, () => this.#random.int(hotModules));
    const keys = [
      ...new Set(numbers.map((number) => this.#file("hot", number, "zip"))),
      this.#file("go", this.#cold, "zip"),
    ];
    const machine = await createGoMachine({ GOPROXY: this.#node.url }, { timeoutMs: patienceMs });
    try {
      const modules = keys.map((key) => key.replace("/@v/", "@").replace(/\.zip$/, ""));
      const { code, stdout, stderr } = await machine.go(["mod", "download", "-json", ...modules]);
      if (code !== 0) return this.#problem(`go: ${stdout}${stderr}`.slice(0, 800));
      for (const key of keys) {
        const bytes = await readFile(path.join(machine.modCache, "cache/download", key));
        if (!bytes.equals(generatedFile(key) ?? Buffer.alloc(0))) this.#wrong(`go has other bytes: ${key}`);
      }
    } finally {
      await machine.remove();
    }
  }

  #purge(): Promise<void> {
    return this.#operate("/-/purge", { module: generatedModule("hot", this.#random.int(hotModules)) });
  }

  async #operate(where: string, body: Readonly<Record<string, string>>): Promise<void> {
    this.#count(where);
    const token = (await readFile(path.join(this.#node.dataDir, "admin.token"), "utf8")).trim();
    const answer = await fetch(`${this.#node.url}${where}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(patienceMs),
    }).catch((error: unknown) => String(error));
    const text = typeof answer === "string" ? answer : await answer.text();
    if (typeof answer === "string" || !answer.ok) this.#problem(`${where}: ${text}`);
  }

  async #expect(what: string, key: string): Promise<void> {
    const answer = await this.#ask(what, key);
    const wanted = generatedFile(key);
    if (answer === undefined || wanted === undefined) return;
    const { status, body, broken } = answer;
    if (status === 404) this.figures.falseNotFounds += 1;
    if (status !== 200 || broken)
      return this.#problem(`${what}: ${key}: ${status}${broken ? ", cut" : ""} ${body.toString().slice(0, 200)}`);
    const isRight = /\.info$|@latest$/.test(key) ? isSameInfo(body, wanted) : body.equals(wanted);
    if (!isRight) this.#wrong(`${what}: ${key}: wrong bytes`);
  }

  async #ask(what: string, key: string): Promise<RawAnswer | undefined> {
    this.#count(what);
    const startedAt = performance.now();
    const answer = await this.#tryAsk(what, key);
    const ms = Math.round(performance.now() - startedAt);
    this.figures.slowest.set(what, Math.max(this.figures.slowest.get(what) ?? 0, ms));
    return answer;
  }

  async #tryAsk(what: string, key: string): Promise<RawAnswer | undefined> {
    const options = { agent: this.#agent, signal: AbortSignal.timeout(patienceMs) };
    try {
      return await ask(this.#node.url, `/${key}`, options);
    } catch (error) {
      this.#problem(`${what}: ${key}: ${String(error)}`);
      return undefined;
    }
  }

  #file(set: string, number: number, kind: string): string {
    const version = generatedVersions[number % generatedVersions.length] ?? generatedVersions[0];
    return `${generatedModule(set, number)}/@v/${version}.${kind}`;
  }

  #wrong(text: string): void {
    this.figures.wrongBytes += 1;
    this.#problem(text);
  }

  #problem(text: string): void {
    this.figures.problems.push(text);
  }

  #count(what: string): void {
    this.figures.requests.set(what, (this.figures.requests.get(what) ?? 0) + 1);
  }
}
