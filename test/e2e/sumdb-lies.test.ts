import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseSignerKey } from "../../src/protocol/sumdb/index.ts";
import { buildModules } from "../support/fixture-modules.ts";
import type { GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { flipBit, sumLogSigner } from "../support/sum-log.ts";
import {
  createSumScene,
  gitOf,
  openModule,
  ownLogName,
  ownVerifierKey,
  privateModule,
  publicLogName,
  type SluiceSettings,
  type SumScene,
} from "../support/sumdb-scene.ts";

// docs/checksum-databases.md has these messages in its table: change them together.

const isMissing = lacks("go", ["version"]) || lacks("git");
const leaf = "example.com/leaf@v1.2.0";
const h1 = "h1:[A-Za-z0-9+/]{43}=";

describe.skipIf(isMissing)("what go says when something is not what the checksum database says", () => {
  let scene: SumScene;
  beforeEach(async () => {
    scene = await createSumScene();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  /** A developer of each way to the public log: past Sluice, and through it. */
  async function createBoth(settings?: SluiceSettings): Promise<{ direct: GoMachine; through: GoMachine }> {
    const { url } = await scene.startSluice(settings);
    const { upstream, log } = scene;
    return {
      direct: await scene.createDeveloper({ GOPROXY: upstream.url, GOSUMDB: log.gosumdb }),
      through: await scene.createDeveloper({ GOPROXY: url, GOSUMDB: log.verifierKey, GONOSUMDB: "github.com/corp" }),
    };
  }

  function sendOther(extension: "zip" | "mod"): void {
    const goMod = `module example.com/leaf\n\ngo 1.21\n${extension === "mod" ? "\n// Not the one.\n" : ""}`;
    const files = { "doc.go": "package leafpkg\n\n// Not the one.\n" };
    const other = buildModules([{ path: "example.com/leaf", version: "v1.2.0", files, goMod }]);
    const path = `example.com/leaf/@v/v1.2.0.${extension}`;
    scene.files.set(path, other.get(path) ?? new Uint8Array());
  }

  test.each([
    ["zip", leaf, "verifying module"],
    ["mod", `${leaf}/go.mod`, "verifying go.mod"],
  ] as const)("an upstream sends another .%s", async (extension, subject, goVerifies) => {
    sendOther(extension);
    const { direct, through } = await createBoth();
    const alone = await download(direct, leaf);
    expect(alone).toMatch(
      new RegExp(`${leaf}: ${goVerifies}: checksum mismatch\n\tdownloaded: ${h1}\n\t${publicLogName}: ${h1}\n`),
    );
    expect(alone).toContain("SECURITY ERROR\nThis download does NOT match the one reported by the checksum server.");

    const refused = await download(through, leaf);
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toMatch(
      new RegExp(`verifying ${subject}: checksum mismatch\n\t +downloaded: ${h1}\n\t +${publicLogName}: ${h1}\n`),
    );
    expect(refused).toContain(`${scene.upstream.url} sent it`);
    expect(refused).not.toContain("Truncated");
  });

  test("an upstream sends another .zip to a Sluice that compares nothing: go finds it by the log that Sluice relays", async () => {
    sendOther("zip");
    const { through } = await createBoth({ sumdb: 'verify = "off"' });
    const said = await download(through, leaf);
    expect(said).toContain(`${leaf}: verifying module: checksum mismatch`);
    expect(said).toContain("SECURITY ERROR\nThis download does NOT match the one reported by the checksum server.");
  });

  test.each([
    ["hashes", /tile\/8\/\d/, "downloaded inconsistent tile"],
    ["a tree", /lookup\//, `invalid signature for key ${publicLogName}+`],
  ])("the log sends %s with a bit that is wrong", async (_, path, words) => {
    scene.log.change(path, flipBit);
    const { direct, through } = await createBoth();
    expect(await download(direct, leaf)).toContain(words);
    const refused = await download(through, leaf);
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toContain(publicLogName);
    expect(refused).not.toContain("Truncated");
  });

  test("the log shows two histories", async () => {
    const { direct, through } = await createBoth();
    const forgetful = await scene.createDeveloper({ GOPROXY: scene.upstream.url, GOSUMDB: scene.log.gosumdb });
    for (const go of [direct, through, forgetful]) expect(await download(go, "example.com/leaf@v1.1.0")).toBe("");
    await forgetful.clearModCache();
    scene.log.fork(100);
    // Far enough that go needs other tiles than those it has: else it only says that one is inconsistent.
    scene.log.growTo(1000);
    expect(await download(forgetful, leaf)).toMatch(/checking tree#\d+: downloaded inconsistent tile/);
    const alone = await download(direct, leaf);
    expect(alone).toContain("SECURITY ERROR\ngo.sum database server misbehavior detected!");
    const refused = await download(through, leaf);
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toContain(`${publicLogName}: SECURITY ERROR: this checksum database has shown two histories.`);
    expect(refused).toContain(`sluice sumdb forget-tree ${publicLogName}`);
    expect(refused).not.toContain("Truncated");
  });

  test("the log signs with another key", async () => {
    scene.log.signWith(sumLogSigner(publicLogName, 1));
    const { direct, through } = await createBoth();
    expect(await download(direct, leaf)).toContain("reading tree note: note has no verifiable signatures");
    const refused = await download(through, leaf);
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toContain(publicLogName);
  });

  test("a developer has another key than the log", async () => {
    const { url } = await scene.startSluice();
    const { verifierKey } = parseSignerKey(sumLogSigner(publicLogName, 1));
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: verifierKey });
    expect(await download(go, leaf)).toContain("reading tree note: note has no verifiable signatures");
  });

  test("a private tag was moved, and the Sluice that knew it lost its store", async () => {
    const { url } = await scene.startSluice();
    const env = { GOSUMDB: ownVerifierKey };
    const before = await scene.createDeveloper({ GOPROXY: url, ...env });
    expect(await download(before, `${privateModule}@v1.0.0`)).toBe("");

    await scene.stopSluice();
    for (const name of ["modules", "git", "ledger.db", "ledger.db-wal", "ledger.db-shm"]) {
      await rm(join(scene.dataDir, name), { recursive: true, force: true });
    }
    await scene.repo.add([{ files: { "lib.go": "package lib\n\n// Moved.\n" }, tags: ["v1.0.0"] }]);
    const again = await scene.startSluice();

    const after = await scene.createDeveloper({ GOPROXY: again.url, ...env });
    const refused = await download(after, `${privateModule}@v1.0.0`);
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toMatch(
      new RegExp(
        `verifying ${privateModule}@v1\\.0\\.0: checksum mismatch\n\t +downloaded: ${h1}\n\t +${ownLogName}: ${h1}\n`,
      ),
    );
    expect(refused).toContain("the repository itself: its tag was moved");
    expect(refused).not.toContain("Truncated");

    const gosumdb = `${ownVerifierKey} ${again.url}/sumdb/${ownLogName}`;
    const direct = await scene.createDeveloper({ GOPROXY: "direct", GOSUMDB: gosumdb, ...gitOf(scene) });
    const alone = await download(direct, `${privateModule}@v1.0.0`);
    expect(alone).toMatch(
      new RegExp(
        `${privateModule}@v1\\.0\\.0: verifying module: checksum mismatch\n\tdownloaded: ${h1}\n\t${ownLogName}: ${h1}\n`,
      ),
    );
    expect(alone).toContain("SECURITY ERROR\nThis download does NOT match the one reported by the checksum server.");
    expect(await download(direct, `${privateModule}@v1.1.0`)).toBe("");
  });
});

describe.skipIf(isMissing)("what go says when a checksum database has no answer", () => {
  let scene: SumScene;
  beforeEach(async () => {
    scene = await createSumScene();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  test("a private module is not looked up in the public log", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: scene.log.verifierKey });
    const said = await download(go, `${privateModule}@v1.0.0`);
    expect(said).toContain("403 Forbidden");
    expect(said).toContain("this module is private here");
    expect(said).toContain("GONOSUMDB");
    expect(said).not.toContain("Truncated");
    expect(scene.log.requestsFor(/corp/)).toEqual([]);
  });

  test("the public log does not have a version that an upstream has: it is served, and its look-up says so", async () => {
    const fresh = { path: "example.com/fresh", version: "v1.0.0", files: { "doc.go": "package fresh\n" } };
    for (const [path, bytes] of buildModules([fresh])) scene.files.set(path, bytes);
    const { url } = await scene.startSluice();
    const trusting = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: "off" });
    expect(await download(trusting, "example.com/fresh@v1.0.0")).toBe("");
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: scene.log.verifierKey });
    const said = await download(go, "example.com/fresh@v1.0.0");
    expect(said).toContain(`${url}/sumdb/${publicLogName}/lookup/example.com/fresh@v1.0.0: 404 Not Found`);
    expect(said).toContain(`not found: example.com/fresh@v1.0.0: ${publicLogName} does not have it`);
  });

  test("the public log does not have a version that comes straight from its repository", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: "off" });
    const said = await download(go, `${openModule}@v1.0.0`);
    expect(said).toContain("502 Bad Gateway");
    expect(said).toContain(`verifying ${openModule}@v1.0.0/go.mod: ${publicLogName} does not have it`);
    expect(said).toContain("It comes straight from its repository, where a tag can be moved, so it must be confirmed.");
    expect(said).not.toContain("Truncated");
  });

  test("our log does not have public modules, and says how it would", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: ownVerifierKey });
    const said = await download(go, leaf);
    expect(said).toContain("404 Not Found");
    expect(said).toContain("vouch_public");
    expect(said).toContain("GONOSUMDB");
    expect(said).not.toContain("Truncated");
  });

  test("a database that Sluice does not relay is asked directly", async () => {
    const { url } = await scene.startSluice();
    const { verifierKey } = parseSignerKey(sumLogSigner("127.0.0.1:1"));
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: verifierKey });
    const said = await download(go, leaf);
    expect(said).toContain('Get "https://127.0.0.1:1/lookup/example.com/leaf@v1.2.0"');
  });

  test("go compares toolchains in any case", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: "off", GOTOOLCHAIN: "go1.99.0", GOFLAGS: "" });
    expect((await go.go(["version"])).stderr).toContain("checksum database disabled by GOSUMDB=off");
  });

  test("the public log is down: modules are served unverified, look-ups say so", async () => {
    const { log } = scene;
    const { url } = await scene.startSluice();
    await log.close();
    const trusting = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: "off" });
    expect(await download(trusting, leaf)).toBe("");
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: log.verifierKey });
    const said = await download(go, leaf);
    expect(said).toMatch(/50[24] (Bad Gateway|Gateway Timeout)/);
    expect(said).toContain(publicLogName);
  });

  test("the public log is down, and everything must be confirmed", async () => {
    const { log } = scene;
    const { url } = await scene.startSluice({ sumdb: 'verify = "required"' });
    await log.close();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: "off" });
    const said = await download(go, leaf);
    expect(said).toContain("502 Bad Gateway");
    expect(said).toContain(`verifying ${leaf}`);
    expect(said).toContain(`${publicLogName} cannot be asked`);
    expect(said).not.toContain("Truncated");
  });
});

/** What go printed about it; nothing when all is well. */
async function download(machine: GoMachine, module: string): Promise<string> {
  const { code, stderr } = await machine.go(["mod", "download", module]);
  expect(code === 0, stderr).toBe(stderr === "");
  return stderr;
}
