import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CliResult, runCli } from "../support/cli.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { startSumLog, type SumLog } from "../support/sum-log.ts";

const name = "sum.corp.example";

/** The steps of docs/checksum-databases.md, as an operator takes them. */
describe.skipIf(lacks("go", ["version"]))("the keys of our own log are changed", () => {
  let folder: string;
  let upstream: FixtureUpstream;
  let publicLog: SumLog;
  let sluice: RunningSluice | undefined;
  let url: string;
  let machines: GoMachine[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-keys-"));
    upstream = await startFixtureUpstream();
    publicLog = await startSumLog({ size: 10, vouchFor: fixtureFiles() });
    machines = [];
  });
  afterEach(async () => {
    await sluice?.stop();
    await Promise.all([upstream.close(), publicLog.close(), ...machines.map((machine) => machine.remove())]);
    await rm(folder, { recursive: true, force: true });
  });

  async function startWith(...keyFiles: string[]): Promise<void> {
    await sluice?.stop();
    await writeFile(
      join(folder, "sluice.toml"),
      `[sumdb]\ndatabase = "${publicLog.gosumdb}"\nkey_files = ${JSON.stringify(keyFiles)}\nvouch_public = true\n`,
    );
    sluice = await startSluiceProcess({
      upstream: upstream.url,
      dataDir: folder,
      args: ["--config", join(folder, "sluice.toml")],
    });
    ({ url } = sluice);
  }

  function sumdb(...args: string[]): Promise<CliResult> {
    return runCli(["sumdb", ...args], { cwd: folder });
  }

  /** Answers what stands in GOSUMDB for it. */
  async function makeKey(file: string, ...args: string[]): Promise<string> {
    const { stdout, stderr } = await sumdb("init", "--out", file, ...args);
    const [, key = ""] = /export GOSUMDB=(\S+)/.exec(stdout) ?? [];
    expect(key, stderr).toContain(name);
    return key;
  }

  async function audit(key: string): Promise<CliResult> {
    return sumdb("verify", `${url}/sumdb/${name}`, "--key", key, "--state", "state.note", "--lookups", "all");
  }

  async function createDeveloper(): Promise<GoMachine> {
    const machine = await createGoMachine({});
    machines.push(machine);
    return machine;
  }

  /** What go says about it: nothing when all is well. */
  async function download(machine: GoMachine, key: string, query: string): Promise<string> {
    const { stderr } = await machine.go(["mod", "download", query], { GOPROXY: url, GOSUMDB: key });
    return stderr;
  }

  test("with go commands of either key served all the time, and one history", { timeout: 120_000 }, async () => {
    const oldKey = await makeKey("old.key", "--name", name);
    await startWith("old.key");
    const busy = await createDeveloper();
    const away = await createDeveloper();
    expect(await download(busy, oldKey, "example.com/leaf@v1.0.0")).toBe("");
    expect(await download(away, oldKey, "example.com/leaf@v1.0.0")).toBe("");
    expect(await audit(oldKey)).toMatchObject({ code: 0, stderr: "" });

    const newKey = await makeKey("new.key", "--config", "sluice.toml");
    await startWith("old.key", "new.key");
    const newcomer = await createDeveloper();
    expect(await download(newcomer, newKey, "example.com/leaf@v1.0.0")).toBe("");
    expect(await download(busy, oldKey, "example.com/leaf@v1.1.0")).toBe("");
    expect(await download(busy, newKey, "example.com/leaf@v1.2.0")).toBe("");
    expect(await audit(oldKey)).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(join(folder, "state.note"), "utf8")).toMatch(/(^— sum\.corp\.example \S+\n){2}$/m);

    await startWith("new.key");
    expect(await audit(newKey)).toMatchObject({ code: 0, stderr: "" });
    expect(await download(busy, newKey, "example.com/versioned@v1.0.0")).toBe("");
    expect(await download(newcomer, newKey, "example.com/versioned@v1.0.0")).toBe("");
    expect(await download(newcomer, oldKey, "example.com/legacy@v1.0.0")).toContain(
      "note has no verifiable signatures",
    );

    // Whoever was away while both keys signed has a tree that only the old one did.
    expect(await download(away, newKey, "example.com/versioned@v1.0.0")).toContain(
      "initializing sumdb.Client: reading tree note: note has no verifiable signatures",
    );
    await rm(join(dirname(away.modCache), "gopath/pkg/sumdb", name), { recursive: true });
    await rm(join(away.modCache, "cache/download/sumdb", name), { recursive: true });
    expect(await download(away, newKey, "example.com/versioned@v1.0.0")).toBe("");
  });
});
