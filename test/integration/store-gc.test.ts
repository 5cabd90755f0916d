import { mkdtemp, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collectGarbage, type GcFlags } from "../../src/cli/store/gc.ts";
import { scrub } from "../../src/cli/store/scrub.ts";
import { runCli } from "../support/cli.ts";
import { load } from "../support/config.ts";
import { fillDataFolder, flipBit, openLedgerOf } from "../support/filled-data-folder.ts";
import { buildModules, fixtureFiles } from "../support/fixture-modules.ts";
import { readFiles } from "../support/fixture-places.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { startSluiceProcess } from "../support/sluice.ts";

const day = 86_400_000;
const fixture = fixtureFiles();
const leaf = "example.com/leaf/@v/v1.2.0";
const big = "example.com/big/@v/v1.0.0";

let dataDir: string;
let upstream: FixtureUpstream;
const now = Date.now();

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "sluice-gc-"));
  upstream = await startFixtureUpstream();
});

afterEach(async () => {
  await upstream.close();
  await rm(dataDir, { recursive: true, force: true });
});

describe("sluice gc --unused-for", () => {
  it("only says what would go, until --yes", async () => {
    await fillDataFolder(dataDir, fixture, { source: upstream.url, firstSeenAt: now - 200 * day });
    await use({ [`${leaf}.mod`]: now - day });
    const before = await storedFiles();
    const text = await gc({ unusedFor: "180d" });
    expect(text).toMatch(/To go: \d+ files \(7\.\d MiB\), those unused for longest first:\n/);
    expect(text).toContain("Nothing was removed. With --yes it is.");
    expect(await storedFiles()).toEqual(before);

    expect(await gc({ unusedFor: "180d", yes: true })).toMatch(/Removed \d+ files \(7\.\d MiB\)\.\n$/);
    const left = (await storedFiles()).filter((key) => /\.(mod|zip|ziphash)$/.test(key));
    // Its zip nobody used; its go.mod was used, and its .info belongs to that.
    expect(left).toEqual([`${leaf}.mod`]);
    expect(await storedFiles()).toContain(`${leaf}.info`);
  });

  it("keeps what is recorded: what comes back must be what it was", async () => {
    await fillDataFolder(dataDir, fixture, { source: upstream.url });
    await gc({ unusedFor: "1d", yes: true });
    const other = buildModules([
      { path: "example.com/leaf", version: "v1.2.0", files: { "other.go": "package other\n" } },
    ]);
    const files = new Map(fixture).set(`${leaf}.zip`, other.get(`${leaf}.zip`) ?? Buffer.alloc(0));
    const liar = await startFixtureUpstream({ modules: files });
    const sluice = await startSluiceProcess({ upstream: liar.url, dataDir });
    try {
      const good = await fetch(`${sluice.url}/${big}.zip`);
      expect(Buffer.from(await good.arrayBuffer()).equals(fixture.get(`${big}.zip`) ?? Buffer.alloc(0))).toBe(true);
      const changed = await fetch(`${sluice.url}/${leaf}.zip`);
      expect({ status: changed.status, text: await changed.text() }).toMatchObject({
        status: 502,
        text: expect.stringContaining("than the one served before"),
      });
    } finally {
      await sluice.stop();
      await liar.close();
    }
  });
});

