import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UpkeepSeat } from "../../src/compose-upkeep.ts";
import type { Config } from "../../src/config/index.ts";
import { SluiceError } from "../../src/core/errors.ts";
import type { BlobKey, ModuleStore, StoredFile } from "../../src/core/ports.ts";
import { blobKey, type FileRequest } from "../../src/protocol/goproxy/index.ts";
import { startCollector } from "../../src/storage/gc/collector.ts";
import { type LocalStore, openLocalStore } from "../../src/storage/local-store.ts";
import { createHeal } from "../../src/storage/scrub/heal.ts";
import { type Scrubber, type ScrubberOptions, startScrubber } from "../../src/storage/scrub/scrubber.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { load } from "../support/config.ts";
import { fillDataFolder, flipBit, isVersionFile } from "../support/filled-data-folder.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { readFiles } from "../support/fixture-places.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../support/recorded-events.ts";
import { sha256 } from "../suites/module-store.ts";

const hour = 3_600_000;
const day = 24 * hour;
const mib = 1024 * 1024;
const fixture = fixtureFiles();
const versionFiles = [...fixture.keys()].filter(isVersionFile).toSorted();
const zip = "example.com/leaf/@v/v1.2.0.zip";
const big = "example.com/big/@v/v1.0.0.zip";
const verifier = createZipVerifier({ workers: 1 });

let dataDir: string;
let clock: ManualClock;
let events: RecordedEvents;
let store: LocalStore;
let running: { close(): Promise<void> }[];
let memory: Map<BlobKey, StoredFile>;
let fetched: BlobKey[];
let isDown: boolean;

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "sluice-upkeep-"));
  await fillDataFolder(dataDir, fixture, { source: "https://upstream.example" });
  clock = createManualClock(1_800_000_000_000);
  events = recordEvents();
  store = await openLocalStore(dataDir, { clock, events });
  running = [];
  memory = new Map();
  fetched = [];
  isDown = false;
});

