import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import {
  contentOf,
  infoKey,
  keepGood,
  listKey,
  modKey,
  requestFor,
  source,
  zipKey,
} from "../../test/suites/module-store.ts";
import { systemClock } from "../core/clock.ts";
import type { ModuleStore, ZipVerifier } from "../core/ports.ts";
import { openDataFolder } from "./data-folder.ts";
import { createZipVerifier } from "./zip-verifier.ts";

const mib = 1024 * 1024;
const keys = [infoKey, modKey, zipKey];

describe("a data folder", () => {
  let dataDir: string;
  let events: RecordedEvents;
  let verifier: ZipVerifier;

  beforeEach(async () => {
    dataDir = path.join(await mkdtemp(path.join(tmpdir(), "sluice-data-")), "new/data");
    events = recordEvents();
    verifier = createZipVerifier();
  });

  afterEach(async () => {
    await verifier.close();
    await rm(path.resolve(dataDir, "../.."), { recursive: true, force: true });
  });

  function openFolder(): Promise<ModuleStore> {
    return openDataFolder({
      dataDir,
      memoryBytes: 8 * mib,
      wholeFileLimitBytes: mib,
      verifier,
      events,
      clock: systemClock,
    });
  }

  async function fill(): Promise<void> {
    const store = await openFolder();
    for (const key of keys) await keepGood({ store }, key);
    await store.keepRecord(requestFor(listKey), Buffer.from("v1.0.0\n"), source);
    store.touch(zipKey);
    await store.check();
    await store.close();
  }

  function knownKeys(): string[] {
    const db = new DatabaseSync(path.join(dataDir, "ledger.db"), { readOnly: true });
    try {
      return db
        .prepare("SELECT key FROM facts ORDER BY key")
        .all()
        .map((row) => String(row["key"]));
    } finally {
      db.close();
    }
  }

  it("is made when it is missing, and has its four parts and nothing else when it is closed", async () => {
    await fill();
    expect((await readdir(dataDir)).toSorted()).toEqual(["ledger.db", "modules", "quarantine", "staging"]);
    expect(await readdir(path.join(dataDir, "staging"))).toEqual([]);
    expect(await readdir(path.join(dataDir, "quarantine"))).toEqual([]);
    const store = await openFolder();
    expect(await store.read(requestFor(zipKey))).toMatchObject({ source });
    expect(await store.readRecord(requestFor(listKey))).toMatchObject({ source });
    await store.close();
  });

  it.each([
    ["is deleted", (file: string) => rm(file)],
    ["is corrupt", (file: string) => writeFile(file, "no database".repeat(1000))],
  ])("finds everything out again in the background when the ledger %s", async (_, loseLedger) => {
    await fill();
    await loseLedger(path.join(dataDir, "ledger.db"));
    const store = await openFolder();
    await vi.waitFor(() => expect(knownKeys()).toEqual(keys.toSorted()), { timeout: 20_000 });
    expect(await store.read(requestFor(zipKey))).toMatchObject({ source: "adopted", bytes: contentOf(zipKey) });
    expect(await store.readRecord(requestFor(listKey))).toMatchObject({ source: "adopted", checkedAt: 0 });
    await store.close();
  });

  it("can be closed while it finds everything out again", async () => {
    await fill();
    await rm(path.join(dataDir, "ledger.db"));
    const store = await openFolder();
    await store.close();
    expect(events.of("store_failed")).toEqual([]);
    const again = await openFolder();
    expect(await again.read(requestFor(zipKey))).toBeDefined();
    await again.close();
  });

  it("tells which folder it cannot make", async () => {
    await writeFile(path.resolve(dataDir, ".."), "a file where a folder must be");
    await expect(openFolder()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining(dataDir),
    });
  });
});
