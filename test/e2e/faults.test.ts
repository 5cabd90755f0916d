import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { networkFaults, startFaultyUpstream } from "../support/faulty-upstream.ts";
import { fixtureFiles, fixtureVersions } from "../support/fixture-modules.ts";
import { createGoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { startSluiceProcess } from "../support/sluice.ts";

const modules = fixtureVersions
  .filter(({ path }) => path !== "golang.org/toolchain")
  .map(({ path, version }) => `${path}@${version}`);
const percent = 30;
/** Far above what this upstream usually takes, and not so long that it makes the test long. */
const stallMs = 1000;

describe.skipIf(lacks("go", ["version"]))("go mod download while 30 % of all upstream requests fail", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-faults-"));
    for (const [key, bytes] of fixtureFiles()) {
      await mkdir(dirname(join(folder, key)), { recursive: true });
      await writeFile(join(folder, key), bytes);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([
    ...networkFaults.map((fault, index) => ({ name: fault, faults: [fault], seed: index })),
    { name: "mixed", faults: networkFaults, seed: 4 },
    { name: "mixed", faults: networkFaults, seed: 5 },
  ])("$name, seed $seed: every module comes", async ({ faults, seed }) => {
    await using upstream = await startFaultyUpstream({ folder, faults, percent, seed, stallMs });
    const sluice = await startSluiceProcess({ upstream: upstream.url });
    onTestFinished(async () => void (await sluice.stop()));
    const machine = await createGoMachine({ GOPROXY: sluice.url });
    onTestFinished(() => machine.remove());

    const { code, stdout, stderr } = await machine.go(["mod", "download", "-json", ...modules]);

    expect(stdout + stderr).not.toContain("404");
    expect(code, stdout + stderr).toBe(0);
    expect(stdout.match(/"Sum": /g)).toHaveLength(modules.length);
    expect(upstream.failed).toBeGreaterThan(10);
  });
});
