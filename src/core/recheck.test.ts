import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import { blobKey } from "../protocol/goproxy/index.ts";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { checksumMismatch } from "./checksum-mismatch.ts";
import { SluiceError } from "./errors.ts";
import type { ModuleStore, StoredUnverified, SumFile, SumVerdict } from "./ports.ts";
import { type Recheck, startRecheck } from "./recheck.ts";

const intervalMs = 60_000;
const h1 = hashGoMod(Buffer.from("x"));
const verified: SumVerdict = { state: "verified", database: "sum.example.com" };
const absent: SumVerdict = {
  state: "unverified",
  database: "sum.example.com",
  reason: "it is not there",
  isAnswered: true,
};
const unreachable: SumVerdict = { ...absent, reason: "it is down", isAnswered: false };

let clock: ManualClock;
let events: RecordedEvents;
let recheck: Recheck;
/** What the store has, by key. */
let unverified: Map<string, StoredUnverified>;
let rejected: string[];
let forgotten: string[];
let asked: string[];
/** By key; `verified` where there is none. */
let verdicts: Map<string, SumVerdict | Error | Promise<SumVerdict>>;
let storeFailure: Error | undefined;

const store: Pick<ModuleStore, "listUnverified" | "confirm" | "reject"> = {
  async listUnverified(after, limit) {
    if (storeFailure !== undefined) throw storeFailure;
    const keys = [...unverified.keys()].filter((key) => key > after).toSorted();
    return keys.slice(0, limit).flatMap((key) => unverified.get(key) ?? []);
  },
  async confirm(key) {
    unverified.delete(key);
  },
  async reject(request, wrong) {
    expect(wrong.h1).toBe(h1);
    unverified.delete(blobKey(request));
    rejected.push(`${blobKey(request)}: ${wrong.reason.split("\n", 1)[0]}`);
    return true;
  },
};

beforeEach(() => {
  clock = createManualClock();
  events = recordEvents();
  [unverified, verdicts] = [new Map(), new Map()];
  [rejected, forgotten, asked] = [[], [], []];
  storeFailure = undefined;
  recheck = startRecheck({
    store,
    sums: {
      async recheck(file: SumFile) {
        const key = blobKey({ kind: file.kind, modulePath: file.modulePath, version: file.version });
        asked.push(key);
        const verdict = (await verdicts.get(key)) ?? verified;
        if (verdict instanceof Error) throw verdict;
        return verdict;
      },
    },
    clock,
    events,
    intervalMs,
    onRejected: (key) => forgotten.push(key),
  });
});
afterEach(() => recheck.close());

function add(...keys: string[]): void {
  for (const key of keys) unverified.set(key, added(key));
}

function added(key: string): StoredUnverified {
  return { key, h1, reason: "it was down", since: 1, source: "https://proxy.example" };
}

const mod = "example.com/m/@v/v1.0.0.mod";
const zip = "example.com/!upper/m/@v/v1.0.0.zip";

