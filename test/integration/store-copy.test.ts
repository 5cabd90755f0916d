import { mkdtemp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { copyStore, type CopyFlags } from "../../src/cli/store/copy.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { copyModules, type CopyOptions, type CopyReport } from "../../src/storage/copy/copy.ts";
import { openFolderPlace } from "../../src/storage/copy/folder-place.ts";
import type { Place } from "../../src/storage/copy/place.ts";
import { openDataFolderTarget } from "../../src/storage/copy/target.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { runCli, startCli } from "../support/cli.ts";
import { load } from "../support/config.ts";
import { buildModules, fixtureFiles, fixtureVersions } from "../support/fixture-modules.ts";
import {
  athensFiles,
  athensObjects,
  type Layout,
  ourLayout,
  readFiles,
  writeLayout,
} from "../support/fixture-places.ts";
import { startSumLog } from "../support/sum-log.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { moduleFiles } from "../support/store-writer.ts";
import { sha256 } from "../suites/module-store.ts";

const fixture = fixtureFiles();
const versionFiles = new Map([...fixture].filter(([key]) => isVersionFile(key)));

let root: string;
let from: string;
let to: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "sluice-copy-test-"));
  from = path.join(root, "from");
  to = path.join(root, "to");
});

afterEach(() => rm(root, { recursive: true, force: true }));

