import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { ModuleStore } from "../../src/core/ports.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { createDiskBlobStore } from "../../src/storage/blob/disk.ts";
import { openDataFolder } from "../../src/storage/data-folder.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { rebuildLedger } from "../../src/storage/rebuild.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { fixtureConsumer, fixtureFiles } from "../support/fixture-modules.ts";
import { type CommandResult, createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { recordEvents, type RecordedEvents } from "../support/recorded-events.ts";
import { sha256 } from "../suites/module-store.ts";

const mib = 1024 * 1024;
const fixture = fixtureFiles();
const files = [...fixture.keys()].filter((key) => isFile(key));

describe.skipIf(lacks("go", ["version"]))("with the real go command", () => {
  let root: string;
  let dataDir: string;
  let modules: string;
  let events: RecordedEvents;
  let machines: GoMachine[];

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "sluice-store-go-"));
    dataDir = path.join(root, "data");
    modules = path.join(dataDir, "modules");
    events = recordEvents();
    machines = [];
  });

  afterEach(async () => {
    for (const machine of machines) await machine.remove();
    await rm(root, { recursive: true, force: true });
  });

  describe("the store's folder as GOPROXY=file://", () => {
    it("serves everything that was kept: download, verify, versions, latest, branches", async () => {
      await fillStore(fixture.keys());
      const machine = await newMachine(modules);
      expect(await downloadAll(machine)).toContain("all modules verified");
      expectOk(await machine.go(["build", "./..."]));
      const versions = await machine.go(["list", "-m", "-versions", "example.com/leaf"]);
      expect(versions.stdout.trim()).toBe("example.com/leaf v1.0.0 v1.1.0 v1.2.0 v1.3.0-rc.1");
      const latest = await machine.go(["list", "-m", "example.com/leaf@latest"]);
      expect(latest.stdout.trim()).toBe("example.com/leaf v1.2.0");
      const branch = await machine.go(["list", "-m", "example.com/pseudo@main"]);
      expect(branch.stdout.trim()).toBe("example.com/pseudo v0.0.0-20240102030405-abcdef123456");
    });

    it("is whole at every moment: go gets a version as soon as it is kept, and what is not there is not found", async () => {
      const version = files.filter((key) => key.startsWith("example.com/big/@v/v1.0.0"));
      const machine = await newMachine(modules);
      await fillStore(version.filter((key) => !key.endsWith(".zip")));
      const early = await machine.go(["mod", "download", "example.com/big@v1.0.0"]);
      expect(early.stderr).toMatch(/no such file|not found/);
      await fillStore(version);
      expectOk(await machine.go(["mod", "download", "example.com/big@v1.0.0"]));
    });

    it("is a module cache too, once its lists are there: go needs no proxy at all", async () => {
      await fillStore(fixture.keys());
      const machine = await newMachine(modules);
      await mkdir(path.join(machine.modCache, "cache"), { recursive: true });
      await cp(modules, path.join(machine.modCache, "cache/download"), { recursive: true });
      expect(await downloadAll(machine, { GOPROXY: "off" })).toContain("all modules verified");
    });
  });

  describe("a copied $GOMODCACHE/cache/download as the store", () => {
    beforeEach(async () => {
      await mkdir(dataDir);
      await cp(await downloadWithGo(), modules, { recursive: true });
    });

    it("is adopted as it is, with go's own hashes, and its other files do not matter", async () => {
      const before = await filesBelow(modules);
      expect(before.map((file) => path.extname(file))).toEqual(
        expect.arrayContaining([".lock", ".ziphash", ".info", ".mod", ".zip"]),
      );
      const { store, close } = await openPieces();
      const downloaded = before.filter(isFile);
      expect(downloaded.length).toBeGreaterThan(30);
      for (const key of downloaded) {
        const file = await store.store.read(parseRequest(`/${key}`));
        expect(file?.sha256, key).toBe(sha256(await readFile(path.join(modules, key))));
        expect(file?.source).toBe("adopted");
        expect((await store.ledger.facts(key))?.h1, key).toBe(await goHash(key));
      }
      expect(await rebuildLedger(store)).toEqual({ known: downloaded.length, adopted: 0, refused: 0 });
      expect(events.all).toEqual([]);
      expect(await filesBelow(modules)).toEqual(before);
      await close();
    });

    it("has the versions and lists that go left there, unconfirmed", async () => {
      const { store, close } = await openPieces();
      const list = await store.store.readRecord(parseRequest("/example.com/leaf/@v/list"));
      expect(list).toMatchObject({ source: "adopted", checkedAt: 0 });
      const versions = await store.store.versions(parseModulePath("example.com/leaf"));
      expect(versions).toContain("v1.2.0");
      expect(versions.map((version) => `${version}\n`).join("")).toBe(String(list?.bytes));
      await close();
    });

    it("serves go again, by file:// and after a new file was kept", async () => {
      const store = await openStore();
      await keepFixture(store, "example.com/leaf/@v/v1.1.0.zip");
      await store.close();
      const machine = await newMachine(modules);
      expect(await downloadAll(machine)).toContain("all modules verified");
    });

    it("with files torn by a crash, refuses these and only these", async () => {
      const base = "example.com/leaf/@v/v1.2.0";
      await writeFile(path.join(modules, `${base}.mod`), Buffer.alloc(30));
      await writeFile(path.join(modules, `${base}.info`), "");
      await writeFile(path.join(modules, `${base}.ziphash`), "h1:abc");
      await writeFile(path.join(modules, "example.com/leaf/@v/list"), "v1.2.0\n\0\0\0\0");
      await writeFile(path.join(modules, "example.com/!upper/!case/@v/v1.0.0.partial"), "");
      const { store, close } = await openPieces();
      const before = (await filesBelow(modules)).filter(isFile);
      expect(await rebuildLedger(store)).toEqual({ known: 0, adopted: before.length - 2, refused: 2 });
      expect(await store.store.readRecord(parseRequest("/example.com/leaf/@v/list"))).toBeUndefined();
      expect(
        events
          .of("file_corrupt")
          .map(({ key }) => key)
          .toSorted(),
      ).toEqual([`${base}.info`, `${base}.mod`, `${base}.ziphash`, "example.com/leaf/@v/list"].toSorted());
      expect(await readFile(path.join(modules, `${base}.ziphash`), "utf8")).toMatch(/^h1:.{44}$/);
      await close();
    });
  });

  /** Its module cache's download folder, filled by go from the fixture. */
  async function downloadWithGo(): Promise<string> {
    const proxy = path.join(root, "proxy");
    for (const [key, bytes] of fixture) {
      await mkdir(path.dirname(path.join(proxy, key)), { recursive: true });
      await writeFile(path.join(proxy, key), bytes);
    }
    const machine = await newMachine(proxy);
    await downloadAll(machine);
    return path.join(machine.modCache, "cache/download");
  }

  async function newMachine(proxy: string): Promise<GoMachine> {
    const machine = await createGoMachine({ GOPROXY: pathToFileURL(proxy).href });
    machines.push(machine);
    return machine;
  }

  function openStore(): Promise<ModuleStore> {
    const memory = { memoryBytes: 64 * mib, wholeFileLimitBytes: 32 * mib };
    return openDataFolder({
      ...memory,
      dataDir,
      clock: systemClock,
      events,
      verifier: createZipVerifier({ workers: 1 }),
    });
  }

  /** The store with its blobs and ledger at hand, and nothing going on in the background. */
  async function openPieces() {
    const ledgerFile = path.join(dataDir, "ledger.db");
    await (await openSqliteLedger({ file: ledgerFile, clock: systemClock, events })).close();
    const store = await openStore();
    const ledger = await openSqliteLedger({ file: ledgerFile, clock: systemClock, events });
    const blobs = await createDiskBlobStore({
      root: modules,
      stagingDir: path.join(dataDir, "staging"),
      quarantineDir: path.join(dataDir, "quarantine"),
    });
    const close = async (): Promise<void> => {
      await ledger.close();
      await store.close();
    };
    return { store: { store, ledger, blobs }, close };
  }

  async function fillStore(keys: Iterable<string>): Promise<void> {
    const store = await openStore();
    for (const key of keys) await keepFixture(store, key);
    await store.close();
  }

  async function goHash(key: string): Promise<string | undefined> {
    const bytes = await readFile(path.join(modules, key));
    if (key.endsWith(".mod")) return hashGoMod(bytes);
    return key.endsWith(".zip") ? readFile(path.join(modules, `${key}hash`), "utf8") : undefined;
  }
});

