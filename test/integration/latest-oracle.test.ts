import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Version } from "../../src/protocol/brand.ts";
import { blobKey, nextLatestStep, parseList } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { createGoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { createRandom, type Random } from "../support/random.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? "20060102");
const modules = 600;

const pool = [
  "v0.1.0",
  "v0.2.0-rc.1",
  "v1.0.0",
  "v1.1.0-beta",
  "v1.1.0",
  "v1.2.0-rc.1",
  "v2.0.0",
  "v2.1.0-rc.1",
  "v2.0.0+incompatible",
  "v3.0.0-rc.1+incompatible",
  "v3.1.0+incompatible",
  "v0.0.0-20200101000000-aaaaaaaaaaaa",
  "v0.1.1-0.20210101000000-bbbbbbbbbbbb",
  "v1.1.1-0.20190101000000-cccccccccccc",
  "v2.0.0-20220101000000-dddddddddddd",
];
const times = ["2018-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2023-01-01T00:00:00+02:00", "soon"];
const intervals = [
  "v1.1.0",
  "[v1.0.0, v1.2.0]",
  "[v0.0.0, v3.9.0]",
  "v2.1.0-rc.1",
  "[v2.0.0, v2.9.0]",
  "[bogus, v1.0.0]",
  "v3.1.0",
];

interface Sample {
  readonly modulePath: string;
  readonly list: string;
  /** Of each listed version; undefined when the proxy has none. */
  readonly goMods: ReadonlyMap<Version, string | undefined>;
}

describe.skipIf(lacks("go", ["version"]))("the go command without @latest", async () => {
  const machine = await createGoMachine({});
  afterAll(() => machine.remove());

  test("finds the same latest versions in lists", async () => {
    const random = createRandom(seed);
    const samples = Array.from({ length: modules }, (_, index) => createSample(random, index));
    const proxy = path.join(machine.dir, "proxy");
    for (const sample of samples) writeSample(proxy, sample);
    writeFileSync(path.join(machine.dir, "go.mod"), "module example.com/main\n\ngo 1.21\n");
    const queries = samples.map(({ modulePath }) => `${modulePath}@latest`);
    const run = await machine.go(["list", "-mod=mod", "-m", "-e", "-json=Path,Version,Error", ...queries], {
      GOPROXY: pathToFileURL(proxy).href,
    });
    const theirs = readAnswers(run.stdout);
    expect({ count: theirs.length, stderr: run.stderr }).toMatchObject({ count: modules });

    const compared = samples.map((sample, index) => ({
      sample,
      ours: ourLatest(sample),
      theirs: theirs[index],
    }));
    // Otherwise a generator of bad samples would compare nothing.
    expect(new Set(compared.map(({ theirs }) => theirs)).size).toBeGreaterThan(10);
    const differences = compared.filter(({ ours, theirs }) => ours !== undefined && ours !== theirs);
    expect({ seed, differences }).toEqual({ seed, differences: [] });
  });
});

/** Undefined where go gives up: on a go.mod it cannot have and needs for choosing among incompatible versions. */
function ourLatest({ modulePath, list, goMods }: Sample): string | undefined {
  const known = new Map<Version, string | undefined>();
  let step = nextLatestStep(parseModulePath(modulePath), parseList(list), known);
  while (step.kind === "read_go_mod") {
    const goMod = goMods.get(step.version);
    if (goMod === undefined && step.purpose === "incompatible") return undefined;
    known.set(step.version, goMod);
    step = nextLatestStep(parseModulePath(modulePath), parseList(list), known);
  }
  return step.kind === "selected" ? step.version : "none";
}

function createSample(random: Random, index: number): Sample {
  const suffix = random.chance(20) ? "/v2" : "";
  const modulePath = `m${index}.example.com/x${suffix}`;
  const fitting = pool.filter((version) => version.startsWith("v2.") === (suffix !== "") || version.includes("+"));
  const density = random.pick([10, 30, 60]);
  const versions = fitting.filter((version) => random.chance(density) && (suffix === "" || !version.includes("+")));
  const lines = versions.map((version) => (random.chance(20) ? `${version} ${random.pick(times)}` : version));
  const order = random.chance(50) ? lines : lines.toReversed();
  const goMods = versions.map((version) => [parseVersion(version), createGoMod(random, modulePath)] as const);
  return { modulePath, list: order.map((line) => `${line}\n`).join(""), goMods: new Map(goMods) };
}

function createGoMod(random: Random, modulePath: string): string | undefined {
  if (random.chance(5)) return undefined;
  if (random.chance(5)) return `module ${modulePath}\n\nrequire (\n`;
  if (random.chance(30)) return `module ${modulePath}\n`;
  const retracts = Array.from({ length: random.int(3) }, () => `retract ${random.pick(intervals)}\n`);
  return `module ${modulePath}\n\ngo 1.16\n\n${retracts.join("")}`;
}

function writeSample(proxy: string, { modulePath, list, goMods }: Sample): void {
  const parsed = parseModulePath(modulePath);
  const listFile = path.join(proxy, blobKey({ kind: "list", modulePath: parsed }));
  mkdirSync(path.dirname(listFile), { recursive: true });
  writeFileSync(listFile, list);
  for (const [version, goMod] of goMods) {
    const info = path.join(proxy, blobKey({ kind: "info", modulePath: parsed, version }));
    writeFileSync(info, JSON.stringify({ Version: version, Time: "2020-01-01T00:00:00Z" }));
    const file = path.join(proxy, blobKey({ kind: "mod", modulePath: parsed, version }));
    if (goMod !== undefined) writeFileSync(file, goMod);
  }
}

const answerSchema = z.object({ Version: z.string().optional(), Error: z.unknown().optional() });

/** The version of each of the objects that `go list -json` writes one after the other. */
function readAnswers(stdout: string): string[] {
  return stdout
    .split(/^(?=\{)/m)
    .filter((text) => text.trim() !== "")
    .map((text) => {
      const { Version, Error } = answerSchema.parse(JSON.parse(text));
      return Error === undefined && Version !== undefined ? Version : "none";
    });
}
