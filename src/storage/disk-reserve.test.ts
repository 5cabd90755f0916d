import { expect, it } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { SluiceError } from "../core/errors.ts";
import { isStoreRefusal } from "../core/store-refusal.ts";
import { DiskReserve } from "./disk-reserve.ts";

const mib = 2 ** 20;

function open({ bytes = 100 * mib, totalBytes = 100_000 * mib } = {}) {
  const clock = createManualClock();
  const events = recordEvents();
  const disk = { freeBytes: 1000 * mib, looks: 0, isBroken: false };
  const look = async () => {
    disk.looks++;
    if (disk.isBroken) throw new SluiceError("storage_failed", "no such disk");
    return { freeBytes: disk.freeBytes, totalBytes };
  };
  return { clock, events, disk, reserve: new DiskReserve({ folder: "/data", bytes, clock, events, look }) };
}

it("admits while there is space, and asks the file system about once a second", async () => {
  const { clock, disk, reserve } = open();
  for (let files = 0; files < 100; files++) await reserve.admit(mib);
  expect(disk.looks).toBe(1);
  await clock.advance(1000);
  await reserve.admit(mib);
  expect(disk.looks).toBe(2);
});

it("counts what it has admitted since it looked", async () => {
  const { disk, reserve } = open();
  disk.freeBytes = 110 * mib;
  for (let files = 0; files < 10; files++) await reserve.admit(mib);
  await expect(reserve.admit(mib)).rejects.toSatisfy(isStoreRefusal);
});

it("looks at once where a file is on the disk already", async () => {
  const { disk, reserve } = open();
  await reserve.admit(0);
  disk.freeBytes = 99 * mib;
  await expect(reserve.admit(50 * mib, { isWritten: true })).rejects.toSatisfy(isStoreRefusal);
});

it("refuses below the reserve, and ends that by itself when clearly more is free", async () => {
  const { clock, disk, events, reserve } = open();
  await reserve.start();
  expect(reserve.health()).toMatchObject([{ part: "disk space", state: "ok" }]);
  disk.freeBytes = 99 * mib;
  await clock.advance(10_000);
  await expect(reserve.admit(0)).rejects.toThrow(/only 99 MiB are free there, and files leave 100 MiB alone/);
  expect(reserve.health()).toMatchObject([{ state: "degraded", isNeeded: false }]);
  disk.freeBytes = 109 * mib;
  await clock.advance(2000);
  await expect(reserve.admit(0)).rejects.toSatisfy(isStoreRefusal);
  disk.freeBytes = 111 * mib;
  await clock.advance(2000);
  await reserve.admit(0);
  expect(events.of("disk_space")).toMatchObject([
    { state: "low", freeBytes: 99 * mib, reserveBytes: 100 * mib },
    { state: "ok", freeBytes: 111 * mib },
  ]);
  await reserve.close();
  expect(clock.sleeping).toBe(0);
});

it("has room made before anything is refused, and again while space is scarce", async () => {
  const { clock, disk, events, reserve } = open();
  const told: number[] = [];
  const end = reserve.onScarce((missingBytes) => told.push(missingBytes / mib));
  disk.freeBytes = 190 * mib;
  await reserve.start();
  expect(told).toEqual([210]);
  await clock.advance(50_000);
  expect(told).toEqual([210]);
  await clock.advance(10_000);
  expect(told).toEqual([210, 210]);
  expect(events.of("disk_space")).toEqual([]);
  await clock.advance(-3_600_000);
  await reserve.admit(0, { isWritten: true });
  expect(told).toEqual([210, 210, 210]);
  end();
  await clock.advance(3_720_000);
  expect(told).toHaveLength(3);
  await reserve.close();
});

it("takes no more than a twentieth of a small disk", async () => {
  const { disk, reserve } = open({ totalBytes: 200 * mib });
  disk.freeBytes = 12 * mib;
  await reserve.admit(mib);
  await expect(reserve.admit(3 * mib)).rejects.toSatisfy(isStoreRefusal);
});

it("refuses nothing where nobody can say what is free, and tells that", async () => {
  const { disk, events, reserve } = open();
  disk.isBroken = true;
  await reserve.admit(mib);
  expect(events.of("store_failed")).toHaveLength(1);
});

it("is not there with 0", async () => {
  const { clock, disk, reserve } = open({ bytes: 0 });
  disk.freeBytes = 0;
  await reserve.start();
  await reserve.admit(mib);
  expect([disk.looks, reserve.health(), clock.sleeping]).toEqual([0, [], 0]);
});
