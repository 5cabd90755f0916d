import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { createRandom } from "../support/random.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { moduleFiles, openWriterStore, recordContent, recordKey } from "../support/store-writer.ts";

const writerScript = path.resolve(import.meta.dirname, "../support/store-writer.ts");

let dataDir: string;
let children: ChildProcess[];

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "sluice-processes-"));
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(dataDir, { recursive: true, force: true });
});

describe("a writer killed with SIGKILL, again and again", () => {
  it("leaves whole files only, everything it said was kept, and nothing to clean up by hand", async () => {
    const random = createRandom(20_261_121);
    const kept = new Set<string>();
    let sweptFiles = 0;
    for (let round = 0; round < 8; round++) {
      const written = await writeUntilKilled({ first: round * 1000, lines: 1 + random.int(25) });
      for (const key of written) kept.add(key);

      const stored = await storedFiles();
      expect([...stored.keys()].filter((key) => !isWhole(key, stored.get(key) ?? Buffer.alloc(0)))).toEqual([]);
      expect([...kept].filter((key) => !stored.has(key))).toEqual([]);
      sweptFiles += (await readdir(path.join(dataDir, "staging"))).length;

      const events = recordEvents();
      const store = await openWriterStore(dataDir, events);
      expect(await readdir(path.join(dataDir, "staging"))).toEqual([]);
      const files = [...stored.keys()].filter((key) => /\.(info|mod|zip)$/.test(key));
      for (const key of files) expect(await store.read(parseRequest(`/${key}`)), key).toBeDefined();
      expect(await store.readRecord(parseRequest(`/${recordKey}`))).toBeDefined();
      await store.close();
      expect(events.all).toEqual([]);
      expectSoundLedger();
    }
    // Otherwise no kill hit a write, and this proved nothing.
    expect(sweptFiles).toBeGreaterThan(0);
  }, 120_000);
});

describe("several writers in one folder", () => {
  it("agree on every file, and so do disk and ledger", async () => {
    const writers = ["one", "two", "three"];
    const answers = await Promise.all(writers.map((writer) => writeAll(writer, 20)));
    const stored = await storedFiles();
    const facts = recordedHashes();
    for (const [key, sha256] of answers[0] ?? []) {
      expect(answers.map((answer) => answer.get(key))).toEqual([sha256, sha256, sha256]);
      expect(sha256Of(stored.get(key) ?? Buffer.alloc(0))).toBe(sha256);
      expect(facts.get(key)).toBe(sha256);
    }
    expect(answers[0]?.size).toBe(60);
    expect(await readdir(path.join(dataDir, "staging"))).toEqual([]);
    expect(await readdir(path.join(dataDir, "quarantine"))).toEqual([]);
    expectSoundLedger();
  }, 120_000);
});

/** Answers the keys that the writer reported before it was killed. */
async function writeUntilKilled({ first, lines }: { first: number; lines: number }): Promise<string[]> {
  const child = startWriter(["--first", String(first)]);
  const keys: string[] = [];
  for await (const { key } of reportsOf(child)) {
    keys.push(key);
    if (keys.length === lines) child.kill("SIGKILL");
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  return keys;
}

async function writeAll(writer: string, modules: number): Promise<Map<string, string>> {
  const child = startWriter(["--writer", writer, "--last", String(modules - 1)]);
  const answers = new Map<string, string>();
  for await (const { key, sha256 } of reportsOf(child)) answers.set(key, sha256);
  if (child.exitCode === null) await once(child, "exit");
  expect(child.exitCode).toBe(0);
  return answers;
}

function startWriter(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [writerScript, "--data", dataDir, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

async function* reportsOf(child: ChildProcess): AsyncGenerator<{ key: string; sha256: string }> {
  if (child.stdout === null) throw new Error("the writer has no stdout");
  for await (const line of createInterface({ input: child.stdout })) {
    const report: unknown = JSON.parse(line);
    if (typeof report !== "object" || report === null || !("key" in report && "sha256" in report)) continue;
    yield { key: String(report.key), sha256: String(report.sha256) };
  }
}

async function storedFiles(): Promise<Map<string, Buffer>> {
  const root = path.join(dataDir, "modules");
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(files.map(async (file) => [path.relative(root, file), await readFile(file)] as const)),
  );
}

function isWhole(key: string, bytes: Buffer): boolean {
  if (key === recordKey) return bytes.toString() === recordContent(Number(/^v1\.(\d+)\./.exec(bytes.toString())?.[1]));
  if (key.endsWith(".ziphash")) return /^h1:[A-Za-z0-9+/]{43}=$/.test(bytes.toString());
  const index = Number(/^example\.com\/m(\d+)\//.exec(key)?.[1]);
  return moduleFiles(index, "writer").get(key)?.equals(bytes) ?? false;
}

function expectSoundLedger(): void {
  const db = new DatabaseSync(path.join(dataDir, "ledger.db"));
  try {
    expect(db.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  } finally {
    db.close();
  }
}

function recordedHashes(): Map<string, string> {
  const db = new DatabaseSync(path.join(dataDir, "ledger.db"), { readOnly: true });
  try {
    return new Map(
      db
        .prepare("SELECT key, sha256 FROM facts")
        .all()
        .map((row) => [String(row["key"]), String(row["sha256"])]),
    );
  } finally {
    db.close();
  }
}

function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
