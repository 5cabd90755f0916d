import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { systemClock } from "../../src/core/clock.ts";
import type { SignedTree, SumStore } from "../../src/core/ports.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { parseSignerKey, parseVerifierKey } from "../../src/protocol/sumdb/index.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import { auditLog as auditServedLog } from "../../src/sumdb/audit/audit.ts";
import { createLogReader } from "../../src/sumdb/audit/log-reader.ts";
import type { LoggedLookup } from "../support/log-writer.ts";
import { auditLog, context, openTestLog, ownLogKey, treeHashOfSize } from "../support/own-log.ts";
import { lacksPostgres, type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { createRandom } from "../support/random.ts";
import { serveLog } from "../support/served-log.ts";
import { shareSumStore } from "../support/shared-sum-store.ts";

const writerScript = path.resolve(import.meta.dirname, "../support/log-writer.ts");
const lineSchema = z.object({ n: z.number(), id: z.number(), text: z.string(), size: z.number(), hash: z.string() });
const nodes = ["one", "two", "three"];

describe.skipIf(lacksPostgres())("three nodes with one log in PostgreSQL", () => {
  let server: PostgresServer;
  let folder: string;
  let url: string;
  let children: Set<ChildProcess>;
  /** All that any node has ever answered. */
  let answers: LoggedLookup[];

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-nodes-"));
    url = await server.createDatabase();
    children = new Set();
    answers = [];
  });

  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  afterAll(() => server.stop());

  it("agree on every record and every tree", async () => {
    await Promise.all(nodes.map((node) => lookUp(node, { last: 399 })));
    const { size } = await checkAll();
    expect(size).toBe(400);
    expect(answers).toHaveLength(3 * 400);
  }, 120_000);

  it("never fork and never lose an answered record when they are killed again and again", async () => {
    const random = createRandom(20_261_121);
    let first = 0;
    for (let round = 0; round < 6; round++) {
      await Promise.all(nodes.map((node) => lookUp(node, { first, killAfter: 5 + random.int(80) })));
      ({ size: first } = await checkAll());
    }
    await Promise.all(nodes.map((node) => lookUp(node, { last: first + 20 })));
    expect((await checkAll()).size).toBeGreaterThan(first);
  }, 240_000);

  it("go on when the database is killed under them", async () => {
    const working = nodes.map((node) => lookUp(node, { last: 599 }));
    await untilAnswered(150);
    await server.kill();
    await server.startAgain();
    await Promise.all(working);
    const { size } = await checkAll();
    expect(size).toBe(600);
  }, 120_000);

  it("have a log that holds for an auditor, whichever of them is asked", async () => {
    await Promise.all(nodes.map((node) => lookUp(node, { last: 299 })));
    const http = createHttpClient({ ca: [], userAgent: "test", instanceId: "test" });
    let previous: SignedTree | undefined;
    for (const node of [...nodes, "new"]) {
      const store = await openNode(node);
      const { log } = await openTestLog({ store });
      const served = await serveLog(log);
      const { tree, findings, lookups } = await auditServedLog({
        log: createLogReader({ url: new URL(served.url), http, clock: systemClock, signal: context.signal }),
        verifiers: [parseVerifierKey(parseSignerKey(ownLogKey()).verifierKey)],
        lookups: 20,
        previous,
      });
      previous = tree;
      expect({ findings, lookups, size: tree.size }).toEqual({ findings: [], lookups: 20, size: 300 });
      await log.close();
      await store.close();
    }
    await http.close();
  }, 120_000);

  /** Each has a folder of its own. It would like other hashes than the others: whoever is first decides. */
  async function lookUp(
    node: string,
    { first = 0, last = 1_000_000, killAfter }: { first?: number; last?: number; killAfter?: number },
  ): Promise<void> {
    await mkdir(path.join(folder, node), { recursive: true });
    const args = ["--file", path.join(folder, node, "sumdb.db"), "--database", url, "--writer", node];
    const child = spawn(process.execPath, [writerScript, ...args, "--first", String(first), "--last", String(last)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.add(child);
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === "starting") continue;
      answers.push(lineSchema.parse(JSON.parse(line)));
      if (++lines === killAfter) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    expect(killAfter === undefined ? child.exitCode : child.signalCode).toBe(killAfter === undefined ? 0 : "SIGKILL");
  }

  async function untilAnswered(count: number): Promise<void> {
    while (answers.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Of the log as each node and a new one have it: it has all that was answered, and continues all that was signed. */
  async function checkAll(): Promise<{ size: number }> {
    let size = 0;
    for (const node of ["new", ...nodes]) {
      const store = await openNode(node);
      const { texts, hashes } = await auditLog(store);
      for (const answer of answers) {
        if (texts[answer.id] !== answer.text)
          throw new Error(`${node} has another record ${answer.id} than was answered`);
        const isContinued = Buffer.from(treeHashOfSize(hashes, answer.size)).toString("hex") === answer.hash;
        if (!isContinued) throw new Error(`${node} does not continue the tree of ${answer.size} that was signed`);
      }
      if (node !== "new" && texts.length !== size) throw new Error(`${node} has ${texts.length} records, not ${size}`);
      size = texts.length;
      await store.close();
    }
    await rm(path.join(folder, "new"), { recursive: true });
    return { size };
  }

  async function openNode(node: string): Promise<SumStore> {
    await mkdir(path.join(folder, node), { recursive: true });
    return shareSumStore(
      await openSqliteSumStore({ file: path.join(folder, node, "sumdb.db"), clock: systemClock }),
      url,
    );
  }
});
