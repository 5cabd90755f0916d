import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  addedFacts,
  type NodeLedger,
  nodeLedgerProgram,
  type NodeLedgerOptions,
  openNodeLedger,
} from "../../../test/support/node-ledger.ts";
import { lacksPostgres, type PostgresServer, startPostgresServer } from "../../../test/support/postgres-server.ts";
import { type RecordedEvents, recordEvents } from "../../../test/support/recorded-events.ts";
import { factsOf, ledgerSuite } from "../../../test/suites/ledger.ts";
import { hashGoMod } from "../../protocol/zip/index.ts";
import { systemClock } from "../../core/clock.ts";
import { SluiceError } from "../../core/errors.ts";
import type { FileFacts } from "../../core/ports.ts";
import { openSqliteLedger } from "./sqlite.ts";

describe.skipIf(lacksPostgres())("with a PostgreSQL server", () => {
  let server: PostgresServer;
  let folder: string;
  let url: string;
  let events: RecordedEvents;
  let opened: NodeLedger[];
  let children: ChildProcess[];

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-tiered-"));
    url = await server.createDatabase();
    events = recordEvents();
    opened = [];
    children = [];
  });

  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(opened.map(({ ledger }) => ledger.close()));
    await rm(folder, { recursive: true, force: true });
  });

  afterAll(() => server.stop());

  ledgerSuite("one node of several", async () => {
    let nodes = 0;
    const openAgain = async () => (await openNode(`node-${nodes++}`)).ledger;
    return { ledger: await openAgain(), openAgain, remove: () => Promise.resolve() };
  });

  ledgerSuite("several processes of one node", async () => {
    const openAgain = async () => (await openNode("node")).ledger;
    return { ledger: await openAgain(), openAgain, remove: () => Promise.resolve() };
  });

  describe("a node that shares its ledger", () => {
    it("tells the others what it knew before", async () => {
      await openNode("other");
      const local = await openSqliteLedger({ file: path.join(folder, "before.db"), clock: systemClock, events });
      for (let n = 0; n < 1100; n++) await local.addFacts(addedFacts(n));
      await local.addUnverified({ key: "a", h1: hashGoMod(Buffer.from("a")), reason: "why", since: 1 });
      await local.close();
      await openNode("node", { ledgerFile: "before.db" });
      await vi.waitFor(async () => expect(await count("sluice_facts")).toBe(1100), { timeout: 20_000 });
      expect(await count("sluice_unverified")).toBe(1);
      expect(events.of("ledger_caught_up")).toHaveLength(1);
    });

    it("knows what a file must be that only others have", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      await one.ledger.addFacts(factsOf("a"));
      expect(await other.ledger.facts("a")).toEqual(factsOf("a"));
      await one.ledger.addUnverified({ key: "a", h1: hashGoMod(Buffer.from("a")), reason: "why", since: 1 });
      expect(await other.ledger.unverified("a")).toMatchObject({ reason: "why" });
    });

    it("gives way to the one that was first with another content", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      await one.ledger.addFacts(factsOf("a"));
      expect(await other.ledger.addFacts(otherFacts("a"))).toEqual(factsOf("a"));
      expect(await other.ledger.facts("a")).toEqual(factsOf("a"));
      expect(events.of("ledger_conflict")).toMatchObject([
        { key: "a", source: "other", standingSource: factsOf("a").source },
      ]);
    });

    it("keeps its own bytes of what has the same h1", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      const packedAnew = { ...factsOf("a"), size: 2, sha256: "cd".repeat(32), source: "other" };
      await one.ledger.addFacts(factsOf("a"));
      expect(await other.ledger.addFacts(packedAnew)).toEqual(packedAnew);
      expect(await other.ledger.facts("a")).toEqual(packedAnew);
      expect(await one.ledger.facts("a")).toEqual(factsOf("a"));
      expect(events.of("ledger_conflict")).toEqual([]);
    });

    it("removes from the others only what it means itself", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      const packedAnew = { ...factsOf("a"), sha256: "cd".repeat(32) };
      await one.ledger.addFacts(factsOf("a"));
      await other.ledger.addFacts(packedAnew);
      expect(await other.ledger.removeFacts("a")).toBe(true);
      expect(await one.ledger.facts("a")).toEqual(factsOf("a"));
      expect(await other.ledger.facts("a")).toEqual(factsOf("a"));
      await one.ledger.removeFacts("a");
      expect(await other.ledger.facts("a")).toBeUndefined();
    });

    it("profits when another confirms a record, and never takes its own for broken", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      await one.ledger.setFreshness({ key: "a", sha256: "11", source: "s", checkedAt: 1 });
      await one.ledger.setFreshness({ key: "a", sha256: "22", source: "s", checkedAt: 2 });
      await other.ledger.setFreshness({ key: "a", sha256: "22", source: "s", checkedAt: 5 });
      expect(await one.ledger.freshness("a")).toEqual({
        key: "a",
        sha256: "22",
        source: "s",
        checkedAt: 5,
        previousSha256: "11",
      });
      await other.ledger.setFreshness({ key: "a", sha256: "33", source: "s", checkedAt: 6 });
      expect(await one.ledger.freshness("a")).toMatchObject({ sha256: "33", isElsewhere: true });
      await one.ledger.setFreshness({ key: "a", sha256: "44", source: "s", checkedAt: 4 });
      expect(await other.ledger.freshness("a")).toMatchObject({ sha256: "33", checkedAt: 6 });
    });

    it("does not lose a confirmation to another mark of the same file", async () => {
      const [one, other] = [await openNode("one"), await openNode("other")];
      const mark = { key: "a", h1: hashGoMod(Buffer.from("a")), reason: "why", since: 1 };
      await one.ledger.addUnverified(mark);
      const newer = { ...mark, h1: hashGoMod(Buffer.from("b")) };
      await other.ledger.addUnverified(newer);
      expect(await one.ledger.removeUnverified("a")).toBe(true);
      expect(await one.ledger.unverified("a")).toEqual(newer);
    });

    it("does without what the database can never hold, and writes the rest", async () => {
      const { ledger, queue } = await openNode("one");
      await server.kill();
      await ledger.addFacts(factsOf("a"));
      await ledger.addFacts({ ...factsOf("b"), source: "with a zero byte: \0" });
      await ledger.addFacts(factsOf("c"));
      await server.startAgain();
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await keysOf("sluice_facts")).toEqual(["a", "c"]);
      expect(events.of("store_failed")).toMatchObject([{ operation: "catch up" }]);
    });
  });

  describe("while the database is not there, a node", () => {
    it("goes on by itself, and tells the others when it is back", async () => {
      const { ledger, queue } = await openNode("one");
      await ledger.addFacts(factsOf("before"));
      await server.kill();
      expect(await ledger.addFacts(factsOf("a"))).toEqual(factsOf("a"));
      await ledger.addFacts(factsOf("removed"));
      await ledger.removeFacts("removed");
      for (let n = 1; n <= 50; n++) await ledger.setFreshness({ key: "l", sha256: `${n}`, source: "s", checkedAt: n });
      await ledger.addUnverified({ key: "a", h1: hashGoMod(Buffer.from("a")), reason: "why", since: 1 });
      await ledger.addUnverified({ key: "b", h1: hashGoMod(Buffer.from("b")), reason: "why", since: 1 });
      await ledger.removeUnverified("b");
      expect(await ledger.facts("before")).toEqual(factsOf("before"));
      expect(await ledger.facts("a")).toEqual(factsOf("a"));
      expect(await ledger.freshness("l")).toMatchObject({ checkedAt: 50 });
      await expect(ledger.check()).resolves.toBeUndefined();
      // Of the record's confirmations the last one.
      expect(queue.length().writes).toBe(7);
      await server.startAgain();
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await keysOf("sluice_facts")).toEqual(["a", "before"]);
      expect(await keysOf("sluice_unverified")).toEqual(["a"]);
      expect(await keysOf("sluice_freshness")).toEqual(["l"]);
    });

    it("starts, and catches up with what it did", async () => {
      await server.kill();
      const { ledger, queue } = await openNode("one");
      await ledger.addFacts(factsOf("a"));
      await server.startAgain();
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await keysOf("sluice_facts")).toEqual(["a"]);
    });

    it("does not believe what it has removed, though the others have not been told yet", async () => {
      const { ledger, queue } = await openNode("one", { timeoutMs: 200 });
      await ledger.addFacts(factsOf("a"));
      const sql = server.sql(url);
      await sql.unsafe(
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON sluice_facts FOR EACH STATEMENT EXECUTE FUNCTION refuse()`,
      );
      await ledger.removeFacts("a");
      expect(await ledger.facts("a")).toBeUndefined();
      expect(queue.length().writes).toBe(1);
      await sql.unsafe("DROP TRIGGER refuse ON sluice_facts");
      await sql.end();
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await keysOf("sluice_facts")).toEqual([]);
    });

    it("gives way afterwards to one that was first with another content", async () => {
      const conflicts: FileFacts[] = [];
      const onConflict = async (ours: FileFacts, settle: () => Promise<void>) => {
        conflicts.push(ours);
        if (conflicts.length === 1) throw new SluiceError("storage_failed", "the disk does not answer");
        await settle();
      };
      const one = await openNode("one");
      await server.kill();
      const other = await openNode("other", { onConflict });
      await other.ledger.addUnverified({
        key: "a",
        h1: otherFacts("a").h1 ?? hashGoMod(Buffer.of()),
        reason: "why",
        since: 1,
      });
      await other.ledger.addFacts(otherFacts("a"));
      await other.ledger.addFacts(otherFacts("b"));
      await other.database.close();
      await server.startAgain();
      await vi.waitFor(() => expect(one.database.isUp).toBe(true), { timeout: 20_000 });
      await one.ledger.addFacts(factsOf("a"));
      await other.ledger.close();
      const again = await openNode("other", { onConflict });
      await vi.waitFor(() => expect(again.queue.length().writes).toBe(0), { timeout: 20_000 });
      // Again, as the first time it failed.
      expect(conflicts).toEqual([otherFacts("a"), otherFacts("a")]);
      expect(events.of("ledger_conflict")).toMatchObject(conflicts.map(() => ({ key: "a", source: "other" })));
      expect(await one.ledger.facts("a")).toEqual(factsOf("a"));
      expect(await one.ledger.facts("b")).toEqual(otherFacts("b"));
      await server.kill();
      try {
        // It knows by itself what the file must be.
        expect(await again.ledger.facts("a")).toEqual(factsOf("a"));
        expect(await again.ledger.unverified("a")).toBeUndefined();
      } finally {
        await server.startAgain();
      }
    });

    it("waits once for one that hangs, and then for nothing", async () => {
      const { ledger, queue, database } = await openNode("one", { timeoutMs: 300 });
      await ledger.addFacts(factsOf("before"));
      server.pause();
      try {
        for (let n = 0; n < 500; n++) {
          expect(await ledger.addFacts(addedFacts(n))).toEqual(addedFacts(n));
          expect(await ledger.facts(`unknown ${n}`)).toBeUndefined();
        }
        expect(queue.length().writes).toBe(500);
      } finally {
        server.resume();
      }
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 25_000 });
      expect(database.isUp).toBe(true);
      expect(await count("sluice_facts")).toBe(501);
    }, 60_000);

    it("loses none of its writes when it is killed", async () => {
      await server.kill();
      const node = path.join(folder, "killed");
      const added = await addUntilKilled(node, 300);
      const { ledger, queue } = await openNode("killed");
      expect(queue.length().writes).toBeGreaterThanOrEqual(added);
      await server.startAgain();
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await count("sluice_facts")).toBeGreaterThanOrEqual(added);
      for (let n = 0; n < added; n++) expect(await ledger.facts(addedFacts(n).key)).toEqual(addedFacts(n));
    });

    it("says in its health what waits", async () => {
      const { ledger } = await openNode("one", { timeoutMs: 1 });
      expect(ledger.health()).toMatchObject([{ state: "ok" }]);
      await server.kill();
      await ledger.addFacts(factsOf("a"));
      await vi.waitFor(() =>
        expect(ledger.health()).toMatchObject([
          { state: "down", isNeeded: false, detail: expect.stringMatching(/1 writes of this node wait/) },
        ]),
      );
      await server.startAgain();
      await vi.waitFor(() => expect(ledger.health()).toMatchObject([{ state: "ok" }]), { timeout: 20_000 });
    });
  });

  it("nodes that are killed while the database answers lose nothing that was answered", async () => {
    for (let round = 0; round < 5; round++) {
      const added = await addUntilKilled(path.join(folder, `node-${round}`), 40 + 30 * round);
      const { ledger, queue } = await openNode(`node-${round}`);
      await vi.waitFor(() => expect(queue.length().writes).toBe(0), { timeout: 20_000 });
      expect(await count("sluice_facts")).toBeGreaterThanOrEqual(added);
      await ledger.close();
    }
    expect(events.of("ledger_conflict")).toEqual([]);
  });

  async function openNode(
    name: string,
    { ledgerFile, ...options }: Partial<NodeLedgerOptions> & { readonly ledgerFile?: string } = {},
  ): Promise<NodeLedger> {
    const node = ledgerFile === undefined ? path.join(folder, name) : await withLedger(name, ledgerFile);
    const found = await openNodeLedger({ folder: node, url, events, ...options });
    opened.push(found);
    return found;
  }

  /** Answers a folder for a node that has this ledger already. */
  async function withLedger(name: string, file: string): Promise<string> {
    await cp(path.join(folder, file), path.join(folder, name, "ledger.db"));
    return path.join(folder, name);
  }

  /** Answers how many it said it had added. */
  async function addUntilKilled(node: string, lines: number): Promise<number> {
    const child = spawn(process.execPath, [nodeLedgerProgram, node, url], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    let added = 0;
    for await (const _ of createInterface({ input: child.stdout })) {
      if (++added === lines) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    expect(child.signalCode).toBe("SIGKILL");
    return added;
  }

  async function keysOf(table: string): Promise<string[]> {
    const sql = server.sql(url);
    const rows = await sql.unsafe(`SELECT key FROM ${table} ORDER BY key`);
    await sql.end();
    return rows.map(({ key }) => String(key));
  }

  async function count(table: string): Promise<number> {
    return (await keysOf(table)).length;
  }
});

/** Of the same file, with another content. */
function otherFacts(key: string): FileFacts {
  return { ...factsOf(key), sha256: "cd".repeat(32), h1: hashGoMod(Buffer.from(`other ${key}`)), source: "other" };
}
