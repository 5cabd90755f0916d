import { Agent } from "node:http";
import { generatedFile, generatedModule, generatedVersions } from "../generated-modules.ts";
import type { Random } from "../../support/random.ts";
import { ask } from "../../support/raw-http.ts";

/** Nothing is that slow here: who waits longer hangs. */
const patienceMs = 20_000;

/** One file that clients ask for, and what has come of it. */
interface Asked {
  readonly key: string;
  readonly isAcknowledged: boolean;
}

/** Clients that ask for cold files without a pause, until the node is killed under them. */
export class Ingest {
  /** Keys of files that came whole, with status 200 and the right bytes. */
  readonly acknowledged: string[] = [];
  /** Those that were under way when it ended, or failed: a client would ask again. */
  readonly interrupted: string[] = [];
  /** What a node that was not killed must not do. */
  readonly problems: string[] = [];
  readonly #url: string;
  readonly #queue: string[];
  readonly #cold: Iterator<string>;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #done: Promise<unknown>;
  #underWay = 0;
  #isEnding = false;
  #isKilled = false;

  /** What was interrupted before comes first, then what `set` has. */
  constructor({ url, again, set, random }: { url: string; again: readonly string[]; set: string; random: Random }) {
    this.#url = url;
    this.#queue = [...again];
    this.#cold = coldKeys(set, random);
    this.#done = Promise.all(Array.from({ length: 6 }, () => this.#goOn()));
  }

  /** Requests without an answer yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** From now on failures are the killed node's. */
  noticeKill(): void {
    this.#isKilled = true;
    this.#isEnding = true;
  }

  /** No new requests; resolves when all have ended. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#done;
    this.#agent.destroy();
  }

  async #goOn(): Promise<void> {
    while (!this.#isEnding) {
      const next = this.#queue.shift() ?? this.#cold.next().value;
      this.#underWay += 1;
      const { key, isAcknowledged } = await this.#ask(String(next));
      this.#underWay -= 1;
      (isAcknowledged ? this.acknowledged : this.interrupted).push(key);
    }
  }

  async #ask(key: string): Promise<Asked> {
    const problem = await problemOf(this.#url, key, this.#agent);
    if (problem === undefined) return { key, isAcknowledged: true };
    // A cut is what a kill does; another answer, or other bytes, are never right.
    if (!problem.isCut || !this.#isKilled) this.problems.push(`${key}: ${problem.text}`);
    return { key, isAcknowledged: false };
  }
}

/** Undefined: it came whole, and is what the upstream has. */
export async function problemOf(
  url: string,
  key: string,
  agent?: Agent,
): Promise<{ readonly text: string; readonly isCut: boolean } | undefined> {
  const signal = AbortSignal.timeout(patienceMs);
  const options = { signal, ...(agent !== undefined && { agent }) };
  const answer = await ask(url, `/${key}`, options).catch((error: unknown) => String(error));
  if (signal.aborted) return { text: `nothing more came within ${patienceMs} ms`, isCut: false };
  if (typeof answer === "string") return { text: answer, isCut: true };
  const { status, body, broken } = answer;
  const wanted = generatedFile(key);
  if (wanted === undefined) throw new Error(`${key} is no generated file`);
  // What came of a broken transfer must be the beginning of the right file, too.
  const isRight = key.endsWith(".info")
    ? broken || isSameInfo(body, wanted)
    : wanted.subarray(0, body.length).equals(body);
  if (status === 200 && !isRight) return { text: "wrong bytes", isCut: false };
  if (status !== 200) return { text: `${status} ${body.toString().slice(0, 300)}`, isCut: false };
  if (broken || (!key.endsWith(".info") && body.length !== wanted.length)) return { text: "cut", isCut: broken };
  return undefined;
}

/** Sluice writes them itself. */
export function isSameInfo(one: Buffer, other: Buffer): boolean {
  try {
    const [a, b]: Readonly<Record<string, unknown>>[] = [JSON.parse(one.toString()), JSON.parse(other.toString())];
    return a?.["Version"] === b?.["Version"] && a?.["Time"] === b?.["Time"];
  } catch {
    return false;
  }
}

/** Files of module after module, mostly as go asks for them, without end. */
function* coldKeys(set: string, random: Random): Generator<string, never> {
  for (let number = 0; ; number++) {
    const kinds = random.chance(70) ? ["info", "mod", "zip"] : ["zip", "mod", "info"];
    const prefix = `${generatedModule(set, number)}/@v/`;
    const version = random.pick(generatedVersions);
    if (random.chance(20)) yield `${prefix}list`;
    for (const kind of kinds) yield `${prefix}${version}.${kind}`;
  }
}
