import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openStoreId } from "./store-id.ts";

test("a folder has one for ever, and makes it before there is anything else", async () => {
  const parent = await mkdtemp(path.join(tmpdir(), "sluice-store-id-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const folder = path.join(parent, "new", "data");
  const ids = await Promise.all(Array.from({ length: 4 }, () => openStoreId(folder)));
  expect(new Set([...ids, await openStoreId(folder)]).size).toBe(1);
  expect(await openStoreId(path.join(parent, "other"))).not.toBe(ids[0]);
});
