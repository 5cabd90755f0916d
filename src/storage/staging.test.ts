import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Staging } from "./staging.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "sluice-staging-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("a staging file", () => {
  it("has a name nobody else has", async () => {
    const one = new Staging(folder);
    const other = new Staging(folder);
    const files = await Promise.all([one.newFile(), one.newFile(), other.newFile(), other.newFile()]);
    expect(new Set(files).size).toBe(4);
    expect(files.map((file) => path.dirname(file))).toEqual([folder, folder, folder, folder]);
  });

  it("has its folder made again when somebody removed it", async () => {
    const staging = new Staging(path.join(folder, "staging"));
    await staging.newFile();
    await rm(path.join(folder, "staging"), { recursive: true });
    await writeFile(await staging.newFile(), "x");
    expect(await readdir(path.join(folder, "staging"))).toHaveLength(1);
  });

  it("cannot be had, in words, where a file stands in the way", async () => {
    await writeFile(path.join(folder, "staging"), "");
    const refusal = { code: "storage_failed", message: expect.stringContaining(path.join(folder, "staging")) };
    await expect(new Staging(path.join(folder, "staging")).newFile()).rejects.toMatchObject(refusal);
    await expect(new Staging(path.join(folder, "staging")).sweep()).rejects.toMatchObject(refusal);
  });
});

describe("sweeping", () => {
  const host = hostname().replaceAll(/[^A-Za-z0-9.-]/g, "_");
  const run = "0123456789ab";
  const ended = spawnSync(process.execPath, ["--version"]).pid;

  it.each([
    ["of a process that ended", `${host}~${ended}~${run}~1.part`, true],
    ["of an earlier process with our number", `${host}~${process.pid}~${run}~1.part`, true],
    ["of a process that runs", `${host}~${process.ppid}~${run}~1.part`, false],
    ["of a process on another host", `elsewhere~${ended}~${run}~1.part`, false],
    ["that is not ours", "notes.txt", false],
    ["that only looks like ours", `${host}~${ended}~${run}~1.part.bak`, false],
  ])("a file %s", async (_, name, isSwept) => {
    await writeFile(path.join(folder, name), "x");
    expect(await new Staging(folder).sweep()).toBe(isSwept ? 1 : 0);
    expect(await readdir(folder)).toEqual(isSwept ? [] : [name]);
  });

  it("removes what no process on any host wrote to for an hour, but nothing of its own", async () => {
    const staging = new Staging(folder);
    const own = await staging.newFile();
    const files = [
      `elsewhere~${ended}~${run}~1.part`,
      `${host}~${process.ppid}~${run}~1.part`,
      "notes.txt",
      path.basename(own),
    ];
    const longAgo = new Date(Date.now() - 3_700_000);
    for (const name of files) {
      await writeFile(path.join(folder, name), "x");
      await utimes(path.join(folder, name), longAgo, longAgo);
    }
    expect(await staging.sweep()).toBe(2);
    expect((await readdir(folder)).toSorted()).toEqual([path.basename(own), "notes.txt"].toSorted());
  });
});
