import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { goDefaultSumdb } from "../../src/config/defaults.ts";
import type { GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { egressEnvironment, machineChain } from "./machine.ts";
import { countModules, createDeveloper, type Downloaded, downloadProject } from "./project.ts";

const projects = ["kubernetes", "observability", "infrastructure"];
const leastModules = 200;
/** Company mirrors refuse a file now and then and have it a moment later, which says nothing about Sluice. */
const maxAttempts = 5;

describe.skipIf(lacks("go", ["version"]))("real projects through this machine's own chain", () => {
  let dataDir: string;
  let direct: GoMachine;
  const expected = new Map<string, Downloaded>();

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), "sluice-live-"));
    // One for all: what the projects share is downloaded once.
    direct = await createDeveloper(machineChain());
  });
  afterAll(async () => {
    await direct.remove();
    await rm(dataDir, { recursive: true, force: true });
  });

  test.each(projects)("%s: go.sum as the chain alone makes it", async (name) => {
    const downloaded = await downloadProject(direct, name, { maxAttempts });
    expect(countModules(downloaded.goSum)).toBeGreaterThanOrEqual(leastModules);
    expected.set(name, downloaded);
    report(name, "without Sluice", downloaded);
  });

  describe("an empty Sluice in front of the chain", () => {
    let sluice: RunningSluice;
    beforeAll(async () => {
      const env = { ...egressEnvironment(), GOSUMDB: goDefaultSumdb, SLUICE_SUMDB_VERIFY: "required" };
      sluice = await startSluiceProcess({ upstream: machineChain(), dataDir, env });
    });
    afterAll(async () => {
      await stopCleanly(sluice);
    });

    test.each(projects)("%s: the same go.sum", async (name) => {
      expect(await downloadThrough(sluice, name, maxAttempts)).toEqual(filesOf(name));
    });

    test("every file is what the public checksum database says", async () => {
      const metrics = await (await fetch(new URL("/metrics", sluice.url))).text();
      const checks = metrics.split("\n").filter((line) => line.startsWith("sluice_sumdb_checks_total"));
      expect(checks).toEqual([expect.stringContaining('outcome="verified"')]);
      expect(Number(checks[0]?.replace(/^.* /, ""))).toBeGreaterThan(leastModules);
      expect(metrics).toContain("\nsluice_unverified_files 0\n");
    });
  });

  describe("the same Sluice, restarted with its upstream switched off", () => {
    let sluice: RunningSluice;
    beforeAll(async () => {
      sluice = await startSluiceProcess({ upstream: "off", dataDir });
    });
    afterAll(async () => {
      await stopCleanly(sluice);
    });

    test.each(projects)("%s: the same go.sum, at the first attempt", async (name) => {
      expect(await downloadThrough(sluice, name, 1)).toEqual(filesOf(name));
    });
  });

  /** What the download without Sluice left. */
  function filesOf(name: string): Files {
    const downloaded = expected.get(name);
    if (downloaded === undefined) throw new Error(`${name} could not be downloaded without Sluice: nothing to compare`);
    return { goMod: downloaded.goMod, goSum: downloaded.goSum };
  }
});

type Files = Pick<Downloaded, "goMod" | "goSum">;

/** A new developer with an empty module cache, who then has every package the program imports. */
async function downloadThrough(sluice: RunningSluice, name: string, attempts: number): Promise<Files> {
  const developer = await createDeveloper(sluice.url);
  onTestFinished(() => developer.remove());
  const downloaded = await downloadProject(developer, name, { maxAttempts: attempts });
  const { code, stderr } = await developer.go(["list", "-deps", "./..."]);
  if (code !== 0) throw new Error(`go does not find every package of ${name}:\n${stderr}`);
  report(name, "through Sluice", downloaded);
  return { goMod: downloaded.goMod, goSum: downloaded.goSum };
}

async function stopCleanly(sluice: RunningSluice): Promise<void> {
  const code = await sluice.stop();
  if (code !== 0) throw new Error(`sluice ended with ${code}:\n${sluice.output().slice(-4000)}`);
}

function report(name: string, how: string, { goSum, seconds, attempts }: Downloaded): void {
  const often = attempts === 1 ? "" : ` and ${attempts} attempts`;
  console.log(`${name} ${how}: ${countModules(goSum)} modules in ${seconds.toFixed(1)} s${often}`);
}
