import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../../test/support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../../../test/support/recorded-events.ts";
import { factsOf, ledgerSuite } from "../../../test/suites/ledger.ts";
import { systemClock } from "../../core/clock.ts";
import type { Clock } from "../../core/ports.ts";
import { migrate } from "../sqlite/migrate.ts";
import { ledgerMigrations } from "./schema.ts";
import { openSqliteLedger } from "./sqlite.ts";

ledgerSuite("SQLite in a file", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-ledger-"));
  const file = path.join(folder, "ledger.db");
  const openAgain = () => openSqliteLedger({ file, clock: systemClock, events: recordEvents() });
  return { ledger: await openAgain(), openAgain, remove: () => rm(folder, { recursive: true, force: true }) };
});

ledgerSuite("SQLite in memory", async () => ({
  ledger: await openSqliteLedger({ file: ":memory:", clock: systemClock, events: recordEvents() }),
  openAgain: undefined,
  remove: () => Promise.resolve(),
}));

describe("an SQLite ledger", () => {
  let folder: string;
  let file: string;
  let clock: ManualClock;
  let events: RecordedEvents;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-ledger-"));
    file = path.join(folder, "ledger.db");
    clock = createManualClock();
    events = recordEvents();
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const openLedger = (withClock: Clock = clock) =>
    openSqliteLedger({ file, clock: withClock, events, flushIntervalMs: 30_000 });

  it("writes uses together when their time has come, not one by one", async () => {
    const ledger = await openLedger();
    for (let index = 0; index < 1000; index++) ledger.touch(`k${index % 10}`, index);
    expect(countRows(file, "uses")).toBe(0);
    await clock.advance(30_000);
    expect(countRows(file, "uses")).toBe(10);
    ledger.touch("later", 1);
    await ledger.close();
    expect(countRows(file, "uses")).toBe(11);
    expect(clock.sleeping).toBe(0);
  });

  it("forgets the use of a file whose facts are removed", async () => {
    const ledger = await openLedger();
    await ledger.addFacts(factsOf("a"));
    ledger.touch("a", 5);
    await clock.advance(30_000);
    await ledger.removeFacts("a");
    expect(await ledger.lastUsed("a")).toBeUndefined();
    await ledger.close();
  });

  it("takes what an earlier version kept, which asked no checksum database, for unverified", async () => {
    const before = new DatabaseSync(file);
    migrate(before, { file, migrations: ledgerMigrations.slice(0, 1), now: 1 });
    const { h1 } = factsOf("a");
    before.prepare("INSERT INTO facts VALUES ('a', 1, 'ab', ?, 'https://first.example', 7)").run(h1 ?? "");
    before.exec("INSERT INTO facts VALUES ('a.info', 1, 'ab', NULL, 'https://first.example', 7)");
    before.close();
    const ledger = await openLedger();
    expect(await ledger.listUnverified("", 10)).toMatchObject([{ key: "a", h1, since: 7 }]);
    await ledger.removeUnverified("a");
    await ledger.close();
    const again = await openLedger();
    expect(await again.countUnverified()).toBe(0);
    await again.close();
  });

  it("keeps the uses it cannot write, and tells", async () => {
    const ledger = await openLedger();
    const blocker = new DatabaseSync(file);
    blocker.exec("BEGIN IMMEDIATE");
    ledger.touch("a", 5);
    await clock.advance(30_000);
    expect(events.of("store_failed")).toMatchObject([{ operation: "record uses" }]);
    expect(await ledger.lastUsed("a")).toBe(5);
    blocker.exec("ROLLBACK");
    blocker.close();
    await clock.advance(30_000);
    expect(countRows(file, "uses")).toBe(1);
    await ledger.close();
  });

  it("waits for another writer, and goes on when it is done", async () => {
    const ledger = await openLedger();
    const blocker = new DatabaseSync(file);
    blocker.exec("BEGIN IMMEDIATE");
    const adding = ledger.addFacts(factsOf("a"));
    await clock.advance(100);
    expect(await ledger.facts("a")).toBeUndefined();
    blocker.exec("ROLLBACK");
    blocker.close();
    await clock.advance(100);
    expect(await adding).toEqual(factsOf("a"));
    await ledger.close();
  });

  it("says what to do when another writer never ends", async () => {
    const ledger = await openLedger();
    const blocker = new DatabaseSync(file);
    blocker.exec("BEGIN IMMEDIATE");
    const outcome = ledger.addFacts(factsOf("a")).catch((error: unknown) => error);
    await clock.advance(10_000);
    expect(await outcome).toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(/another process holds the write lock/),
    });
    blocker.close();
    await ledger.close();
  });

  describe("that is corrupt", () => {
    it.each([
      ["no database at all", Buffer.from("not a database, but long enough to be looked at as one".repeat(100))],
      ["zeros after the first page", undefined],
    ])("at the start (%s) is set aside and made anew", async (_, content) => {
      if (content === undefined) await makeZeroedDatabase(file);
      else await writeFile(file, content);
      const ledger = await openLedger();
      expect(await ledger.facts("k0")).toBeUndefined();
      await ledger.addFacts(factsOf("a"));
      await ledger.close();
      expect(events.of("store_failed")).toMatchObject([
        {
          store: `sqlite:${file}`,
          error: { message: expect.stringMatching(/is corrupt and now at .*ledger\.db\.corrupt-\d{4}-/) },
        },
      ]);
      const names = await readdir(folder);
      expect(names.filter((name) => name.includes(".corrupt-"))).toHaveLength(1);
      expect(countRows(file, "facts")).toBe(1);
    });

    it("under way is set aside and made anew, and the work goes on", async () => {
      const first = await openLedger();
      for (let index = 0; index < 3000; index++) await first.addFacts(factsOf(`k${index}`));
      await first.close();
      const ledger = await openLedger();
      const handle = await open(file, "r+");
      const { size } = await handle.stat();
      await handle.write(Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
      await handle.close();
      expect(await ledger.facts("k1500")).toBeUndefined();
      expect(await ledger.addFacts(factsOf("k1500"))).toEqual(factsOf("k1500"));
      expect(events.of("store_failed")).toHaveLength(1);
      await ledger.close();
      expect(countRows(file, "facts")).toBe(1);
    });

    it("is replaced once by two processes that find it so", async () => {
      const first = await openLedger();
      for (let index = 0; index < 3000; index++) await first.addFacts(factsOf(`k${index}`));
      await first.close();
      const one = await openLedger();
      const other = await openLedger();
      const handle = await open(file, "r+");
      const { size } = await handle.stat();
      await handle.write(Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
      await handle.close();
      await one.addFacts(factsOf("k1"));
      await other.addFacts(factsOf("k2"));
      expect(await one.facts("k2")).toEqual(factsOf("k2"));
      expect(await other.facts("k1")).toEqual(factsOf("k1"));
      await one.close();
      await other.close();
      expect((await readdir(folder)).filter((name) => /\.corrupt-[^.]*\.\d+Z$/.test(name))).toHaveLength(1);
    });
  });

  it("is made anew when somebody deletes it under way", async () => {
    const ledger = await openLedger();
    await ledger.addFacts(factsOf("a"));
    for (const name of await readdir(folder)) await rm(path.join(folder, name));
    await ledger.check();
    expect(events.of("store_failed")).toMatchObject([
      { error: { message: expect.stringContaining("moved or deleted") } },
    ]);
    await ledger.addFacts(factsOf("b"));
    await ledger.close();
    expect(countRows(file, "facts")).toBe(1);
  });

  it("leaves a database of a newer Sluice alone", async () => {
    await (await openLedger()).close();
    const db = new DatabaseSync(file);
    db.exec("INSERT INTO migrations (version, applied_at) VALUES (999, 0)");
    db.close();
    const before = await readFile(file);
    await expect(openLedger()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(/newer Sluice \(schema 999/),
    });
    expect(Buffer.compare(await readFile(file), before)).toBe(0);
  });

  it("says which folder is missing", async () => {
    file = path.join(folder, "missing", "ledger.db");
    await expect(openLedger()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining(file),
    });
  });

  it("can be opened by many at the same time, also the first time", async () => {
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => openLedger(systemClock)));
    await Promise.all(ledgers.map((ledger, index) => ledger.addFacts(factsOf(`k${index}`))));
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    expect(countRows(file, "facts")).toBe(8);
    expect(countRows(file, "migrations")).toBe(ledgerMigrations.length);
    expect((await stat(file)).size).toBeGreaterThan(0);
  });
});

function countRows(file: string, table: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return Number(db.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"]);
  } finally {
    db.close();
  }
}

/** A database whose header is right and whose content is gone. */
async function makeZeroedDatabase(file: string): Promise<void> {
  const db = new DatabaseSync(file);
  db.exec(
    "CREATE TABLE facts (key TEXT PRIMARY KEY, other TEXT); CREATE TABLE migrations (version INTEGER PRIMARY KEY)",
  );
  db.exec(
    "CREATE TABLE t (a); INSERT INTO t SELECT value FROM (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM c WHERE value < 9999) SELECT value FROM c)",
  );
  db.close();
  const handle = await open(file, "r+");
  const { size } = await handle.stat();
  await handle.write(Buffer.alloc(size - 100, 0), 0, size - 100, 100);
  await handle.close();
}
