import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fixtureConsumer, fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { createRandom } from "../support/random.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { createSmallDisk, lacksMount } from "../support/small-disk.ts";

const files = fixtureFiles();
const bigPath = "example.com/big/@v/v1.0.0.zip";
const leafZip = "example.com/leaf/@v/v1.2.0.zip";
const leafMod = "example.com/leaf/@v/v1.2.0.mod";

let upstream: FixtureUpstream;
beforeEach(async () => {
  upstream = await startFixtureUpstream();
});
afterEach(() => upstream.close());

async function start(dataDir?: string): Promise<RunningSluice> {
  const sluice = await startSluiceProcess({
    upstream: upstream.url,
    ...(dataDir === undefined ? {} : { dataDir }),
    env: { SLUICE_SERVER_SHUTDOWN_TIMEOUT: "1s", SLUICE_LOG_FORMAT: "json" },
  });
  onTestFinished(async () => void (await sluice.stop("SIGKILL")));
  return sluice;
}

async function tempDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sluice-drill-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Every file under its final name must be the upstream's, byte for byte; what Sluice writes itself must be whole. */
async function expectNothingTorn(dataDir: string): Promise<number> {
  const root = join(dataDir, "modules");
  const stored = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const torn: string[] = [];
  for (const entry of stored) {
    const key = join(entry.parentPath, entry.name).slice(root.length + 1);
    if (!isWhole(key, await readFile(join(root, key)))) torn.push(key);
  }
  expect(torn).toEqual([]);
  return stored.length;
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

function isWhole(key: string, bytes: Buffer): boolean {
  if (/\.(zip|mod)$/.test(key)) return bytes.equals(files.get(key) ?? Buffer.alloc(0));
  if (key.endsWith(".ziphash")) return /^h1:[A-Za-z0-9+/]{43}=$/.test(bytes.toString());
  return key.endsWith("/list") || /^\{"Version":"v[^"]+".*\}$/.test(bytes.toString());
}

async function prepareConsumer(machine: GoMachine): Promise<void> {
  for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(join(machine.dir, name), content);
}

describe.skipIf(lacks("go", ["version"]))("kill -9 while modules come in", () => {
  test("nothing torn stays, and the next start goes on", async () => {
    const random = createRandom(20_261_121);
    const dataDir = await tempDir();
    const machine = await createGoMachine({});
    onTestFinished(() => machine.remove());
    await prepareConsumer(machine);
    for (let round = 0; round < 6; round++) {
      const sluice = await start(dataDir);
      await machine.clearModCache();
      const download = machine.go(["mod", "download", "example.com/big@v1.0.0", "example.com/nested/a@v1.0.0"], {
        GOPROXY: sluice.url,
      });
      // Killed when the upstream has been asked for so many files: at another point of the work in every round.
      await Promise.race([upstream.arrived(/./, upstream.requests.length + random.int(4) + 1), download]);
      for (let turns = random.int(400); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      await sluice.stop("SIGKILL");
      await download;
      await expectNothingTorn(dataDir);
    }
    const sluice = await start(dataDir);
    await machine.clearModCache();
    expect((await machine.go(["mod", "tidy"], { GOPROXY: sluice.url })).code).toBe(0);
    expect((await machine.go(["mod", "download", "all"], { GOPROXY: sluice.url })).code).toBe(0);
    expect((await machine.go(["mod", "verify"])).stdout).toContain("all modules verified");
    expect(await filesIn(join(dataDir, "staging"))).toEqual([]);
    expect(await expectNothingTorn(dataDir)).toBeGreaterThan(30);
  });
});

describe("what happens to stored files", () => {
  async function storedThenRestarted(): Promise<{ sluice: RunningSluice; dataDir: string; damage: string[] }> {
    const dataDir = await tempDir();
    const first = await start(dataDir);
    // Whole versions, so that nothing is left to be fetched with their zips.
    const others = [leafZip, bigPath].flatMap((zip) => ["info", "mod"].map((kind) => zip.replace(/zip$/, kind)));
    for (const path of [leafZip, bigPath, ...others]) expect((await ask(first.url, `/${path}`)).status).toBe(200);
    await first.stop();
    return { sluice: first, dataDir, damage: [leafZip, leafMod, bigPath] };
  }

  test("a flipped bit on disk is never served: the file is fetched again and the operator is told", async () => {
    const { dataDir, damage } = await storedThenRestarted();
    for (const path of damage) {
      const file = join(dataDir, "modules", path);
      const bytes = await readFile(file);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
      await rm(file);
      await writeFile(file, bytes);
    }
    upstream.requests.length = 0;
    const sluice = await start(dataDir);
    for (const path of damage) {
      const { status, body } = await ask(sluice.url, `/${path}`);
      expect(status).toBe(200);
      expect(body.equals(files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    expect(upstream.requests.map(({ path }) => path).sort()).toEqual([...damage].sort());
    expect((await ask(sluice.url, "/metrics")).body.toString()).toMatch(/^sluice_corrupt_files_total 3$/m);
    await sluice.stop();
    expect(sluice.output().match(/"event":"file_corrupt"/g)).toHaveLength(3);
    await expectNothingTorn(dataDir);
  });

  test("a flipped bit with the upstream away is an outage, not a bad file", async () => {
    const { dataDir } = await storedThenRestarted();
    const file = join(dataDir, "modules", leafZip);
    const bytes = await readFile(file);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await rm(file);
    await writeFile(file, bytes);
    upstream.setFault(/./, { kind: "status", status: 404 });
    const sluice = await start(dataDir);
    expect((await ask(sluice.url, `/${leafZip}`)).status).toBe(503);
  });

  test("deleted files are fetched again", async () => {
    const { dataDir, damage } = await storedThenRestarted();
    await rm(join(dataDir, "modules"), { recursive: true });
    const sluice = await start(dataDir);
    for (const path of damage) {
      expect((await ask(sluice.url, `/${path}`)).body.equals(files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    await expectNothingTorn(dataDir);
  });

  test("without its ledger the store serves all it has, also when the upstream is away", async () => {
    const { dataDir, damage } = await storedThenRestarted();
    for (const name of await readdir(dataDir)) {
      if (name.startsWith("ledger")) await rm(join(dataDir, name));
    }
    const { port } = upstream;
    await upstream.close();
    const sluice = await start(dataDir);
    for (const path of damage) {
      expect((await ask(sluice.url, `/${path}`)).body.equals(files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    upstream = await startFixtureUpstream({ port });
  });
});

describe.skipIf(lacksMount())("a disk that takes nothing", () => {
  test("is full: clients get their bytes, nothing torn stays, and the operator is told", async () => {
    const disk = createSmallDisk(4);
    onTestFinished(() => disk.remove());
    const sluice = await start(disk.path);
    for (const path of [leafMod, bigPath, leafZip, bigPath]) {
      const { status, body, broken } = await ask(sluice.url, `/${path}`);
      expect([path, status, broken]).toEqual([path, 200, false]);
      expect(body.equals(files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    expect(sluice.output()).toContain('"event":"store_failed"');
    expect((await ask(sluice.url, "/metrics")).body.toString()).toMatch(/^sluice_store_failures_total\{.*\} [1-9]/m);
    expect(existsSync(join(disk.path, "modules", bigPath))).toBe(false);
    await expectNothingTorn(disk.path);
    expect(await filesIn(join(disk.path, "staging"))).toEqual([]);
  });

  test("is read-only: what is stored is served, what is new is passed on", async () => {
    const disk = createSmallDisk(40);
    onTestFinished(() => disk.remove());
    const sluice = await start(disk.path);
    await ask(sluice.url, `/${leafMod}`);
    await ask(sluice.url, "/example.com/leaf/@v/list");
    disk.makeReadOnly();
    for (const path of [leafMod, leafZip, bigPath]) {
      const { status, body } = await ask(sluice.url, `/${path}`);
      expect([path, status]).toEqual([path, 200]);
      expect(body.equals(files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    expect((await ask(sluice.url, "/example.com/versioned/@v/list")).status).toBe(200);
    expect((await ask(sluice.url, "/readyz")).status).toBe(503);
    expect((await ask(sluice.url, "/healthz")).status).toBe(200);
    disk.makeWritable();
    await expect.poll(async () => (await ask(sluice.url, "/readyz")).status, { timeout: 10_000 }).toBe(200);
    expect((await ask(sluice.url, "/example.com/versioned/@v/v1.0.0.mod")).status).toBe(200);
    expect(existsSync(join(disk.path, "modules/example.com/versioned/@v/v1.0.0.mod"))).toBe(true);
  });
});

describe("an upstream that dies after a build", () => {
  test("what the build had is there as a whole, though it asked for no .info", async () => {
    const sluice = await start();
    const version = "example.com/leaf/@v/v1.2.0";
    expect((await ask(sluice.url, `/${version}.zip`)).status).toBe(200);
    await upstream.arrived(`${version}.mod`);
    await upstream.arrived(`${version}.info`);
    for (const kind of ["mod", "info", "zip"]) {
      const stored = { headers: { "disable-module-fetch": "true" } };
      await expect.poll(async () => (await ask(sluice.url, `/${version}.${kind}`, stored)).status).toBe(200);
      expect(upstream.requestsFor(`${version}.${kind}`)).toHaveLength(1);
    }
  });
});
