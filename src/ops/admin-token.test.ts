import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { adminTokenFile, openAdminToken, readAdminToken } from "./admin-token.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-token-"));
});
afterEach(() => rm(folder, { recursive: true }));

it("is made once, by one of all who start together, and for its own user only", async () => {
  expect(await readAdminToken(folder)).toBeUndefined();
  const made = await Promise.all([1, 2, 3, 4].map(() => openAdminToken(folder)));
  const again = await readAdminToken(folder);
  expect(new Set([...made, again].map((token) => token?.reveal()))).toHaveLength(1);
  expect(again?.reveal()).toMatch(/^[0-9a-f]{64}$/);
  expect((await stat(adminTokenFile(folder))).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toStrictEqual(["admin.token"]);
});

it("may be an operator's own", async () => {
  await writeFile(adminTokenFile(folder), "correct-horse-battery\n");
  expect((await openAdminToken(folder)).reveal()).toBe("correct-horse-battery");
});

it.each(["", "\n", "short", "0123456789 0123456789"])("is refused as %j, and left as it is", async (text) => {
  await writeFile(adminTokenFile(folder), text);
  await expect(openAdminToken(folder)).rejects.toMatchObject({ code: "config_invalid" });
  expect(await readFile(adminTokenFile(folder), "utf8")).toBe(text);
});

it("fails as the file system does where nothing can be written", async () => {
  await expect(openAdminToken(join(folder, "gone"))).rejects.toMatchObject({ code: "ENOENT" });
});
