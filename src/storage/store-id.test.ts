import type * as fs from "node:fs/promises";
import { link, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { openStoreId } from "./store-id.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof fs>();
  return { ...real, link: vi.fn(real.link) };
});

test("a folder has one for ever, and makes it before there is anything else", async () => {
  const parent = await mkdtemp(path.join(tmpdir(), "sluice-store-id-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const folder = path.join(parent, "new", "data");
  const ids = await Promise.all(Array.from({ length: 4 }, () => openStoreId(folder)));
  expect(new Set([...ids, await openStoreId(folder)]).size).toBe(1);
  expect(await openStoreId(path.join(parent, "other"))).not.toBe(ids[0]);
});

test("a file system without hard links has one, too", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-store-id-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  vi.mocked(link).mockRejectedValueOnce(Object.assign(new Error("EPERM: link"), { code: "EPERM" }));
  const id = await openStoreId(folder);
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await openStoreId(folder)).toBe(id);
  expect(await readdir(folder)).toEqual(["store-id"]);
});
