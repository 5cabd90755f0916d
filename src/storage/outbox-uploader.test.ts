import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { bucketFolder, openDiskCache } from "../../test/support/disk-cache.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { SluiceError } from "../core/errors.ts";

it("an outbox that cannot be read is told, and what waits in it is sent when it can be read again", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-uploader-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [clock, events, bucket] = [createManualClock(), recordEvents(), await bucketFolder(folder)];
  const { blobs, disk, outbox, uploader } = await openDiskCache({ folder, clock, events }, bucket);
  const fail = (): never => {
    throw new SluiceError("storage_failed", "the medium failed");
  };
  const failing = [
    vi.spyOn(outbox, "due").mockImplementation(fail),
    vi.spyOn(outbox, "nextDueAt").mockImplementation(fail),
  ];
  const key = "example.com/m/@v/v1.0.0.zip";
  const file = await disk.stagingFile();
  await writeFile(file, "a zip");
  await blobs.create(key, { file, size: 5 });
  uploader.wake();
  await vi.waitFor(() =>
    expect(events.of("store_failed")).toMatchObject([{ error: { message: "the medium failed" } }]),
  );
  for (const spy of failing) spy.mockRestore();
  await clock.advance(60_000);
  await vi.waitFor(async () => expect(await bucket.stat(key)).toMatchObject({ size: 5 }));
  await blobs.close();
});

it("a zip is not sent beside another node's .mod, however much both nodes have the same .info", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-uploader-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [clock, events, bucket] = [createManualClock(), recordEvents(), await bucketFolder(folder)];
  const { blobs, disk, outbox, uploader } = await openDiskCache({ folder, clock, events }, bucket);
  const version = "example.com/m/@v/v1.0.0";
  const ours = { info: "the same", mod: "ours", zip: "our zip" };
  for (const [kind, text] of Object.entries(ours)) {
    await disk.create(`${version}.${kind}`, { bytes: Buffer.from(text) });
    outbox.add(`${version}.${kind}`);
  }
  await bucket.create(`${version}.info`, { bytes: Buffer.from("the same") });
  await bucket.create(`${version}.mod`, { bytes: Buffer.from("theirs") });
  expect(await uploader.push(`${version}.zip`)).toBe("gone");
  expect(await bucket.stat(`${version}.zip`)).toBeUndefined();
  expect(events.of("bucket_conflict").map(({ key }) => key)).toEqual([`${version}.mod`, `${version}.zip`]);
  expect(outbox.waiting).toBe(0);
  await blobs.close();
});
