import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { bucketFolder, openDiskCache } from "../../test/support/disk-cache.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { systemClock as clock } from "../core/clock.ts";
import { Eviction } from "./disk-cache-eviction.ts";
import { openSqliteLedger } from "./ledger/sqlite.ts";

it("a file system that does not say how full it is is told, and nothing more comes of it", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-eviction-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [events, bucket] = [recordEvents(), await bucketFolder(folder)];
  const { blobs, ...parts } = await openDiskCache({ folder, clock, events }, bucket);
  const ledger = await openSqliteLedger({ file: ":memory:", clock, events });
  const dataDir = path.join(folder, "gone");
  const eviction = new Eviction({ ...parts, dataDir, bucket, ledger, clock, events, maxBytes: 0 });
  eviction.start();
  await eviction.close();
  expect(events.of("store_failed")).toMatchObject([{ error: { message: expect.stringContaining(dataDir) } }]);
  await ledger.close();
  await blobs.close();
});
