import { describe, expect, it } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { SluiceError } from "../core/errors.ts";
import type { PartHealth } from "../core/health.ts";
import type { SluiceEvent } from "../core/events.ts";
import { storeRefusal } from "../core/store-refusal.ts";
import { Healing } from "./healing.ts";
import { healingRules } from "./healing-rules.ts";

const key = "example.com/leaf/@v/v1.0.0.zip";
const full = new SluiceError("storage_failed", "cannot write: no space is left there (ENOSPC)");
const broken = new SluiceError("storage_failed", "cannot write: I/O errors (EIO)");
const upstream = "https://a.example";

function part(name: string, state: PartHealth["state"]): PartHealth {
  return { part: name, state, detail: `it is ${state}`, isNeeded: false };
}

function setUp() {
  const recorded = recordEvents();
  const clock = createManualClock();
  let parts: readonly PartHealth[] = [part("store /data", "ok")];
  const stored = new Set<string>();
  let asked = 0;
  const healing = new Healing({
    events: recorded,
    clock,
    health: () => Promise.resolve(parts),
    knownHealth: () => parts,
    isStored: (asksFor) => {
      asked++;
      return Promise.resolve(stored.has(asksFor));
    },
  });
  const heeding = healing.heeding(recorded);
  healing.start();
  return {
    healing,
    recorded,
    clock,
    stored,
    emit: (event: SluiceEvent) => heeding.emit(event),
    asked: () => asked,
    set: (...now: readonly PartHealth[]) => (parts = now),
    open: () => healing.incidents().open.map(({ rule, subject }) => [rule, subject]),
    ended: () => recorded.of("incident_ended").map(({ incident }) => [incident.rule, incident.outcome, incident.how]),
  };
}

describe("an incident that an event ends", () => {
  const cases: readonly (readonly [rule: string, sign: SluiceEvent, cure: SluiceEvent, others: SluiceEvent])[] = [
    [
      "corrupt-file",
      { type: "file_corrupt", key, reason: "hash" },
      { type: "file_stored", key, source: upstream, size: 1 },
      { type: "file_stored", key: "example.com/other/@v/v1.0.0.zip", source: upstream, size: 1 },
    ],
    [
      "corrupt-file",
      { type: "file_corrupt", key, reason: "hash" },
      { type: "file_healed", key, outcome: "healed", durationMs: 1 },
      { type: "file_healed", key, outcome: "upstream_failed", durationMs: 1 },
    ],
    [
      "corrupt-file",
      { type: "file_corrupt", key, reason: "hash" },
      { type: "fetch_ended", key, outcome: "ok", durationMs: 1 },
      { type: "fetch_ended", key, outcome: "upstream_failed", durationMs: 1 },
    ],
    [
      "upstream-unwell",
      { type: "upstream_state", upstream, state: "down", reason: "refused" },
      { type: "upstream_state", upstream, state: "ok", reason: "answers" },
      { type: "upstream_state", upstream, state: "degraded", reason: "slow" },
    ],
    [
      "process-lost",
      { type: "process_lost", role: "front", process: "front 1", pid: 7, how: "SIGKILL", at: 1_000_000, restartMs: 0 },
      { type: "process_back", process: "front 1", pid: 8 },
      { type: "process_back", process: "front 2", pid: 8 },
    ],
    [
      "bucket-down",
      { type: "bucket_state", bucket: "s3://b", state: "down", reason: "hangs" },
      { type: "bucket_state", bucket: "s3://b", state: "ok" },
      { type: "bucket_state", bucket: "s3://c", state: "ok" },
    ],
    [
      "database-down",
      { type: "database_state", database: "postgres://d", state: "down" },
      { type: "database_state", database: "postgres://d", state: "up" },
      { type: "ledger_caught_up", ledger: "postgres://d", writes: 1 },
    ],
    [
      "redis-down",
      { type: "redis_state", redis: "redis://r", isUp: false, reason: "refused" },
      { type: "redis_state", redis: "redis://r", isUp: true, reason: undefined },
      { type: "redis_state", redis: "redis://s", isUp: true, reason: undefined },
    ],
    [
      "disk-reserve",
      { type: "disk_space", folder: "/data", state: "low", freeBytes: 1, reserveBytes: 2 },
      { type: "disk_space", folder: "/data", state: "ok", freeBytes: 3, reserveBytes: 2 },
      { type: "store_failed", store: "disk:/data", operation: "write", error: storeRefusal("/data", "nearly full") },
    ],
    [
      "mirror-damaged",
      { type: "git_mirror_damaged", repository: "https://g", reason: "fsck" },
      { type: "git_fetch", repository: "https://g", kind: "tips", outcome: "ok", durationMs: 1 },
      { type: "git_fetch", repository: "https://g", kind: "refs", outcome: "ok", durationMs: 1 },
    ],
    [
      "unverified-files",
      { type: "sum_checked", key, database: "sum.example", outcome: "unverified", source: upstream },
      { type: "sum_recheck", outcome: "complete", confirmed: 1, rejected: 0, left: 0 },
      { type: "sum_recheck", outcome: "interrupted", confirmed: 0, rejected: 0, left: 1 },
    ],
    [
      "checksum-fork",
      { type: "sum_fork", database: "sum.example", ourSize: 1, theirSize: 2 },
      { type: "sum_checked", key, database: "sum.example", outcome: "verified", source: upstream },
      { type: "sum_checked", key, database: "sum.other", outcome: "verified", source: upstream },
    ],
    [
      "config-refused",
      { type: "config_refused", error: new Error("no") },
      { type: "config_reloaded", needRestart: [] },
      { type: "config_refused", error: new Error("still no") },
    ],
  ];

  it.each(cases)("%s", async (rule, sign, cure, other) => {
    const { emit, recorded, clock, healing, open, ended } = setUp();
    emit(cure);
    expect(recorded.of("incident_opened")).toHaveLength(0);
    emit(sign);
    emit(sign);
    expect(open().map(([name]) => name)).toStrictEqual([rule]);
    await clock.advance(1500);
    emit(other);
    expect(open().map(([name]) => name)).toStrictEqual([rule]);
    emit(cure);
    expect(open()).toStrictEqual([]);
    expect(ended()).toMatchObject([[rule, "healed", expect.any(String)]]);
    expect(recorded.of("incident_ended")[0]?.incident).toMatchObject({ durationMs: 1500 });
    expect(recorded.of("incident_ended")[0]?.incident.signs).toBeGreaterThanOrEqual(2);
    await healing.close();
  });
});

