import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../support/cli.ts";
import { fixtureConsumer, fixtureFiles } from "../support/fixture-modules.ts";
import { athensFiles, writeLayout } from "../support/fixture-places.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { closedPort } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";
import { startSluiceProcess } from "../support/sluice.ts";

describe.skipIf(lacks("go", ["version"]))("modules that were copied, with the real go command", () => {
  let root: string;
  let upstream: string;
  const machines: GoMachine[] = [];

  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), "sluice-copy-e2e-"));
    upstream = path.join(root, "upstream");
    await writeLayout(upstream, fixtureFiles());
  });

  afterAll(async () => {
    for (const machine of machines) await machine.remove();
    await rm(root, { recursive: true, force: true });
  });

  it("from the module cache that go filled are served by a Sluice whose upstream is gone", async () => {
    const filled = await newMachine(pathToFileURL(upstream).href);
    expect(await download(filled)).toContain("all modules verified");
    const dataDir = path.join(root, "from-cache");
    expect(await runCli(["store", "copy", filled.modCache, dataDir], { cwd: root })).toMatchObject({
      code: 0,
      stderr: "",
    });

    const sluice = await startSluiceProcess({ upstream: `http://127.0.0.1:${await closedPort()}`, dataDir });
    try {
      const machine = await newMachine(sluice.url);
      expect(await download(machine)).toContain("all modules verified");
      const versions = await machine.go(["list", "-m", "-versions", "example.com/leaf"]);
      expect(versions).toMatchObject({ code: 0, stdout: "example.com/leaf v1.2.0\n" });
    } finally {
      await sluice.stop();
    }
  });

  it.each([
    ["a data folder", "data", "data/modules"],
    ["a folder in a module cache's layout", "gopath/cache/download", "gopath/cache/download"],
  ])("from a store of Athens to %s are a GOPROXY by file://", async (_what, to, served) => {
    const athens = path.join(root, "athens");
    await writeLayout(athens, fixtureFiles(), athensFiles);
    const target = path.join(root, to);
    expect(await runCli(["store", "copy", athens, target], { cwd: root })).toMatchObject({ code: 0, stderr: "" });

    const machine = await newMachine(pathToFileURL(path.join(root, served)).href);
    expect(await download(machine)).toContain("all modules verified");
    const versions = await machine.go(["list", "-m", "-versions", "example.com/leaf"]);
    expect(versions.stdout.trim()).toBe("example.com/leaf v1.0.0 v1.1.0 v1.2.0 v1.3.0-rc.1");
    const latest = await machine.go(["list", "-m", "example.com/leaf@latest"]);
    expect(latest.stdout.trim()).toBe("example.com/leaf v1.2.0");
  });

  async function newMachine(proxy: string): Promise<GoMachine> {
    const machine = await createGoMachine({ GOPROXY: proxy });
    machines.push(machine);
    for (const [name, content] of Object.entries(fixtureConsumer))
      await writeFile(path.join(machine.dir, name), content);
    return machine;
  }

  async function download(machine: GoMachine): Promise<string> {
    expect(await machine.go(["mod", "download", "all"])).toMatchObject({ code: 0, stderr: "" });
    return (await machine.go(["mod", "verify"])).stdout;
  }
});
