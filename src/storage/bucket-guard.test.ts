import { beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import { SluiceError } from "../core/errors.ts";
import { BucketGuard } from "./bucket-guard.ts";

describe("a guarded bucket", () => {
  let clock: ManualClock;
  let events: RecordedEvents;
  let guard: BucketGuard;
  let isUp: boolean;
  let probes: number;

  beforeEach(() => {
    clock = createManualClock();
    events = recordEvents();
    isUp = false;
    probes = 0;
    const probe = (): Promise<void> => {
      probes++;
      return isUp ? Promise.resolve() : fail();
    };
    guard = new BucketGuard({ name: "s3://b", probe, clock, events });
  });

  it("that fails now and then is asked every time", async () => {
    for (let round = 0; round < 5; round++) {
      await expect(guard.ask({ work: fail })).rejects.toMatchObject({ code: "storage_failed" });
      expect(guard.isWell).toBe(false);
      await expect(guard.ask({ work: fail })).rejects.toMatchObject({ code: "storage_failed" });
      expect(await guard.ask({ work: () => Promise.resolve("content") })).toBe("content");
      expect(guard.isWell).toBe(true);
    }
    expect(events.of("bucket_state")).toEqual([]);
    expect(events.of("store_failed")).toHaveLength(10);
    await guard.close();
  });

  it.each(["key", "claim"])("is not left alone for files that are refused for their %s", async (refused) => {
    const work = (): Promise<void> =>
      Promise.reject(new SluiceError("storage_failed", "refused", { details: { refused } }));
    for (let count = 0; count < 5; count++) {
      await expect(guard.ask({ work })).rejects.toMatchObject({ details: { refused } });
    }
    expect(guard.isWell).toBe(true);
    expect(guard.isResting).toBe(false);
    await guard.close();
  });

  it("is left alone after three failures in a row, until a probe finds it well", async () => {
    for (let count = 0; count < 3; count++) await guard.ask({ work: fail }).catch(() => undefined);
    expect(guard.isResting).toBe(true);
    let asked = 0;
    const work = (): Promise<void> => Promise.resolve(void asked++);
    await expect(guard.ask({ work })).rejects.toMatchObject({ message: expect.stringContaining("left alone") });
    expect(asked).toBe(0);
    await clock.advance(60_000);
    expect(guard.isResting).toBe(true);
    // Pauses of 1, 2, 4, 8 and then 15 s, each a quarter shorter or longer.
    expect(probes).toBeGreaterThanOrEqual(5);
    expect(probes).toBeLessThanOrEqual(9);
    isUp = true;
    await clock.advance(20_000);
    expect(guard.isResting).toBe(false);
    await guard.ask({ work });
    expect(asked).toBe(1);
    expect(events.of("bucket_state")).toMatchObject([{ state: "down", reason: "it is down" }, { state: "ok" }]);
    await guard.close();
  });

  it("that hangs costs whoever asks their patience, and what it answers later is given back", async () => {
    const late: string[] = [];
    const answer = Promise.withResolvers<string>();
    const asked = guard.ask({ work: () => answer.promise, patienceMs: 2000, onLate: (text) => late.push(text) });
    const outcome = asked.catch((error: unknown) => error);
    await clock.advance(2000);
    expect(await outcome).toMatchObject({ code: "storage_failed", message: "it did not answer within 2000 ms" });
    answer.resolve("late");
    await clock.advance(0);
    expect(late).toEqual(["late"]);
    await guard.close();
  });

  it("is not down because of one name that it does not take, or of a mistake of ours", async () => {
    const refused = new SluiceError("storage_failed", "too long", { details: { refused: "key" } });
    const mistake = new SluiceError("malformed_request", "no key");
    for (const error of [refused, mistake, refused, mistake]) {
      await expect(guard.ask({ work: () => Promise.reject(error) })).rejects.toBe(error);
    }
    expect(guard.isWell).toBe(true);
    await guard.close();
  });

  it("leaves nothing behind when it is closed while it rests", async () => {
    guard.assumeDown(new Error("it was down at start"));
    await clock.advance(10_000);
    await guard.close();
    expect(clock.sleeping).toBe(0);
    expect(events.of("bucket_state")).toMatchObject([{ state: "down" }]);
  });
});

function fail(): Promise<never> {
  return Promise.reject(new SluiceError("storage_failed", "it is down"));
}