describe("an incident that a check ends", () => {
  const unwell: readonly (readonly [rule: string, sign: SluiceEvent, part: string])[] = [
    ["upstream-unwell", { type: "upstream_state", upstream, state: "degraded", reason: "" }, `upstream ${upstream}`],
    ["bucket-down", { type: "bucket_state", bucket: "s3://b", state: "down" }, "bucket s3://b"],
    ["database-down", { type: "database_state", database: "postgres://d", state: "down" }, "database postgres://d"],
    ["redis-down", { type: "redis_state", redis: "redis://r", isUp: false, reason: "" }, "redis redis://r"],
    ["overload", { type: "work_shed", work: "cold_file", reason: "40 fetches", isNews: true }, "load"],
    ["disk-full", { type: "store_failed", store: "disk:/data", operation: "write", error: full }, "store /data"],
    ["store-failing", { type: "store_failed", store: "disk:/data", operation: "write", error: broken }, "store /data"],
  ];
  it.each(unwell)("%s", async (rule, sign, name) => {
    const { emit, clock, healing, set, open, ended } = setUp();
    set(part(name, "down"));
    emit(sign);
    await clock.advance(30_000);
    expect(open().map(([open]) => open)).toStrictEqual([rule]);
    set(part(name, "ok"));
    await clock.advance(60_000);
    expect(open()).toStrictEqual([]);
    expect(ended()).toStrictEqual([[rule, "healed", "it is ok"]]);
    await healing.close();
  });

  it.each([
    ["outbox-late", "outbox"],
    ["disk-low", "disk cache"],
  ])("%s, which only the part itself tells", async (rule, name) => {
    const { clock, healing, set, open, ended } = setUp();
    set(part(name, "degraded"));
    await clock.advance(2000);
    expect(open()).toStrictEqual([[rule, name]]);
    set(part(name, "ok"));
    await clock.advance(180_000);
    expect(ended()).toStrictEqual([[rule, "healed", "it is ok"]]);
    await healing.close();
  });

  it("of a broken file reads what stands there now, later and later", async () => {
    const { emit, clock, healing, stored, open, ended, asked } = setUp();
    emit({ type: "file_corrupt", key, reason: "hash" });
    await clock.advance(600_000);
    expect(open()).toStrictEqual([["corrupt-file", key]]);
    expect(asked()).toBeLessThan(20);
    stored.add(key);
    await clock.advance(62_000);
    expect(ended()).toStrictEqual([["corrupt-file", "healed", "the stored file is what was recorded of it"]]);
    await healing.close();
  });

  it("is not over while there are new signs", async () => {
    const { emit, clock, healing, set, open } = setUp();
    set(part("store /data", "ok"));
    for (let count = 0; count < 10; count++) {
      emit({ type: "store_failed", store: "disk:/data", operation: "write", error: full });
      await clock.advance(3000);
    }
    expect(open()).toStrictEqual([["disk-full", "disk:/data"]]);
    await clock.advance(20_000);
    expect(open()).toStrictEqual([]);
    await healing.close();
  });

  it("ends for a part that the configuration does not have any more", async () => {
    const { emit, clock, healing, ended } = setUp();
    emit({ type: "upstream_state", upstream, state: "down", reason: "" });
    await clock.advance(4000);
    expect(ended()).toStrictEqual([["upstream-unwell", "healed", "it is not used any more"]]);
    await healing.close();
  });
});