async function keepFixture(store: ModuleStore, key: string): Promise<void> {
  const bytes = fixture.get(key) ?? Buffer.alloc(0);
  const request = parseRequest(`/${key}`);
  if (request.kind === "list" || request.kind === "latest" || request.kind === "query") {
    await store.keepRecord(request, bytes, "fixture");
    return;
  }
  const h1 =
    request.kind === "mod"
      ? hashGoMod(bytes)
      : request.kind === "zip"
        ? hashZip(randomAccess(bytes), request)
        : undefined;
  await store.keep(request, { bytes }, { size: bytes.length, sha256: sha256(bytes), h1, source: "fixture" });
}

/** What `go mod verify` says after everything the fixture's consumer needs was downloaded. */
async function downloadAll(machine: GoMachine, env: Readonly<Record<string, string>> = {}): Promise<string> {
  for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(path.join(machine.dir, name), content);
  expectOk(await machine.go(["mod", "tidy"], env));
  expectOk(await machine.go(["mod", "download", "all"], env));
  return (await machine.go(["mod", "verify"], env)).stdout;
}

function expectOk(result: CommandResult): void {
  expect(result.code, result.stderr).toBe(0);
}

/** Of a version, and not a record. */
function isFile(key: string): boolean {
  if (!/\/@v\/.*\.(info|mod|zip)$/.test(key)) return false;
  const { kind } = parseRequest(`/${key}`);
  return kind !== "query";
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return names.map((name) => path.relative(folder, name)).toSorted();
}