describe("a copy", () => {
  it.each<readonly [what: string, folder: string, layout: Layout]>([
    ["a data folder", "modules", ourLayout],
    ["a module cache", "cache/download", ourLayout],
    ["a folder in a module cache's layout", "", ourLayout],
    ["a store of Athens on disk", "", athensFiles],
    ["Athens' layout of S3", "", athensObjects],
  ])("of %s brings every version, byte for byte, with its facts", async (_what, folder, layout) => {
    await writeLayout(path.join(from, folder), fixture, layout);
    const { code, stdout, stderr } = await copy();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(
      `Copied ${fixtureVersions.length} of ${fixtureVersions.length} versions (${versionFiles.size} files`,
    );
    const stored = await readFiles(path.join(to, "modules"));
    for (const [key, bytes] of versionFiles) expect(stored.get(key)?.equals(bytes), key).toBe(true);
    const ledger = await openLedger();
    for (const [key, bytes] of versionFiles) {
      expect(await ledger.facts(key)).toMatchObject({ sha256: sha256(bytes), source: `copy of ${from}` });
    }
    await ledger.close();
    const list = stored.get("example.com/leaf/@v/list")?.toString();
    expect(list).toBe("v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0-rc.1\n");
  });

  it("of some modules brings those alone", async () => {
    await writeLayout(path.join(from, "modules"), fixture);
    expect((await copy({ pattern: "example.com/versioned,gopkg.in/*" })).code).toBe(0);
    const keys = [...(await readFiles(path.join(to, "modules"))).keys()];
    expect(new Set(keys.map((key) => key.slice(0, key.indexOf("/@"))))).toEqual(
      new Set(["example.com/versioned", "example.com/versioned/v2", "gopkg.in/fixture.v2"]),
    );
  });

  it("that is dry writes nothing, and says what it would do", async () => {
    await writeLayout(path.join(from, "modules"), fixture);
    const { code, stdout } = await copy({ dryRun: true });
    expect(code).toBe(0);
    expect(stdout).toContain(
      `Would copy ${fixtureVersions.length} of ${fixtureVersions.length} versions (${versionFiles.size} files`,
    );
    expect(await readFiles(path.join(to, "modules"))).toEqual(new Map());
  });

  it.each([
    ["a zip with a flipped bit", "example.com/leaf/@v/v1.2.0.zip", flipBit],
    ["a zip that was cut", "example.com/leaf/@v/v1.2.0.zip", cut],
    ["a go.mod of zeros", "example.com/leaf/@v/v1.2.0.mod", zeros],
    ["an .info of another version", "example.com/leaf/@v/v1.2.0.info", () => Buffer.from('{"Version":"v1.2.1"}')],
  ])("leaves a version with %s where it is, as a whole, and brings the others", async (_what, key, damage) => {
    const damaged = new Map(fixture).set(key, damage(fixture.get(key) ?? Buffer.alloc(0)));
    await writeLayout(path.join(from, "modules"), damaged);
    const { code, stdout, stderr } = await copy();
    expect(code).toBe(2);
    expect(stderr).toContain(`broken: ${key}: `);
    expect(stdout).toMatch(/broken +1 {2}not copied/);
    const stored = await readFiles(path.join(to, "modules"));
    const missing = [...versionFiles.keys()].filter((one) => !stored.has(one));
    expect(missing).toEqual(["info", "mod", "zip"].map((kind) => `example.com/leaf/@v/v1.2.0.${kind}`));
  });

  it("never touches other content of the target, and mixes nothing with it", async () => {
    const other = buildModules([
      {
        path: "example.com/leaf",
        version: "v1.2.0",
        files: { "other.go": "package other\n" },
        goMod: "module example.com/leaf\n\ngo 1.21\n",
      },
    ]);
    await writeLayout(path.join(from, "modules"), fixture);
    const zip = "example.com/leaf/@v/v1.2.0.zip";
    await writeLayout(path.join(to, "modules"), new Map([[zip, other.get(zip) ?? Buffer.alloc(0)]]));
    const { code, stdout, stderr } = await copy();
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^conflict: example\.com\/leaf\/@v\/v1\.2\.0\.zip: its h1 is h1:\S+, and that of the target is h1:\S+$/,
    );
    expect(stdout).toMatch(/conflicts +1 /);
    const stored = await readFiles(path.join(to, "modules"));
    expect(stored.get(zip)?.equals(other.get(zip) ?? Buffer.alloc(0))).toBe(true);
    expect(stored.has("example.com/leaf/@v/v1.2.0.mod")).toBe(false);
    expect(stored.has("example.com/leaf/@v/v1.1.0.mod")).toBe(true);
  });

  it("takes the target's own .info of the same commit for the same", async () => {
    await writeLayout(path.join(from, "modules"), fixture);
    const info = "example.com/leaf/@v/v1.2.0.info";
    const own = Buffer.from('{"Version":"v1.2.0","Time":"2024-01-02T03:04:05Z","Origin":{"VCS":"git"}}');
    await writeLayout(path.join(to, "modules"), new Map([[info, own]]));
    expect((await copy()).code).toBe(0);
    expect((await readFiles(path.join(to, "modules"))).get(info)?.equals(own)).toBe(true);
  });

  it("into a folder in a module cache's layout leaves nothing else there, and completes its lists", async () => {
    to = path.join(root, "cache/download");
    await writeLayout(from, buildModules(fixtureVersions.filter(({ version }) => version === "v1.0.0")));
    expect((await copy()).code).toBe(0);
    expect((await readFiles(to)).get("example.com/leaf/@v/list")?.toString()).toBe("v1.0.0\n");
    await writeLayout(from, fixture, athensFiles);
    expect((await copy()).code).toBe(0);
    const files = await readFiles(to);
    expect(files.get("example.com/leaf/@v/list")?.toString()).toBe("v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0-rc.1\n");
    expect([...files.keys()].filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("says what is wrong with a place that has no modules, or is not there", async () => {
    await writeLayout(from, new Map([["README.md", Buffer.from("hello\n")]]));
    await expect(copy()).rejects.toThrow("there are no module versions in");
    from = path.join(root, "nowhere");
    await expect(copy()).rejects.toThrow("there is no folder");
  });
});

describe("a copy that is begun again", () => {
  it("reads nothing but small files of what it has copied", async () => {
    await writeLayout(from, fixture, athensFiles);
    expect((await copyFrom()).copied.versions).toBe(fixtureVersions.length);
    const opened: string[] = [];
    const report = await copyFrom((place) => ({
      ...place,
      open: (name) => {
        opened.push(name);
        return place.open(name);
      },
    }));
    expect(report).toMatchObject({ there: fixtureVersions.length, copied: { versions: 0 }, problems: [] });
    expect(opened.filter((name) => name.endsWith("source.zip"))).toEqual([]);
  });

  it("goes on where one was killed, and finds nothing broken", async () => {
    const files = new Map(Array.from({ length: 30 }, (_, index) => [...moduleFiles(index, "copied")]).flat());
    await writeLayout(path.join(from, "modules"), files);
    const killed = startCli(["store", "copy", from, to, "--jobs", "2"], { cwd: root });
    await vi.waitFor(() => expect(existsSync(path.join(to, "modules/example.com/m2/@v/v1.0.0.info"))).toBe(true), {
      timeout: 20_000,
      interval: 1,
    });
    killed.kill("SIGKILL");
    await killed.ended;
    const before = await readFiles(path.join(to, "modules"));
    const copied = [...files.keys()].filter((key) => before.has(key));
    expect(copied.length).toBeLessThan(files.size);
    for (const key of copied) expect(before.get(key)?.equals(files.get(key) ?? Buffer.alloc(0)), key).toBe(true);

    const { code, stdout, stderr } = await copy();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/there already +[1-9]/);
    const after = await readFiles(path.join(to, "modules"));
    for (const [key, bytes] of files) expect(after.get(key)?.equals(bytes), key).toBe(true);
    expect(await readFiles(path.join(to, "staging"))).toEqual(new Map());
  });
});

describe("a data folder that is copied", () => {
  it("gives its facts along, and what does not have its recorded hash is not copied", async () => {
    await writeLayout(path.join(from, "modules"), fixture);
    const key = "example.com/leaf/@v/v1.2.0.info";
    const ledger = await openSqliteLedger({
      file: path.join(from, "ledger.db"),
      clock: systemClock,
      events: recordEvents(),
    });
    const facts = { size: 1, source: "https://first.example", firstSeenAt: 1 };
    const bytes = fixture.get(key) ?? Buffer.alloc(0);
    await ledger.addFacts({ ...facts, key, size: bytes.length, sha256: sha256(Buffer.from("another")) });
    const sound = "example.com/leaf/@v/v1.1.0.info";
    const soundBytes = fixture.get(sound) ?? Buffer.alloc(0);
    await ledger.addFacts({ ...facts, key: sound, size: soundBytes.length, sha256: sha256(soundBytes) });
    await ledger.close();
    const { code, stderr } = await copy();
    expect(code).toBe(2);
    expect(stderr).toContain(`broken: ${key}: its sha256 is ${sha256(bytes)}, recorded was`);
    const target = await openLedger();
    expect(await target.facts(sound)).toMatchObject({ source: "https://first.example" });
    expect(await target.facts(key)).toBeUndefined();
    await target.close();
  });
});

describe("with a checksum database", () => {
  it("by the command, refuses what its log has another hash of", async () => {
    const zip = "example.com/leaf/@v/v1.2.0.zip";
    const other = buildModules([
      { path: "example.com/leaf", version: "v1.2.0", files: { "other.go": "package other\n" } },
    ]);
    await writeLayout(path.join(from, "modules"), new Map(fixture).set(zip, other.get(zip) ?? Buffer.alloc(0)));
    const log = await startSumLog({ name: "sum.public.example", size: 600, vouchFor: fixture });
    try {
      const env = { GOSUMDB: log.gosumdb, SLUICE_DATA_DIR: path.join(root, "sluice") };
      const { code, stdout, stderr } = await runCli(["store", "copy", from, to, "--verify-sums"], { cwd: root, env });
      expect(code).toBe(2);
      expect(stderr).toMatch(/sluice: broken: example\.com\/leaf\/@v\/v1\.2\.0\.zip: .*checksum mismatch/);
      expect(stdout).toContain(`Copied ${fixtureVersions.length - 1} of ${fixtureVersions.length} versions`);
      expect(stdout).not.toContain("unverified");
    } finally {
      await log.close();
    }
  });

  it("copies what it confirms as such, marks what cannot be asked, and refuses what it has another hash of", async () => {
    await writeLayout(path.join(from, "modules"), fixture);
    const lying = "example.com/leaf";
    const report = await copyFrom(undefined, {
      recheck: ({ modulePath, kind }) => {
        if (modulePath === "example.com/Upper/Case") {
          return Promise.resolve({ state: "unverified", database: "sum", reason: "not now", isAnswered: false });
        }
        if (modulePath !== lying || kind !== "zip") return Promise.resolve({ state: "verified", database: "sum" });
        return Promise.reject(new SluiceError("integrity", "the database has another hash"));
      },
    });
    expect(report.problems.map(({ kind, key }) => `${kind} ${key}`).toSorted()).toEqual(
      ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0-rc.1"].map((version) => `broken ${lying}/@v/${version}.zip`),
    );
    expect(report.unverified).toBe(4);
    const ledger = await openLedger();
    const unverified = await ledger.listUnverified("", 100);
    expect(new Set(unverified.map(({ key, reason }) => `${key.slice(0, key.indexOf("/@"))} ${reason}`))).toEqual(
      new Set(["example.com/!upper/!case not now"]),
    );
    await ledger.close();
  });
});

/** What the command says and ends with. */
async function copy(flags: Partial<CopyFlags> = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  const { config } = load({ env: { SLUICE_DATA_DIR: path.join(root, "unused") } });
  const { text, problems } = await copyStore(from, to, config, {
    jobs: "8",
    dryRun: false,
    verifySums: false,
    ...flags,
  });
  return { code: problems.length === 0 ? 0 : 2, stdout: text, stderr: problems.join("\n") };
}

/** With something between the copy and its place. */
async function copyFrom(wrap = (place: Place): Place => place, sums?: CopyOptions["sums"]): Promise<CopyReport> {
  const verifier = createZipVerifier({ workers: 1 });
  const place = wrap(await openFolderPlace(from));
  const target = await openDataFolderTarget(to, { verifier, events: recordEvents(), clock: systemClock });
  try {
    return await copyModules({
      from: place,
      to: target,
      verifier,
      sums,
      patterns: "",
      concurrency: 4,
      dryRun: false,
      context: { signal: new AbortController().signal, client: "test" },
      onProgress: () => undefined,
    });
  } finally {
    await target.close();
    await place.close();
    await verifier.close();
  }
}

function openLedger() {
  return openSqliteLedger({ file: path.join(to, "ledger.db"), clock: systemClock, events: recordEvents() });
}

function isVersionFile(key: string): boolean {
  return /\/@v\/v\d+\.\d+\.\d+[^/]*\.(info|mod|zip)$/.test(key) && key !== "example.com/legacy/@v/v3.0.0.info";
}

function flipBit(bytes: Uint8Array): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  const at = Math.floor(flipped.length / 2);
  flipped[at] = (flipped[at] ?? 0) ^ 1;
  return flipped;
}

function cut(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length - 10);
}

function zeros(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.length);
}