describe("sluice gc --max-size", () => {
  it("removes what was unused for longest, and no more than it must", async () => {
    const isBig = ([key]: readonly [string, Uint8Array]): boolean => key.startsWith("example.com/big/");
    const [large, rest] = [[...fixture].filter(isBig), [...fixture].filter((entry) => !isBig(entry))];
    await fillDataFolder(dataDir, new Map(large), { source: upstream.url, firstSeenAt: now - 20 * day });
    await fillDataFolder(dataDir, new Map(rest), { source: upstream.url, firstSeenAt: now - 30 * day });
    await use(Object.fromEntries(rest.map(([key]) => [key, now - 10 * day])));
    const size = (await storedFiles()).length;
    expect(await gc({ maxSize: "1GiB", yes: true })).toContain("To go: 0 files (0 B).");
    expect(await gc({ maxSize: "1MiB", yes: true })).toMatch(
      /To go: 1 files \(7\.0 MiB\), those unused for longest first:\n.* {2}example\.com\/big\/@v\/v1\.0\.0\.zip/,
    );
    const stored = await storedFiles();
    expect(size - stored.length).toBe(2);
    expect(stored).toContain(`${big}.mod`);
  });

  it("is what max_size of [store] says when no flag does", async () => {
    await fillDataFolder(dataDir, fixture, { source: upstream.url });
    expect(await gc()).toContain("Say what may go: --max-size 50GiB, --unused-for 180d");
    expect(await gc({}, { SLUICE_STORE_MAX_SIZE: "1MiB" })).toMatch(/To go: \d+ files \(7\./);
  });
});

describe("what may not come back", () => {
  const files = buildModules(
    ["corp.example/lib", "example.com/direct", "example.com/found", "example.com/public"].map((name) => ({
      path: name,
      version: "v1.0.0",
      files: { "a.go": "package a\n" },
    })),
  );

  beforeEach(async () => {
    const of = (name: string) => new Map([...files].filter(([key]) => key.startsWith(`${name}/`)));
    await fillDataFolder(dataDir, of("corp.example/lib"), { source: upstream.url });
    await fillDataFolder(dataDir, of("example.com/direct"), { source: "direct" });
    await fillDataFolder(dataDir, of("example.com/found"), { source: "adopted" });
    await fillDataFolder(dataDir, of("example.com/public"), { source: upstream.url });
    const ledger = await openLedgerOf(dataDir);
    const facts = await ledger.facts("example.com/found/@v/v1.0.0.zip");
    if (facts?.h1 !== undefined)
      await ledger.addUnverified({ key: facts.key, h1: facts.h1, reason: "adopted", since: 1 });
    await ledger.close();
  });

  it("stays, with the reason", async () => {
    const text = await gc({ unusedFor: "1d", yes: true }, { GOPRIVATE: "corp.example/*" });
    for (const reason of [
      "their modules are private",
      "straight from their repositories",
      "no checksum database has confirmed",
    ]) {
      expect(text).toMatch(new RegExp(` {2}3 files \\(.*\\) stay: .*${reason}`));
    }
    const zips = (await storedFiles()).filter((key) => key.endsWith(".zip"));
    expect(zips).toEqual(
      ["corp.example/lib", "example.com/direct", "example.com/found"].map((name) => `${name}/@v/v1.0.0.zip`),
    );
  });

  it("stays as a whole where the chain has no upstream", async () => {
    expect(await gc({ unusedFor: "1d" }, { GOPROXY: "off" })).toMatch(
      / {2}12 files \(.*\) stay: the chain has no upstream/,
    );
  });

  it("goes with --include-private, but for what nothing is recorded of", async () => {
    const ledger = await openLedgerOf(dataDir);
    await ledger.removeFacts("example.com/direct/@v/v1.0.0.zip");
    await ledger.close();
    const text = await gc({ unusedFor: "1d", includePrivate: true, yes: true }, { GOPRIVATE: "corp.example/*" });
    expect(text).toContain("nothing is recorded of them");
    const stored = (await storedFiles()).filter((key) => key.includes("/@v/v"));
    expect(new Set(stored.map((key) => key.slice(0, key.indexOf("/@"))))).toEqual(new Set(["example.com/direct"]));
  });
});

it("sweeps what was set aside long ago", async () => {
  await fillDataFolder(dataDir, fixture, { source: upstream.url });
  await flipBit(path.join(dataDir, "modules", `${leaf}.zip`));
  const { config } = load({ env: { SLUICE_DATA_DIR: dataDir } });
  await scrub(config, { fix: false, dryRun: false, inBucket: false, jobs: "2" });
  const quarantine = path.join(dataDir, "quarantine");
  const aside = [...(await readFiles(quarantine)).keys()];
  expect(aside.length).toBe(2);
  expect(await gc({ yes: true })).not.toContain("set aside");
  for (const name of aside) await utimes(path.join(quarantine, name.slice(0, name.indexOf("/"))), 0, 0);
  expect(await gc()).toMatch(/And 2 that were set aside as broken \(\d+ B\)\.\nNothing was removed/);
  expect(await readFiles(quarantine)).toHaveProperty("size", 2);
  expect(await gc({ yes: true })).toContain("And 2 that were set aside");
  expect(await readFiles(quarantine)).toHaveProperty("size", 0);
});

it.each<readonly [flags: Partial<GcFlags>, message: string]>([
  [{ maxSize: "50" }, '--max-size "50" is no size; write 512MiB, 50GiB or 1.5TiB'],
  [{ unusedFor: "x" }, '--unused-for "x" is no duration; write 12h, 30d or 180d'],
])("refuses %j", (flags, message) => {
  expect(() => gc(flags)).toThrow(message);
});

it("is a command", async () => {
  await fillDataFolder(dataDir, fixture, { source: upstream.url });
  const env = { GOPROXY: upstream.url, GOSUMDB: "off" };
  const { code, stdout, stderr } = await runCli(["gc", "--data-dir", dataDir, "--unused-for", "180d"], {
    cwd: dataDir,
    env,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("Nothing was removed. With --yes it is.");
});

async function use(uses: Readonly<Record<string, number>>): Promise<void> {
  const ledger = await openLedgerOf(dataDir);
  for (const [key, usedAt] of Object.entries(uses)) ledger.touch(key, usedAt);
  await ledger.close();
}

async function storedFiles(): Promise<string[]> {
  return [...(await readFiles(path.join(dataDir, "modules"))).keys()].toSorted();
}

function gc(flags: Partial<GcFlags> = {}, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const base = { SLUICE_DATA_DIR: dataDir, GOPROXY: upstream.url, GOSUMDB: "off" };
  const all = { quarantineOlderThan: "30d", includePrivate: false, yes: false, ...flags };
  return collectGarbage(load({ env: { ...base, ...env } }).config, all);
}