it("keeps bounded numbers of incidents", async () => {
  const { emit, healing, recorded } = setUp();
  for (let number = 0; number < 1000; number++) {
    emit({ type: "file_corrupt", key: `example.com/a${number}/@v/v1.0.0.mod`, reason: "hash" });
  }
  expect(healing.incidents().open).toHaveLength(200);
  for (let number = 0; number < 1000; number++) {
    emit({ type: "file_stored", key: `example.com/a${number}/@v/v1.0.0.mod`, source: upstream, size: 1 });
  }
  expect(healing.incidents().open).toHaveLength(0);
  expect(healing.incidents().ended).toHaveLength(20);
  expect(recorded.of("incident_ended")).toHaveLength(200);
  await healing.close();
});

it("ends what is open when Sluice ends, and says so", async () => {
  const { emit, clock, healing, ended } = setUp();
  emit({ type: "sum_fork", database: "sum.example", ourSize: 1, theirSize: 2 });
  await healing.close();
  expect(ended()).toStrictEqual([["checksum-fork", "stopped", "Sluice ended before it was over"]]);
  expect(clock.sleeping).toBe(0);
});

it("is not concerned with tiles and records of checksum databases", () => {
  const { emit, open } = setUp();
  emit({ type: "file_corrupt", key: "sumdb/sum.example/tile/8/0/000", reason: "hash" });
  emit({ type: "file_corrupt", key: "example.com/leaf/@v/list", reason: "hash" });
  expect(open()).toStrictEqual([]);
});

it("has rules with names of their own, and a way to notice and to end each", () => {
  expect(new Set(healingRules.map(({ name }) => name)).size).toBe(healingRules.length);
  for (const rule of healingRules) {
    expect(rule.sign ?? rule.signOfPart).toBeDefined();
    expect(rule.cure ?? rule.isOver).toBeDefined();
  }
});

describe("trouble of another process", () => {
  it("began when that process noticed it, and is not told again", async () => {
    const { healing, recorded, clock } = setUp();
    const at = clock.now() - 5000;
    healing.heed({ type: "process_lost", role: "engine", process: "engine", pid: 7, how: "SIGKILL", at, restartMs: 0 });
    await clock.advance(1000);
    healing.heed({ type: "process_back", process: "engine", pid: 8 });
    expect(recorded.of("process_lost")).toStrictEqual([]);
    expect(recorded.of("incident_ended")).toMatchObject([
      {
        incident: {
          rule: "process-lost",
          subject: "engine",
          seen: "process 7: SIGKILL",
          openedAt: at,
          durationMs: 6000,
          how: "process 8 answers",
        },
      },
    ]);
  });
});
