import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { buildModules, fixtureFiles, incompressible } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { buildRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { createSmallDisk, lacksMount } from "../support/small-disk.ts";
import { startSumLog, type SumLog } from "../support/sum-log.ts";

const leaf = "/example.com/leaf/@v/v1.2.0";
const big = "/example.com/big/@v/v1.0.0.zip";
const files = fixtureFiles();
const mebibyte = 1024 * 1024;

/** What somebody made of them: valid in every way, and not what was published. */
const tampered = new Map([
  ...files,
  ...buildModules([
    {
      path: "example.com/leaf",
      version: "v1.2.0",
      files: { "leaf.go": "package leafpkg // changed\n" },
      goMod: "module example.com/leaf\n\ngo 1.21\n\n// changed\n",
    },
    {
      path: "example.com/big",
      version: "v1.0.0",
      files: { "big.go": "package big // changed\n", data: incompressible(6 * mebibyte) },
    },
  ]),
]);

let dataDir: string;
let bad: FixtureUpstream;
let good: FixtureUpstream;
let log: SumLog;
const running: RunningSluice[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-sums-"));
  [bad, good] = await Promise.all([startFixtureUpstream({ modules: tampered }), startFixtureUpstream()]);
  log = await startSumLog({ size: 300, vouchFor: files });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((sluice) => sluice.stop()));
  await Promise.all([bad.close(), good.close(), log.close()]);
  await rm(dataDir, { recursive: true, force: true });
});

async function start(upstream: string, env: Readonly<Record<string, string>> = {}): Promise<RunningSluice> {
  const sluice = await startSluiceProcess({
    upstream,
    dataDir,
    env: { GOSUMDB: log.gosumdb, SLUICE_LOG_FORMAT: "json", ...env },
  });
  running.push(sluice);
  return sluice;
}

async function stop(sluice: RunningSluice): Promise<void> {
  running.splice(running.indexOf(sluice), 1);
  await sluice.stop();
}

function fixture(path: string, of: ReadonlyMap<string, Uint8Array> = files): Buffer {
  const bytes = of.get(path.slice(1));
  if (bytes === undefined) throw new Error(`no fixture ${path}`);
  return Buffer.from(bytes);
}

function h1Of(path: string, bytes: Buffer): string {
  const [, modulePath = "", version = "", kind] = /^\/(.*)\/@v\/(.*)\.(mod|zip)$/.exec(path) ?? [];
  return kind === "mod"
    ? hashGoMod(bytes)
    : hashZip(randomAccess(bytes), { modulePath: parseModulePath(modulePath), version: parseVersion(version) });
}

async function fillDisk(folder: string): Promise<void> {
  const handle = await open(join(folder, "filler"), "w");
  try {
    for (let size = mebibyte; size >= 512;) {
      const isTaken = await handle.write(Buffer.alloc(size, 1)).then(
        ({ bytesWritten }) => bytesWritten === size,
        () => false,
      );
      if (!isTaken) size /= 2;
    }
  } finally {
    await handle.close();
  }
}

/** What stands in the ledger for later, as `<key>: <reason>`. */
function unverified(): string[] {
  const db = new DatabaseSync(join(dataDir, "ledger.db"), { readOnly: true });
  try {
    const rows = db.prepare("SELECT key, reason FROM unverified ORDER BY key").all();
    return rows.map((row) => `${String(row["key"])}: ${String(row["reason"])}`);
  } finally {
    db.close();
  }
}

