import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { contentsOf } from "../../test/support/folder-contents.ts";
import { openTestStore } from "../../test/support/module-stores.ts";
import { parseH1 } from "../protocol/zip/index.ts";
import { blobKey, type FileRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { sha256Of } from "./hashing.ts";
import { openStoreReader, type StoreReader } from "./store-reader.ts";

const bytes = Buffer.from("module example.com/m\n");
const h1 = parseH1("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");

function goMod(version: string): FileRequest {
  const request = parseRequest(`/example.com/m/@v/${version}.mod`);
  if (request.kind !== "mod") throw new Error("not a go.mod");
  return request;
}

async function scene(confirmedOnly = false) {
  const kept = await openTestStore();
  const { folder, clock, events } = kept;
  const reader: StoreReader = await openStoreReader({
    dataDir: folder,
    memoryBytes: 1024 * 1024,
    wholeFileLimitBytes: 1024 * 1024,
    confirmedOnly,
    clock,
    events,
  });
  onTestFinished(async () => {
    await reader.close();
    await kept.store.close();
    await kept.remove();
  });
  const keep = async (version: string, unverified?: string): Promise<void> => {
    const facts = { size: bytes.length, sha256: await sha256Of(bytes), h1, source: "upstream", unverified };
    await kept.store.keep(goMod(version), { bytes }, facts);
  };
  return { ...kept, reader, keep };
}

test("what another process keeps is read, also when it was kept later", async () => {
  const { reader, keep } = await scene();
  expect(await reader.read(goMod("v1.0.0"))).toBeUndefined();
  await keep("v1.0.0");
  expect(await reader.read(goMod("v1.0.0"))).toMatchObject({ source: "upstream", h1 });
});

test("a file of which nothing is known, and a broken one, are left to who keeps the store", async () => {
  const { reader, keep, folder } = await scene();
  await keep("v1.0.0");
  const fileOf = (version: string): string => path.join(folder, "modules", blobKey(goMod(version)));
  writeFileSync(fileOf("v1.0.0"), "module example.com/x\n");
  writeFileSync(fileOf("v1.1.0"), bytes);
  const before = await contentsOf(path.join(folder, "modules"));
  expect(await reader.read(goMod("v1.0.0"))).toBeUndefined();
  expect(await reader.read(goMod("v1.1.0"))).toBeUndefined();
  expect(await contentsOf(path.join(folder, "modules"))).toBe(before);
});

test("what was rejected is not remembered", async () => {
  const { reader, keep, store } = await scene();
  await keep("v1.0.0");
  await reader.read(goMod("v1.0.0"));
  await store.reject(goMod("v1.0.0"), { reason: "wrong" });
  reader.forget(blobKey(goMod("v1.0.0")));
  expect(await reader.read(goMod("v1.0.0"))).toBeUndefined();
});

test("where only what is confirmed counts, the rest is not here until it is", async () => {
  const { reader, keep, store } = await scene(true);
  await keep("v1.0.0", "no database could be asked");
  expect(await reader.read(goMod("v1.0.0"))).toBeUndefined();
  await store.confirm(blobKey(goMod("v1.0.0")));
  expect(await reader.read(goMod("v1.0.0"))).toBeDefined();
});
