import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSignerKey, recordHash, storedHashIndex } from "../../src/protocol/sumdb/index.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { startSumLog, type SumLog, sumLogSigner } from "../support/sum-log.ts";

const ownName = "sum.corp.example";
const key = sumLogSigner(ownName);
const keyName = parseSignerKey(key).verifierKey.split("+", 2).join("+");
const queries = ["example.com/leaf@v1.0.0", "example.com/leaf@v1.1.0", "example.com/legacy@v1.0.0"] as const;

/** The commands of an operator, beside a Sluice that relays a public log and has one of its own. */
describe("sumdb commands and a Sluice that runs", { timeout: 60_000 }, () => {
  let folder: string;
  let upstream: FixtureUpstream;
  let publicLog: SumLog;
  let sluice: RunningSluice;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-cli-sumdb-"));
    upstream = await startFixtureUpstream();
    publicLog = await startSumLog({ size: 10, vouchFor: fixtureFiles() });
    await writeFile(join(folder, "own.key"), `${key}\n`, { mode: 0o600 });
    await writeFile(
      join(folder, "sluice.toml"),
      `[sumdb]\ndatabase = "${publicLog.gosumdb}"\nkey_files = ["own.key"]\nvouch_public = true\n`,
    );
    sluice = await start();
  });
  afterEach(async () => {
    await sluice.stop();
    await Promise.all([upstream.close(), publicLog.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  const start = (): Promise<RunningSluice> =>
    startSluiceProcess({ upstream: upstream.url, dataDir: folder, args: ["--config", join(folder, "sluice.toml")] });

  /** As the operator of this Sluice, whose configuration says where it listens. */
  function sumdb(...args: string[]): Promise<CliResult> {
    const { host } = new URL(sluice.url);
    return runCli(["sumdb", ...args, "--config", "sluice.toml", "--data-dir", folder, "--listen", host], {
      cwd: folder,
    });
  }

  /** As go does when it has no hash of a version yet. */
  async function lookUp(query: string): Promise<void> {
    const response = await fetch(`${sluice.url}/sumdb/${ownName}/lookup/${query}`);
    expect([query, response.status, await response.text()]).toEqual([query, 200, expect.any(String)]);
  }

  const store = (): string => join(folder, "sumdb.db");
  const audit = (...args: string[]): Promise<CliResult> => sumdb("verify", ownName, "--state", "state.note", ...args);

  it("show asks the log that clients ask", async () => {
    const { code, stdout, stderr } = await sumdb("show", queries[0]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^example\.com\/leaf v1\.0\.0 h1:\S{44}\nexample\.com\/leaf v1\.0\.0\/go\.mod h1:\S{44}\n/);
    expect(stdout).toContain(`record    0 of 1, counted from 0\n`);
    expect(stdout).toContain(`under a tree of 1 record signed by ${keyName}\n`);
  });

  it("show proves by the relayed log as well", async () => {
    const { stdout } = await sumdb("show", queries[0], "--url", `${sluice.url}/sumdb/${publicLog.name}`);
    expect(stdout).toContain(`database  ${publicLog.name}, at ${sluice.url}/sumdb/${publicLog.name}\n`);
    expect(stdout).toContain("record    10 of 11, counted from 0\n");
  });

  it("status reads beside it", async () => {
    await lookUp(queries[0]);
    const { code, stdout, stderr } = await sumdb("status");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^ {2}${publicLog.name}: 11 records, seen \\d{4}-`, "m"));
    expect(stdout).toContain(`  ${ownName}: 1 record, signed with ${keyName}\n`);
    expect((await fetch(new URL("/readyz", sluice.url))).status).toBe(200);
  });

  it("forget-tree settles a fork, without a restart", async () => {
    const statusOf = async (file: string): Promise<number> =>
      (await fetch(`${sluice.url}/example.com/leaf/@v/${file}`)).status;
    expect(await statusOf("v1.0.0.mod")).toBe(200);
    publicLog.fork(5);
    publicLog.growTo(40);
    expect(await statusOf("v1.1.0.mod")).toBe(502);
    const { stdout } = await sumdb("status");
    expect(stdout).toContain(`  ${publicLog.name} has shown two histories, seen `);
    expect(stdout).toContain(Buffer.from(publicLog.tree(41).hash).toString("base64"));
    expect(await sumdb("forget-tree", publicLog.name, "--yes")).toMatchObject({ code: 0, stderr: "" });
    await expect.poll(() => statusOf("v1.1.0.mod"), { timeout: 20_000 }).toBe(200);
    expect((await sumdb("status")).stdout).toContain("Forks\n  none\n");
  });

  it("verify agrees with it, relayed logs included", async () => {
    for (const query of queries) await lookUp(query);
    expect(await audit()).toMatchObject({ code: 0, stderr: "" });
    const relayed = `${sluice.url}/sumdb/${publicLog.name}`;
    const { code, stdout, stderr } = await sumdb("verify", relayed, "--lookups", "all");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^ {2}tree {5}13 records, signed by sum\.example\.com\+/m);
  });

  it("verify finds a record that somebody forged in the store, its hash along with it", async () => {
    for (const query of queries) await lookUp(query);
    await sluice.stop();
    const db = new DatabaseSync(store());
    const text = String(db.prepare("SELECT text FROM records WHERE id = 1").get()?.["text"]);
    const forged = text.replaceAll(/h1:...../g, "h1:AAAAA");
    db.prepare("UPDATE records SET text = ? WHERE id = 1").run(forged);
    db.prepare("UPDATE tree_hashes SET hash = ? WHERE id = ?").run(recordHash(forged), storedHashIndex(0, 1));
    db.close();
    sluice = await start();
    const { code, stderr } = await audit();
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /1 contradiction\nsluice: the tree of 3 records\nsluice: {3}the signed tree has: \S{44}\nsluice: {3}its tiles make: {6}\S{44}\n/,
    );
  });

  it("verify finds that an old copy of the store was put back", async () => {
    await lookUp(queries[0]);
    await sluice.stop();
    await copyFile(store(), join(folder, "copy.db"));
    sluice = await start();
    await lookUp(queries[1]);
    expect(await audit()).toMatchObject({ code: 0 });

    await sluice.stop();
    for (const suffix of ["-wal", "-shm"]) await rm(`${store()}${suffix}`, { force: true });
    await copyFile(join(folder, "copy.db"), store());
    sluice = await start();
    const shrunk = await audit();
    expect(shrunk.code).toBe(2);
    expect(shrunk.stderr).toMatch(
      /fewer records than at the last audit\nsluice: {3}at the last audit: 2 records\nsluice: {3}now: {15}1 record\n/,
    );

    await lookUp(queries[2]);
    const forked = await audit();
    expect(forked.code).toBe(2);
    expect(forked.stderr).toContain(
      "two histories: the log has changed what it had at the last audit, its first 2 records",
    );
  });
});
