import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { scrub, type ScrubFlags } from "../../src/cli/store/scrub.ts";
import type { Outcome } from "../../src/cli/store/outcome.ts";
import { runCli } from "../support/cli.ts";
import { load } from "../support/config.ts";
import { flipBit, fillDataFolder, openLedgerOf } from "../support/filled-data-folder.ts";
import { buildModules, type FixtureFiles, fixtureFiles, incompressible } from "../support/fixture-modules.ts";
import { readFiles, writeLayout } from "../support/fixture-places.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { startSluiceProcess } from "../support/sluice.ts";

const fixture = fixtureFiles();
const zip = "example.com/leaf/@v/v1.2.0.zip";
const big = "example.com/big/@v/v1.0.0.zip";
const goMod = "example.com/versioned/@v/v1.0.0.mod";

let dataDir: string;
let upstream: FixtureUpstream;
let sent: FixtureFiles;

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "sluice-scrub-"));
  sent = fixtureFiles();
  upstream = await startFixtureUpstream({ modules: sent });
  await fillDataFolder(dataDir, fixture, { source: upstream.url });
});

afterEach(async () => {
  await upstream.close();
  await rm(dataDir, { recursive: true, force: true });
});

describe("sluice scrub", () => {
  it("reads everything, finds nothing, and changes nothing", async () => {
    const before = await readFiles(path.join(dataDir, "modules"));
    const { text, problems } = await run();
    expect(problems).toEqual([]);
    expect(text).toMatch(/^Read \d+ files \(7\.\d MiB\) in .*: all of them are what they were\.\n$/);
    expect(await readFiles(path.join(dataDir, "modules"))).toEqual(before);
  });

  it("sets flipped bits aside and keeps what is recorded", async () => {
    for (const key of [zip, big, goMod]) await flipBit(fileOf(key));
    const { text, problems } = await run();
    expect(text).toContain("3 of them are broken");
    for (const key of [zip, big, goMod]) {
      expect(problems.join("\n")).toMatch(new RegExp(`${key}: its sha256 is \\w+, recorded was \\w+; set aside`));
    }
    const stored = await readFiles(path.join(dataDir, "modules"));
    expect([zip, `${zip}hash`, big, goMod].filter((key) => stored.has(key))).toEqual([]);
    const aside = [...(await readFiles(path.join(dataDir, "quarantine"))).keys()];
    expect(aside.map((name) => name.slice(name.indexOf("/") + 1)).toSorted()).toEqual(
      [big, `${big}hash`, zip, `${zip}hash`, goMod].toSorted(),
    );
    const ledger = await openLedgerOf(dataDir);
    expect(await ledger.facts(zip)).toMatchObject({ source: upstream.url });
    await ledger.close();
  });

  it("only says so when it is dry", async () => {
    await flipBit(fileOf(zip));
    const before = await readFiles(path.join(dataDir, "modules"));
    const { problems } = await run({ dryRun: true });
    expect(problems).toMatchObject([expect.stringContaining(`${zip}: its sha256 is`)]);
    expect(await readFiles(path.join(dataDir, "modules"))).toEqual(before);
  });

  it("of some modules reads no others", async () => {
    await flipBit(fileOf(zip));
    expect((await run({ pattern: "example.com/big,gopkg.in/*" })).problems).toHaveLength(0);
    expect((await run({ pattern: "example.com/leaf" })).problems).toHaveLength(1);
  });

  it("brings them again with --fix, as they were", async () => {
    for (const key of [zip, big, goMod]) await flipBit(fileOf(key));
    const problems = (await run({ fix: true })).problems.join("\n");
    for (const key of [zip, big, goMod]) {
      expect(problems).toMatch(new RegExp(`${key}: .*; set aside, and fetched again: it is good now`));
    }
    const stored = await readFiles(path.join(dataDir, "modules"));
    for (const key of [zip, big, goMod])
      expect(stored.get(key)?.equals(fixture.get(key) ?? Buffer.alloc(0))).toBe(true);
    expect((await run()).problems).toEqual([]);
  });

  it("keeps nothing else in its place: what has another h1 now is refused", async () => {
    await flipBit(fileOf(zip));
    const other = buildModules([
      { path: "example.com/leaf", version: "v1.2.0", files: { "other.go": "package other\n" } },
    ]);
    sent.set(zip, other.get(zip) ?? Buffer.alloc(0));
    const problems = (await run({ fix: true })).problems.join("\n");
    expect(problems).toMatch(/cannot be fetched again now: .*sent another .*its h1 was h1:\S+ .* and is h1:/);
    expect((await readFiles(path.join(dataDir, "modules"))).has(zip)).toBe(false);
  });

  it("checks files without facts as if they came from a source, and records them", async () => {
    const [found, broken] = ["example.org/found/@v/v1.0.0", "example.org/broken/@v/v1.0.0"];
    const files = buildModules(
      ["found", "broken"].map((name) => ({
        path: `example.org/${name}`,
        version: "v1.0.0",
        files: { "a.bin": incompressible(4096) },
      })),
    );
    await writeLayout(path.join(dataDir, "modules"), files);
    await flipBit(fileOf(`${broken}.zip`));
    expect((await run()).problems).toMatchObject([expect.stringContaining(`${broken}.zip: `)]);
    const ledger = await openLedgerOf(dataDir);
    expect(await ledger.facts(`${found}.zip`)).toMatchObject({ source: "adopted" });
    expect(await ledger.unverified(`${found}.zip`)).toMatchObject({ reason: "adopted" });
    expect(await ledger.facts(`${broken}.zip`)).toBeUndefined();
    await ledger.close();
  });

  it("works beside a Sluice that serves, which then fetches again what is asked for", async () => {
    const sluice = await startSluiceProcess({ upstream: upstream.url, dataDir });
    try {
      await flipBit(fileOf(zip));
      expect(await cli()).toMatchObject({ code: 2, stderr: expect.stringContaining(`sluice: ${zip}: its sha256 is`) });
      const answer = await fetch(`${sluice.url}/${zip}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(fixture.get(zip) ?? Buffer.alloc(0))).toBe(true);
      expect((await readFile(fileOf(zip))).equals(fixture.get(zip) ?? Buffer.alloc(0))).toBe(true);
      expect(await cli()).toMatchObject({ code: 0, stderr: "" });
    } finally {
      await sluice.stop();
    }
  });

  it("says where to look when there is no store", async () => {
    dataDir = path.join(dataDir, "nowhere");
    await expect(run()).rejects.toThrow(
      /there is no store in ".*nowhere"; name the data folder with --data-dir or SLUICE_DATA_DIR$/,
    );
    dataDir = path.dirname(dataDir);
  });
});

function fileOf(key: string): string {
  return path.join(dataDir, "modules", key);
}

function cli() {
  const env = { GOPROXY: upstream.url, GOSUMDB: "off" };
  return runCli(["scrub", "--data-dir", dataDir], { cwd: dataDir, env });
}

function run(flags: Partial<ScrubFlags> = {}): Promise<Outcome> {
  const env = { SLUICE_DATA_DIR: dataDir, GOPROXY: upstream.url, GOSUMDB: "off" };
  return scrub(load({ env }).config, { fix: false, dryRun: false, inBucket: false, jobs: "2", ...flags });
}
