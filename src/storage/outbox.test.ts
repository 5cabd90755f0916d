import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import { outboxHealth } from "./bucket-tier.ts";
import { Outbox, type OutboxEntry } from "./outbox.ts";

describe("an outbox", () => {
  let folder: string;
  let file: string;
  let clock: ManualClock;
  let events: RecordedEvents;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-outbox-"));
    file = path.join(folder, "outbox.db");
    clock = createManualClock();
    events = recordEvents();
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const open = (): Promise<Outbox> => Outbox.open({ file, clock, events });

  it("has its entries after a restart, that first which waits for longest", async () => {
    const outbox = await open();
    for (const key of ["b", "a", "c"]) {
      outbox.add(key);
      await clock.advance(1000);
    }
    outbox.close();
    const again = await open();
    expect(again.waiting).toBe(3);
    expect(again.oldestAt()).toBe(clock.now() - 3000);
    expect(again.due(2).map(({ key }) => key)).toEqual(["b", "a"]);
    again.close();
  });

  it("keeps what was added again while it was sent", async () => {
    const outbox = await open();
    outbox.add("a");
    const sent = entryOf(outbox, "a");
    outbox.add("a");
    expect(outbox.waiting).toBe(1);
    outbox.remove(sent);
    expect(outbox.has("a")).toBe(true);
    outbox.remove(entryOf(outbox, "a"));
    expect(outbox.has("a")).toBe(false);
    expect(outbox.waiting).toBe(0);
    expect(outbox.nextDueAt()).toBeUndefined();
    outbox.close();
  });

  it("answers what was put off when its time has come, or at once when there is no reason any more", async () => {
    const outbox = await open();
    outbox.add("a");
    outbox.add("b");
    outbox.postpone(entryOf(outbox, "a"), clock.now() + 5000);
    outbox.postpone(entryOf(outbox, "b"), clock.now() + 9000);
    expect(outbox.due(9)).toEqual([]);
    expect(outbox.nextDueAt()).toBe(clock.now() + 5000);
    await clock.advance(5000);
    expect(outbox.due(9)).toMatchObject([{ key: "a", attempts: 1 }]);
    outbox.hurry();
    expect(outbox.due(9).map(({ key }) => key)).toEqual(["a", "b"]);
    outbox.close();
  });

  it("postpones to a moment between two milliseconds, as waits by chance are", async () => {
    const outbox = await open();
    outbox.add("a");
    outbox.postpone(entryOf(outbox, "a"), clock.now() + 4999.3);
    expect(outbox.nextDueAt()).toBe(clock.now() + 5000);
    outbox.close();
  });

  it("makes sure of its entries once a minute, and when it is closed", async () => {
    const outbox = await open();
    expect(outbox.flushedAt).toBeUndefined();
    outbox.flush();
    const first = clock.now();
    expect(outbox.flushedAt).toBe(first);
    await clock.advance(59_000);
    outbox.flush();
    expect(outbox.flushedAt).toBe(first);
    await clock.advance(1000);
    outbox.flush();
    expect(outbox.flushedAt).toBe(first + 60_000);
    // A time that is yet to come would speak for files that are newer than the flush.
    await clock.advance(-3_600_000);
    outbox.flush();
    expect(outbox.flushedAt).toBe(first - 3_540_000);
    await clock.advance(3_600_000);
    outbox.flush();
    await clock.advance(10_000);
    outbox.close();
    const again = await open();
    expect(again.flushedAt).toBe(first + 70_000);
    again.close();
    expect(events.all).toEqual([]);
  });

  it("that cannot be read says so of its health, which fails nobody", async () => {
    const outbox = await open();
    expect(outboxHealth(outbox, "bucket", clock.now())).toMatchObject({ part: "outbox", state: "ok" });
    outbox.close();
    const health = outboxHealth(outbox, "bucket", clock.now());
    expect(health).toMatchObject({ part: "outbox", state: "down", isNeeded: false });
    expect(health.detail).toContain(file);
  });

  it("that is corrupt is set aside, and the folder counts as not looked through", async () => {
    const outbox = await open();
    outbox.markSeeded("bucket");
    outbox.markWorked("bucket");
    expect(outbox.isSeeded("bucket") && outbox.hasWorked("bucket")).toBe(true);
    expect(outbox.isSeeded("other") || outbox.hasWorked("other")).toBe(false);
    outbox.close();
    for (const name of await readdir(folder)) await rm(path.join(folder, name));
    await writeFile(file, "no database, but long enough to be looked at as one".repeat(100));
    const again = await open();
    expect(again.isSeeded("bucket")).toBe(false);
    again.add("a");
    expect(again.has("a")).toBe(true);
    again.close();
    expect((await readdir(folder)).filter((name) => name.includes(".corrupt-"))).toHaveLength(1);
    expect(events.of("store_failed")).toMatchObject([{ error: { message: expect.stringContaining("is corrupt") } }]);
  });
});

function entryOf(outbox: Outbox, key: string): OutboxEntry {
  const entry = outbox.find(key);
  if (entry === undefined) throw new Error(`${key} is not in the outbox`);
  return entry;
}