describe("soon after the start", () => {
  it("what the database confirms, and what need not be compared, is confirmed", async () => {
    add(mod, zip);
    verdicts.set(zip, { state: "exempt" });
    await clock.advance(5000);
    expect(asked).toEqual([zip, mod]);
    expect([...unverified.keys()]).toEqual([]);
    expect(events.all).toEqual([{ type: "sum_recheck", outcome: "complete", confirmed: 2, rejected: 0, left: 0 }]);
  });

  it("all are tried, however many there are, and what the database does not have is left", async () => {
    const keys = Array.from({ length: 250 }, (_, index) => `example.com/m${index}/@v/v1.0.0.mod`);
    add(...keys);
    verdicts.set("example.com/m7/@v/v1.0.0.mod", absent);
    await clock.advance(5000);
    expect(new Set(asked)).toEqual(new Set(keys));
    expect([...unverified.keys()]).toEqual(["example.com/m7/@v/v1.0.0.mod"]);
    expect(events.of("sum_recheck")).toMatchObject([{ outcome: "complete", confirmed: 249, left: 1 }]);
  });

  it("what the database does not have is asked for again after as long as it has been unverified, and once a day", async () => {
    add(mod);
    unverified.set(mod, { ...added(mod), since: clock.now() - 10 * intervalMs });
    verdicts.set(mod, absent);
    const timesAfter = async (ms: number): Promise<number> => {
      await clock.advance(ms);
      return asked.length;
    };
    expect(await timesAfter(5000)).toBe(1);
    expect(await timesAfter(10 * intervalMs)).toBe(1);
    expect(await timesAfter(intervalMs)).toBe(2);
    expect(await timesAfter(20 * intervalMs)).toBe(2);
    expect(await timesAfter(2 * intervalMs)).toBe(3);
    expect(events.of("sum_recheck").at(-1)).toMatchObject({ outcome: "complete", left: 1 });
    await clock.advance(2 * 24 * 3_600_000);
    const before = asked.length;
    expect(await timesAfter(24 * 3_600_000 + intervalMs)).toBe(before + 1);
  });

  it("nothing is told where there is nothing to do", async () => {
    await clock.advance(5000 + 10 * intervalMs);
    expect(events.all).toEqual([]);
  });
});

it("takes a file with another hash out of the store, and tells", async () => {
  add(mod, zip);
  const file = { kind: "zip", h1, source: "https://proxy.example", isDirect: false } as const;
  const { modulePath, version } = { modulePath: "example.com/Upper/m", version: "v1.0.0" };
  const mismatch = checksumMismatch(
    { ...file, modulePath: parseModulePath(modulePath), version: parseVersion(version) },
    "sum.example.com",
    hashGoMod(Buffer.from("right")),
  );
  verdicts.set(zip, mismatch);
  await clock.advance(5000);
  expect(rejected).toEqual([`${zip}: verifying example.com/Upper/m@v1.0.0: checksum mismatch`]);
  expect(forgotten).toEqual([zip]);
  expect(events.of("integrity_failed")).toMatchObject([{ key: zip, source: "https://proxy.example" }]);
  expect(events.of("sum_recheck")).toMatchObject([{ outcome: "complete", confirmed: 1, rejected: 1, left: 0 }]);
});

describe("when the database", () => {
  const keys = Array.from({ length: 50 }, (_, index) => `example.com/m${10 + index}/@v/v1.0.0.mod`);

  it.each([
    ["cannot be asked", unreachable, "it is down"],
    ["has two histories", new SluiceError("integrity", "two histories"), "two histories"],
  ])("%s, the others wait for the next time", async (_name, verdict, reason) => {
    add(...keys);
    for (const key of keys) verdicts.set(key, verdict);
    await clock.advance(5000);
    expect(asked.length).toBeLessThan(5);
    expect(unverified.size).toBe(50);
    expect(rejected).toEqual([]);
    expect(events.of("sum_recheck")).toMatchObject([{ outcome: "interrupted", confirmed: 0, reason }]);
    verdicts.clear();
    await clock.advance(intervalMs - 1);
    expect(unverified.size).toBe(50);
    await clock.advance(1);
    expect(unverified.size).toBe(0);
  });
});

it("goes on the next time when the store fails", async () => {
  add(mod);
  storeFailure = new SluiceError("storage_failed", "the disk is gone");
  await clock.advance(5000);
  expect(events.of("store_failed")).toMatchObject([{ operation: "recheck", error: storeFailure }]);
  storeFailure = undefined;
  await clock.advance(intervalMs);
  expect(unverified.size).toBe(0);
});

it("ends with what is under way when it is closed", async () => {
  const answer = Promise.withResolvers<SumVerdict>();
  const keys = Array.from({ length: 9 }, (_, index) => `example.com/m${index}/@v/v1.0.0.mod`);
  add(...keys);
  for (const key of keys) verdicts.set(key, answer.promise);
  await clock.advance(5000);
  const closed = recheck.close();
  answer.resolve(verified);
  await closed;
  expect(asked).toHaveLength(3);
  expect(clock.sleeping).toBe(0);
});