async function metric(sluice: RunningSluice, name: string): Promise<string[]> {
  const text = await (await fetch(`${sluice.url}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith(name));
}

/** The lines with which a tampered file is refused, but for the last ones, which tell who sent it. */
function mismatchOf(path: string): unknown {
  const subject = `example.com/leaf@v1.2.0${path.endsWith(".mod") ? "/go.mod" : ""}`;
  return {
    status: 502,
    lines: [
      `verifying ${subject}: checksum mismatch`,
      `  downloaded: ${h1Of(path, fixture(path, tampered))}`,
      `  ${log.name}: ${h1Of(path, fixture(path))}`,
    ],
    fits: true,
  };
}

function refusalOf({ status, body }: RawAnswer): unknown {
  const lines = body.toString().split("\n");
  return { status, lines: lines.slice(0, 3), fits: lines.length <= 8 && body.length <= 648 };
}

describe.each([".mod", ".zip"])("a %s that somebody changed", (extension) => {
  const path = leaf + extension;

  test("is refused with both hashes, kept nowhere and counted", async () => {
    const sluice = await start(bad.url);
    expect(refusalOf(await ask(sluice.url, path))).toEqual(mismatchOf(path));
    expect((await ask(sluice.url, `/cached-only${path}`)).status).toBe(404);
    expect(unverified()).toEqual([]);
    expect(sluice.output()).toContain('"event":"integrity_failed"');
    const checks = `sluice_sumdb_checks_total{database="${log.name}",outcome="mismatch"}`;
    expect(await metric(sluice, checks)).toEqual([`${checks} 1`]);
    // Asking the same upstream once more would give the same.
    expect(bad.requestsFor(path.slice(1))).toHaveLength(1);
  });

  test.each([",", "|"])("makes the chain go on behind a `%s`", async (separator) => {
    const sluice = await start(`${bad.url}${separator}${good.url}`);
    const answer = await ask(sluice.url, path);
    expect(answer).toMatchObject({ status: 200, headers: { "x-sluice-cache": "miss" } });
    expect(answer.body.equals(fixture(path))).toBe(true);
    expect(unverified()).toEqual([]);
  });

  test("is told of also when nobody else has the file", async () => {
    good.setFault(path, { kind: "status", status: 404 });
    const sluice = await start(`${bad.url},${good.url}`);
    expect(refusalOf(await ask(sluice.url, path))).toEqual(mismatchOf(path));
  });
});

describe("a large zip that somebody changed", () => {
  test("breaks off before its end, and nothing of it is stored", async () => {
    const sluice = await start(bad.url);
    const answer = await ask(sluice.url, big);
    expect(answer).toMatchObject({ status: 200, broken: true });
    expect(answer.body.length).toBeLessThan(fixture(big, tampered).length);
    expect((await ask(sluice.url, `/cached-only${big}`)).status).toBe(404);
    expect(unverified()).toEqual([]);
  });

  test("is had from the next upstream all the same, for whoever asks then", async () => {
    const sluice = await start(`${bad.url},${good.url}`);
    expect(await ask(sluice.url, big)).toMatchObject({ broken: true });
    const again = await ask(sluice.url, big);
    expect(again).toMatchObject({ status: 200, broken: false });
    expect(again.body.equals(fixture(big))).toBe(true);
    expect(good.requestsFor(big.slice(1))).toHaveLength(1);
    expect(bad.requestsFor(big.slice(1))).toHaveLength(1);
  });

  test("holds its last block until the log has answered", async () => {
    const gate = Promise.withResolvers<void>();
    log.setFault(/lookup\//, { kind: "delay", until: gate.promise });
    const sluice = await start(good.url);
    let received = 0;
    const response = await fetch(`${sluice.url}${big}`);
    const reading = (async () => {
      for await (const chunk of response.body ?? []) received += chunk.length;
    })();
    const size = fixture(big).length;
    await expect.poll(() => received, { timeout: 5000 }).toBe(size - 16 * 1024);
    gate.resolve();
    await reading;
    expect(received).toBe(size);
  });
});

test("a version costs one look-up, which its .info begins", async () => {
  const sluice = await start(good.url);
  for (const extension of [".info", ".mod", ".zip"]) {
    expect((await ask(sluice.url, leaf + extension)).status).toBe(200);
  }
  expect(log.requestsFor(/lookup\//).map(({ path }) => path)).toEqual(["lookup/example.com/leaf@v1.2.0"]);
  expect(unverified()).toEqual([]);
});

describe("while the log is down", () => {
  const down = { kind: "close" } as const;

  beforeEach(() => log.setFault(/./, down));

  test("what comes is kept as unverified, and verified when the log is back, or thrown out", async () => {
    const sluice = await start(bad.url, { SLUICE_SUMDB_RECHECK_INTERVAL: "1s" });
    for (const path of [`${leaf}.mod`, "/example.com/leaf/@v/v1.0.0.mod"]) {
      // Twice: the second answer is one from the server's memory, as are those after it.
      for (let turn = 0; turn < 3; turn++) {
        const answer = await ask(sluice.url, path);
        expect(answer.status).toBe(200);
        expect(answer.body.equals(fixture(path, tampered))).toBe(true);
      }
    }
    expect(unverified()).toEqual([
      expect.stringMatching(/^example\.com\/leaf\/@v\/v1\.0\.0\.mod: sum\.example\.com cannot be asked: /),
      expect.stringMatching(/^example\.com\/leaf\/@v\/v1\.2\.0\.mod: sum\.example\.com cannot be asked: /),
    ]);
    expect(await metric(sluice, "sluice_unverified_files")).toEqual(["sluice_unverified_files 2"]);

    log.clearFaults();
    await expect.poll(unverified, { timeout: 60_000 }).toEqual([]);
    expect((await ask(sluice.url, "/example.com/leaf/@v/v1.0.0.mod")).headers["x-sluice-cache"]).toBe("hit");
    expect(refusalOf(await ask(sluice.url, `${leaf}.mod`))).toEqual(mismatchOf(`${leaf}.mod`));
    expect(await metric(sluice, "sluice_unverified_files")).toEqual(["sluice_unverified_files 0"]);
    expect(sluice.output()).toContain("unverified files were compared again");
  }, 90_000);

  test("it is remembered over a restart what is unverified", async () => {
    const first = await start(good.url);
    expect((await ask(first.url, `${leaf}.zip`)).status).toBe(200);
    await stop(first);
    log.clearFaults();
    await start(good.url);
    await expect.poll(unverified, { timeout: 60_000 }).toEqual([]);
  }, 90_000);

  test("what must be confirmed is refused, and can be had when the log is back", async () => {
    const sluice = await start(good.url, { SLUICE_SUMDB_VERIFY: "required" });
    const refused = await ask(sluice.url, `${leaf}.mod`);
    expect(refused.status).toBe(502);
    expect(refused.headers["retry-after"]).toBeDefined();
    expect(refused.body.toString()).toMatch(
      /^verifying example\.com\/leaf@v1\.2\.0\/go\.mod: sum\.example\.com cannot/,
    );
    // It is not the upstream's fault, so it is asked once.
    expect(good.requestsFor(`${leaf}.mod`.slice(1))).toHaveLength(1);
    expect(unverified()).toEqual([]);
    log.clearFaults();
    await expect.poll(async () => (await ask(sluice.url, `${leaf}.mod`)).status, { timeout: 60_000 }).toBe(200);
  }, 90_000);

  test("what was kept as unverified is refused where it must be confirmed, and compared when the log is back", async () => {
    const first = await start(bad.url);
    for (const path of [`${leaf}.mod`, "/example.com/leaf/@v/v1.0.0.mod"]) {
      expect((await ask(first.url, path)).status).toBe(200);
    }
    await stop(first);
    const sluice = await start(good.url, { SLUICE_SUMDB_VERIFY: "required" });
    expect((await ask(sluice.url, `${leaf}.mod`)).status).toBe(502);
    log.clearFaults();
    await expect.poll(async () => (await ask(sluice.url, `${leaf}.mod`)).status, { timeout: 60_000 }).toBe(200);
    expect((await ask(sluice.url, `${leaf}.mod`)).body.equals(fixture(`${leaf}.mod`))).toBe(true);
    expect((await ask(sluice.url, "/example.com/leaf/@v/v1.0.0.mod")).headers["x-sluice-cache"]).toBe("hit");
    expect(unverified()).toEqual([]);
  }, 90_000);

  test.each([
    ["verification is off", { SLUICE_SUMDB_VERIFY: "off" }],
    ["there is no database", { GOSUMDB: "off" }],
  ])("nothing is asked of it where %s, and what comes is compared when that changes", async (_name, env) => {
    const first = await start(bad.url, env);
    expect((await ask(first.url, `${leaf}.mod`)).status).toBe(200);
    expect(log.requests).toEqual([]);
    expect(unverified()).toEqual([expect.stringMatching(/^example\.com\/leaf\/@v\/v1\.2\.0\.mod: .*sumdb\.verify/)]);
    await stop(first);
    log.clearFaults();
    const sluice = await start(good.url, { SLUICE_SUMDB_VERIFY: "required" });
    const answer = await ask(sluice.url, `${leaf}.mod`);
    expect(answer.body.equals(fixture(`${leaf}.mod`))).toBe(true);
    expect(unverified()).toEqual([]);
  });
});

test("a login page in the place of the log is an outage, and no reason to refuse modules", async () => {
  log.change(/./, () => Buffer.from("<!DOCTYPE html>\n<p>Please log in\n"));
  const sluice = await start(good.url);
  expect((await ask(sluice.url, `${leaf}.mod`)).status).toBe(200);
  expect(unverified()).toEqual([
    expect.stringMatching(/: sum\.example\.com cannot be asked: .* is wrong: malformed record/),
  ]);
  const lookup = await ask(sluice.url, `/sumdb/${log.name}/lookup/example.com/leaf@v1.2.0`);
  expect(lookup).toMatchObject({ status: 502, body: expect.anything() });
  expect(lookup.body.toString()).toContain(`This came from ${log.url}`);
});

describe("a version that the log does not have", () => {
  const path = "/example.com/retracted/@v/v1.0.0.mod";

  beforeEach(() => log.setFault(/lookup\//, { kind: "status", status: 404 }));

  test("goes on unverified when a proxy of the chain has it", async () => {
    const sluice = await start(good.url);
    expect((await ask(sluice.url, path)).status).toBe(200);
    expect(unverified()).toEqual([`${path.slice(1)}: ${log.name} does not have it`]);
  });

  test("is refused where it must be confirmed", async () => {
    const sluice = await start(good.url, { SLUICE_SUMDB_VERIFY: "required" });
    const refused = await ask(sluice.url, path);
    expect(refused.status).toBe(502);
    expect(refused.body.toString()).toContain(`${log.name} does not have it`);
  });
});

test.each([
  ["GOPRIVATE", "example.com/leaf"],
  ["GONOSUMDB", "example.com/leaf"],
  ["SLUICE_SUMDB_NO_VERIFY", "example.com/leaf/*,*/leaf"],
])("what %s excepts is not looked up", async (name, patterns) => {
  const sluice = await start(bad.url, { [name]: patterns, GONOPROXY: "none" });
  expect((await ask(sluice.url, `${leaf}.mod`)).status).toBe(200);
  expect(log.requests).toEqual([]);
  expect(unverified()).toEqual([]);
});

describe.skipIf(lacks("git"))("straight from its repository", () => {
  const path = "/git.example.com/lib/@v/v1.0.0.mod";
  const goMod = "module git.example.com/lib\n";
  let root: string;
  let git: GitServer;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-repos-"));
    await buildRepo(join(root, "lib.git"), { commits: [{ files: { "go.mod": goMod }, tags: ["v1.0.0"] }] });
    git = await startGitServer({ root });
  });
  afterEach(async () => {
    await git.close();
    await rm(root, { recursive: true, force: true });
  });

  const startDirect = (env: Readonly<Record<string, string>> = {}): Promise<RunningSluice> =>
    start("direct", {
      SLUICE_GIT_OVERRIDE: `[{ pattern = "git.example.com/**", url = "${git.url}/{path}.git" }]`,
      ...env,
    });

  test("a public version is served when the log confirms it", async () => {
    log.add("git.example.com/lib", "v1.0.0", {
      mod: hashGoMod(Buffer.from(goMod)),
      zip: hashGoMod(Buffer.from("zip")),
    });
    const sluice = await startDirect();
    expect(await ask(sluice.url, path)).toMatchObject({ status: 200, body: Buffer.from(goMod) });
    expect(unverified()).toEqual([]);
  });

  test("a public version whose tag was moved is refused", async () => {
    log.add("git.example.com/lib", "v1.0.0");
    const sluice = await startDirect();
    const refused = await ask(sluice.url, path);
    expect(refused.status).toBe(502);
    expect(refused.body.toString()).toMatch(/^verifying git\.example\.com\/lib@v1\.0\.0\/go\.mod: checksum mismatch\n/);
    expect(refused.body.toString()).toContain("  direct sent it");
  });

  test.each([
    ["does not have it", { kind: "status", status: 404 }, "say so with [[private]]"],
    ["is down", { kind: "close" }, "Ask again later."],
  ] as const)("a public version is refused when the log %s", async (_name, fault, advice) => {
    log.setFault(/./, fault);
    const sluice = await startDirect();
    const refused = await ask(sluice.url, path);
    expect(refused.status).toBe(502);
    expect(refused.body.toString()).toMatch(/^verifying git\.example\.com\/lib@v1\.0\.0\/go\.mod: sum\.example\.com /);
    expect(refused.body.toString()).toContain(advice);
    expect((await ask(sluice.url, `/cached-only${path}`)).status).toBe(404);
  });

  test("a private version is served without a word to the log", async () => {
    const sluice = await startDirect({ GOPRIVATE: "git.example.com" });
    expect((await ask(sluice.url, path)).status).toBe(200);
    expect(log.requests).toEqual([]);
  });
});

test.skipIf(lacksMount())(
  "a Sluice that starts on a full disk serves what it has, and passes on what it has not",
  async () => {
    const disk = createSmallDisk(4);
    onTestFinished(() => disk.remove());
    const onDisk = { SLUICE_DATA_DIR: disk.path };
    const first = await start(good.url, { ...onDisk, GOSUMDB: "off" });
    expect((await ask(first.url, `${leaf}.mod`)).status).toBe(200);
    await stop(first);
    await fillDisk(disk.path);
    const sluice = await start(good.url, onDisk);
    for (const extension of [".mod", ".zip"]) {
      const answer = await ask(sluice.url, leaf + extension);
      expect(answer.status).toBe(200);
      expect(answer.body.equals(fixture(leaf + extension))).toBe(true);
    }
    expect((await ask(sluice.url, "/metrics")).status).toBe(200);
  },
  60_000,
);

test("a damaged store of what must not be lost is not made anew: Sluice does not start, and says why", async () => {
  const first = await start(good.url);
  expect((await ask(first.url, `${leaf}.mod`)).status).toBe(200);
  await stop(first);
  await writeFile(join(dataDir, "sumdb.db"), "x".repeat(10_000));
  const outcome = start(good.url);
  await expect(outcome).rejects.toThrow(/ended with 2 .*\n.*sumdb\.db.*It has no log of ours.* move it away/s);
  expect((await readFile(join(dataDir, "sumdb.db"))).length).toBe(10_000);
});

test("files that were put into the store by hand are compared, too", async () => {
  const first = await start(bad.url, { GOSUMDB: "off" });
  expect((await ask(first.url, `${leaf}.mod`)).status).toBe(200);
  await stop(first);
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(dataDir, `ledger.db${suffix}`), { force: true });
  const sluice = await start(good.url);
  // Until it is found out, it is what it was.
  await expect
    .poll(async () => (await ask(sluice.url, `${leaf}.mod`)).body.equals(fixture(`${leaf}.mod`)), { timeout: 60_000 })
    .toBe(true);
  expect(unverified()).toEqual([]);
}, 90_000);
