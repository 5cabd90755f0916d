import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { newTiles, type Tile, tilePath } from "../../src/protocol/sumdb/index.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { SumStore } from "../../src/core/ports.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import type { LoggedLookup } from "../support/log-writer.ts";
import { auditLog, context, openTestLog, ownLogName, treeHashOfSize } from "../support/own-log.ts";
import { createRandom } from "../support/random.ts";

const writerScript = path.resolve(import.meta.dirname, "../support/log-writer.ts");
const lineSchema = z.object({ n: z.number(), id: z.number(), text: z.string(), size: z.number(), hash: z.string() });

let folder: string;
let data: string;
let children: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "sluice-own-log-"));
  data = path.join(folder, "data");
  await mkdir(data);
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

describe("a log whose process is killed with SIGKILL a hundred times while it appends", () => {
  it("never forks, never loses a record that it answered, never changes a tile", async () => {
    const random = createRandom(20_261_122);
    const audit = new Audit();
    for (let round = 0; round < 100; round++) {
      // The first ones while the database is made.
      const lines = round < 4 ? 0 : random.int(120);
      audit.answered(await lookUpUntilKilled({ first: audit.size, lines }));
      await audit.check(`after kill ${round}`);
    }
    // Otherwise no kill came between a commit and its answers, and this proved little.
    expect(audit.neverAnswered).toBeGreaterThan(0);
    audit.answered(await lookUpAll({ writer: "last", first: 0, last: audit.size - 1 }));
    await audit.check("at the end");
    expect(audit.neverAnswered).toBe(0);
    expect(await namesInData()).toEqual(["sumdb.db", "sumdb.db.keep"]);
  }, 600_000);
});

describe("several processes with one log", () => {
  it("agree on every record", async () => {
    const writers = ["one", "two", "three"];
    const answers = await Promise.all(writers.map((writer) => lookUpAll({ writer, first: 0, last: 999 })));
    const audit = new Audit();
    for (const lines of answers) {
      audit.answered(lines);
      expect(recordsOf(lines)).toEqual(recordsOf(answers[0] ?? []));
    }
    await audit.check("at the end");
    expect(audit.size).toBe(1000);
    expect(await namesInData()).toEqual(["sumdb.db", "sumdb.db.keep"]);
  }, 120_000);

  it("go on when one of them is killed", async () => {
    const survivors = ["one", "two"].map((writer) => lookUpAll({ writer, first: 0, last: 1499 }));
    const audit = new Audit();
    for (let round = 0; round < 5; round++) audit.answered(await lookUpUntilKilled({ first: round * 300, lines: 60 }));
    for (const lines of await Promise.all(survivors)) audit.answered(lines);
    await audit.check("at the end");
    expect(audit.size).toBeGreaterThanOrEqual(1500);
  }, 120_000);
});

/** Everything that was ever answered, compared with what is in the log now. Throws where they differ. */
class Audit {
  size = 0;
  readonly #texts = new Map<number, string>();
  /** Size to hash, in hex. */
  readonly #trees = new Map<number, string>();
  readonly #tiles: { readonly tile: Tile; readonly bytes: Buffer }[] = [];

  /** Records that were committed when their process was killed before it could answer them. */
  get neverAnswered(): number {
    return this.size - this.#texts.size;
  }

  answered(lines: readonly LoggedLookup[]): void {
    for (const { id, text, size, hash } of lines) {
      if ((this.#texts.get(id) ?? text) !== text) throw new Error(`record ${id} was answered in two ways`);
      if ((this.#trees.get(size) ?? hash) !== hash) throw new Error(`the tree of ${size} was signed in two ways`);
      if (id >= size) throw new Error(`record ${id} was answered with a tree of ${size}`);
      this.#texts.set(id, text);
      this.#trees.set(size, hash);
    }
  }

  /** On a copy, so that the next process finds what the killed one left. */
  async check(when: string): Promise<void> {
    const copy = await mkdtemp(path.join(folder, "copy-"));
    await cp(data, copy, { recursive: true });
    const store = await openSqliteSumStore({ file: path.join(copy, "sumdb.db"), clock: systemClock });
    const { texts, hashes } = await auditLog(store);
    for (const [id, text] of this.#texts) {
      if (texts[id] !== text) throw new Error(`record ${id} was answered and is not there ${when}`);
    }
    for (const [size, hash] of this.#trees) {
      const isThere = size <= texts.length && Buffer.from(treeHashOfSize(hashes, size)).toString("hex") === hash;
      if (!isThere) throw new Error(`the tree of ${size} was signed and is not continued ${when}`);
    }
    await this.#checkTiles(store, when);
    this.size = texts.length;
    await store.close();
    await rm(copy, { recursive: true });
  }

  async #checkTiles(store: SumStore, when: string): Promise<void> {
    const { log } = await openTestLog({ store });
    const bytesOf = async (tile: Tile) => Buffer.from((await log.tile(tile, context)).bytes ?? []);
    for (const { tile, bytes } of this.#tiles) {
      if (!bytes.equals(await bytesOf(tile))) throw new Error(`${tilePath(tile)} changed ${when}`);
    }
    const { size } = await store.logTree(ownLogName);
    for (const tile of newTiles(8, this.size, size)) {
      const both = tile.level === 0 ? [tile, { ...tile, level: -1 }] : [tile];
      for (const tile of both) this.#tiles.push({ tile, bytes: await bytesOf(tile) });
    }
  }
}

/** Without what a process that was killed right at its first start left of the database it made. */
async function namesInData(): Promise<string[]> {
  return (await readdir(data)).filter((name) => !name.startsWith("sumdb.db.new-")).sort();
}

/** Answers what it said before it was killed, which was right after so many answers. */
async function lookUpUntilKilled({ first, lines }: { first: number; lines: number }): Promise<LoggedLookup[]> {
  const child = startWriter(["--first", String(first)]);
  const answers: LoggedLookup[] = [];
  if (lines === 0) {
    await once(child.stdout ?? child, "data");
    child.kill("SIGKILL");
  }
  for await (const answer of answersOf(child)) {
    answers.push(answer);
    if (answers.length === lines) child.kill("SIGKILL");
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  return answers;
}

async function lookUpAll({ writer, first, last }: { writer: string; first: number; last: number }) {
  const child = startWriter(["--writer", writer, "--first", String(first), "--last", String(last)]);
  const answers = await Array.fromAsync(answersOf(child));
  if (child.exitCode === null) await once(child, "exit");
  expect(child.exitCode).toBe(0);
  return answers;
}

function startWriter(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [writerScript, "--file", path.join(data, "sumdb.db"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

async function* answersOf(child: ChildProcess): AsyncGenerator<LoggedLookup> {
  if (child.stdout === null) throw new Error("the writer has no stdout");
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== "starting") yield lineSchema.parse(JSON.parse(line));
  }
}

function recordsOf(lines: readonly LoggedLookup[]): Map<number, string> {
  return new Map(lines.toSorted((a, b) => a.n - b.n).map(({ n, id, text }) => [n, `${id} ${text}`]));
}