afterEach(async () => {
  for (const one of running) await one.close();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

describe("a scrub in the background", () => {
  it("reads everything once in an interval, and says so", async () => {
    scrubber();
    await until(() => expect(events.of("scrub_ended")).toHaveLength(1));
    const bytes = versionFiles.reduce((sum, key) => sum + (fixture.get(key)?.length ?? 0), 0);
    const [ended] = events.of("scrub_ended");
    expect(ended).toMatchObject({ files: versionFiles.length, bytes, broken: 0 });
    // 7 MiB at 1 MiB in a second.
    expect(ended?.durationMs).toBeGreaterThanOrEqual(7000);
    expect(fetched).toEqual([]);
    for (let hours = 0; hours < 29 * 24; hours += 24) await clock.advance(day);
    expect(events.of("scrub_ended")).toHaveLength(1);
    await until(() => expect(events.of("scrub_ended")).toHaveLength(2));
  });

  it("sets broken files aside and brings good ones in their place", async () => {
    for (const key of [zip, big]) await flipBit(fileOf(key));
    scrubber();
    await until(() => expect(events.of("file_healed")).toHaveLength(2));
    expect(events.of("file_corrupt").map(({ key }) => key)).toEqual([big, zip]);
    expect(events.of("file_healed")).toMatchObject([big, zip].map((key) => ({ key, outcome: "healed" })));
    for (const key of [zip, big]) expect(await isGood(key)).toBe(true);
    await until(() => expect(events.of("scrub_ended")).toMatchObject([{ broken: 2 }]));
    expect(fetched).toEqual([big, zip]);
  });

  it("tries again while the sources are down", async () => {
    await flipBit(fileOf(zip));
    isDown = true;
    scrubber();
    await until(() => expect(events.of("file_healed").length).toBeGreaterThan(2));
    expect(events.of("file_healed")[0]).toMatchObject({ key: zip, outcome: "upstream_failed", reason: "it is down" });
    isDown = false;
    await until(() => expect(events.of("file_healed").at(-1)).toMatchObject({ outcome: "healed" }));
    expect(await isGood(zip)).toBe(true);
  });

  it("puts back what is still in memory, without asking anybody", async () => {
    await flipBit(fileOf(zip));
    const bytes = fixture.get(zip) ?? Buffer.alloc(0);
    memory.set(zip, storedFile(zip, bytes));
    scrubber();
    await until(() => expect(events.of("file_healed")).toMatchObject([{ key: zip, outcome: "healed" }]));
    expect(fetched).toEqual([]);
    expect(await isGood(zip)).toBe(true);
    expect((await readFile(fileOf(`${zip}hash`))).toString()).toMatch(/^h1:/);
  });

  it("goes on with a pass that a restart interrupted", async () => {
    const cursor = versionFiles[20] ?? "";
    await writeFile(path.join(dataDir, "scrub.json"), JSON.stringify({ cursor, startedAt: clock.now() - hour }));
    scrubber();
    await until(() => expect(events.of("scrub_ended")).toHaveLength(1));
    expect(events.of("scrub_ended")).toMatchObject([{ files: versionFiles.length - 21 }]);
  });

  it("remembers on its way how far it is", async () => {
    const running = scrubber({ bytesPerSecond: 10 });
    await until(async () => {
      const { cursor } = JSON.parse(await readFile(path.join(dataDir, "scrub.json"), "utf8"));
      expect(versionFiles).toContain(cursor);
    });
    await running.close();
    expect(events.of("store_failed")).toEqual([]);
    expect(clock.sleeping).toBe(0);
  });
});

describe("a store with a size", () => {
  it("is made smaller when it has grown beyond it, and a little more", async () => {
    const before = (await readFiles(path.join(dataDir, "modules"))).size;
    running.push(startCollector({ store, clock, events, maxBytes: 2 * mib, whyKept: () => undefined }));
    await until(() => expect(events.of("store_collected")).toHaveLength(1));
    const [{ files, bytes, leftBytes } = { files: 0, bytes: 0, leftBytes: 0 }] = events.of("store_collected");
    expect(bytes).toBeGreaterThan(5 * mib);
    expect(leftBytes).toBeLessThan(2 * mib * 0.95);
    const left = await readFiles(path.join(dataDir, "modules"));
    const zips = before - left.size - files;
    expect(zips).toBeGreaterThan(0);
    expect(left.has(big)).toBe(false);
    expect(await store.ledger.facts(big)).toBeDefined();
    for (let hours = 0; hours < 10; hours++) await clock.advance(hour);
    expect(events.of("store_collected")).toHaveLength(1);
  });

  it("is left alone while it is within", async () => {
    running.push(startCollector({ store, clock, events, maxBytes: 8 * mib, whyKept: () => undefined }));
    const before = (await readFiles(path.join(dataDir, "modules"))).size;
    await until(() => expect(clock.now()).toBeGreaterThan(1_800_000_000_000 + 2 * hour));
    expect((await readFiles(path.join(dataDir, "modules"))).size).toBe(before);
    expect(events.all).toEqual([]);
  });
});

describe("the upkeep of a node", () => {
  it("is what the configuration says that counts last, and one thing at a time", async () => {
    const seat = new UpkeepSeat({ dataDir, store: servedStore(), verifier, events, clock });
    const first = seat.take(configOf({ SLUICE_STORE_SCRUB_INTERVAL: "0s", SLUICE_STORE_MAX_SIZE: "2MiB" }), fetchAgain);
    await until(() => expect(events.of("store_collected")).toHaveLength(1));
    await flipBit(fileOf(zip.replace(".zip", ".mod")));
    const second = seat.take(configOf({}), fetchAgain);
    await until(() => expect(events.of("scrub_ended")).toMatchObject([{ broken: 1 }]));
    await until(() => expect(events.of("file_healed")).toMatchObject([{ outcome: "healed" }]));
    await first();
    await second();
    expect(clock.sleeping).toBe(0);
    expect(events.of("store_failed")).toEqual([]);
  });

  it("that cannot begin is told of, and costs nobody anything", async () => {
    const file = path.join(dataDir, "a file");
    await writeFile(file, "in the way");
    const seat = new UpkeepSeat({ dataDir: file, store: servedStore(), verifier, events, clock });
    await seat.take(configOf({}), fetchAgain)();
    expect(events.of("store_failed")).toMatchObject([{ operation: "open for upkeep" }]);
  });
});

function configOf(env: Readonly<Record<string, string>>): Config {
  return load({ env: { GOPROXY: "https://upstream.example", SLUICE_STORE_SCRUB_RATE: "1MiB", ...env } }).config;
}

/** What the upkeep needs of it: a look into its memory. */
function servedStore(): Pick<ModuleStore, "peek"> {
  return { peek: (key) => memory.get(key) };
}

function scrubber(options: Partial<ScrubberOptions> = {}): Scrubber {
  const started = startScrubber({
    store,
    verifier,
    clock,
    events,
    stateFile: path.join(dataDir, "scrub.json"),
    intervalMs: 30 * day,
    bytesPerSecond: mib,
    heal: createHeal({ store, peek: (key) => memory.get(key), fetch: fetchAgain }),
    ...options,
  });
  running.push(started);
  return started;
}

/** As a resolver does. */
async function fetchAgain(request: FileRequest): Promise<StoredFile> {
  const key = blobKey(request);
  if (isDown) throw new SluiceError("upstream_failed", "it is down");
  fetched.push(key);
  const bytes = fixture.get(key) ?? Buffer.alloc(0);
  await store.blobs.create(key, { bytes });
  return storedFile(key, bytes);
}

function storedFile(key: BlobKey, bytes: Uint8Array): StoredFile {
  const stream = (): never => {
    throw new Error("nobody streams it");
  };
  return { key, size: bytes.length, sha256: sha256(bytes), source: "test", bytes, stream, discard: () => undefined };
}

/** Lets time pass, and the disk work, until it is so. */
async function until(expectation: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(
    async () => {
      await clock.advance(60_000);
      await expectation();
    },
    { timeout: 30_000, interval: 1 },
  );
}

async function isGood(key: BlobKey): Promise<boolean> {
  return (await readFile(fileOf(key))).equals(fixture.get(key) ?? Buffer.alloc(0));
}

function fileOf(key: BlobKey): string {
  return path.join(dataDir, "modules", key);
}
