import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { parseSignerKey } from "../../src/protocol/sumdb/index.ts";
import { parseH1 } from "../../src/protocol/zip/index.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { type SumLog, startSumLog, sumLogSigner } from "../support/sum-log.ts";

const name = "sum.corp.example";
const key = sumLogSigner(name);
const { verifierKey } = parseSignerKey(key);

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "sluice-cli-sumdb-"));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

function sumdb(...args: string[]): Promise<CliResult> {
  return runCli(["sumdb", ...args], { cwd });
}

async function sumdbOk(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await sumdb(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function sumdbFails(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await sumdb(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  return stderr;
}

/** Writes a configuration, and answers the arguments that name it. */
async function configured(toml: string): Promise<string[]> {
  await writeFile(join(cwd, "sluice.toml"), toml);
  return ["--config", "sluice.toml"];
}

describe("sumdb: which setup, with lines to paste", () => {
  const privateRule = '[[private]]\npattern = "git.corp.example"\n';
  const ownLog = '[sumdb]\nkey_files = ["key"]\n';
  const proxy = "  export GOPROXY=http://127.0.0.1:3000\n";

  beforeEach(() => writeFile(join(cwd, "key"), `${key}\n`, { mode: 0o600 }));

  it.each([
    ["nothing is private", "", /^Setup 1: the public database, sum\.golang\.org, for everything\./, proxy],
    [
      "private modules without a log of our own",
      privateRule,
      /^Setup 1: the public database for public modules, and nothing for private ones\.[^]*sluice sumdb init --name/,
      `${proxy}  export GONOSUMDB=git.corp.example\n`,
    ],
    [
      "a log of our own for private modules",
      privateRule + ownLog,
      /^Setup 1: the public database for public modules; our own log, sum\.corp\.example, for private ones\.[^]*vouch_public = true/,
      `${proxy}  export GONOSUMDB=git.corp.example\n`,
    ],
    [
      "a log of our own for everything",
      `${privateRule}${ownLog}vouch_public = true\n`,
      /^Setup 2: our own log, sum\.corp\.example, for everything\.[^]*sluice sumdb verify/,
      `${proxy}  export GOSUMDB=${verifierKey}\n`,
    ],
    [
      "another public database",
      `[sumdb]\ndatabase = "${verifierKey} https://sum.example"\n`,
      /^Setup 1: the public database, sum\.corp\.example, for everything\./,
      `${proxy}  export GOSUMDB=${verifierKey}\n`,
    ],
    [
      "none at all",
      '[sumdb]\ndatabase = "off"\n',
      /^Setup 1: no checksum database at all\./,
      `${proxy}  export GOSUMDB=off\n`,
    ],
  ])("%s", async (_name, toml, text, lines) => {
    const printed = await sumdbOk(...(await configured(toml)));
    expect(printed).toMatch(text);
    expect(printed).toContain(`Where go runs:\n\n${lines}`);
  });

  it("has the key for those who come now while keys are changed: the last one", async () => {
    const next = sumLogSigner(name, 1);
    await writeFile(join(cwd, "next"), `${next}\n`, { mode: 0o600 });
    const config = await configured('[sumdb]\nkey_files = ["key", "next"]\nvouch_public = true\n');
    expect(await sumdbOk(...config)).toContain(`export GOSUMDB=${parseSignerKey(next).verifierKey}\n`);
  });

  it("is for the shell where GOPROXY is Sluice already", async () => {
    const env = { GOPROXY: "http://127.0.0.1:3000" };
    expect(await runCli(["sumdb"], { cwd, env })).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("sumdb init", () => {
  it("makes a key that only its owner may read, and says what to do with it", async () => {
    const printed = await sumdbOk("init", "--name", name);
    const file = join(cwd, "sluice-data/sumdb.key");
    const text = await readFile(file, "utf8");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const made = parseSignerKey(text.trim());
    expect(made.name).toBe(name);
    expect(printed).toContain(`export GOSUMDB=${made.verifierKey}\n`);
    expect(printed).toContain(`[sumdb]\n  key_files = [${JSON.stringify(file)}]\n  vouch_public = true\n`);
    expect(printed).not.toContain(text.trim());
    const config = await configured(/\[sumdb\]\n(?: {2}.*\n)+/.exec(printed)?.[0] ?? "");
    expect(await sumdbOk(...config)).toContain(`Setup 2: our own log, ${name}, for everything.`);
  });

  it("never touches a file that is there", async () => {
    await writeFile(join(cwd, "mine"), "precious");
    expect(await sumdbFails("init", "--name", name, "--out", "mine")).toBe(
      `sluice: the key file ${join(cwd, "mine")} is there already and is not touched; for a second key choose another file with --out\n`,
    );
    expect(await readFile(join(cwd, "mine"), "utf8")).toBe("precious");
  });

  it("makes a second key of the same log while there is one", async () => {
    await writeFile(join(cwd, "key"), `${key}\n`, { mode: 0o600 });
    const config = await configured('[sumdb]\nkey_files = ["key"]\n');
    const printed = await sumdbOk("init", ...config, "--out", "next");
    expect(parseSignerKey((await readFile(join(cwd, "next"), "utf8")).trim()).name).toBe(name);
    expect(printed).toContain(`key_files = ["${join(cwd, "key")}", "${join(cwd, "next")}"]`);
    expect(await sumdbFails("init", ...config, "--name", "other.example", "--out", "third")).toContain(
      "a log keeps its name",
    );
  });

  it.each([["a b"], ["a+b"], [""], ["sum.corp.example/"], ["sum.corp.example/../x"], ["sum.golang.org"]])(
    "refuses the name %j",
    async (wrong) => {
      expect(await sumdbFails("init", "--name", wrong)).toMatch(/^sluice: --name .*such as sum\.corp\.example\n$/);
      await expect(stat(join(cwd, "sluice-data"))).rejects.toThrow("ENOENT");
    },
  );
});

describe("sumdb verify", () => {
  let log: SumLog;
  beforeAll(async () => {
    log = await startSumLog({ name, size: 300 });
  });
  afterAll(() => log.close());

  it("says what it audited", async () => {
    const printed = await sumdbOk("verify", log.gosumdb);
    expect(printed).toBe(`${name} at ${log.url} is what it says.

  tree     300 records, signed by ${verifierKey.split("+", 2).join("+")}
  hash     ${Buffer.from(log.tree().hash).toString("base64")}
  tiles    5, every record and every hash computed again
  lookups  300, every record
  history  not compared; --state <file> remembers the tree for the next audit
`);
  });

  it.each([
    ["the address of a log, and its key", () => [log.url, "--key", verifierKey]],
    ["where a proxy relays it, and its key", () => [`${log.url}/sumdb/${name}`, "--key", verifierKey]],
    ["what stands in GOSUMDB", () => [log.gosumdb]],
  ])("takes %s", async (_what, args) => {
    expect(await sumdbOk("verify", ...args(), "--lookups", "5")).toContain("lookups  5 records drawn at random");
  });

  it("knows the keys of the configuration by the name in the address, all of them", async () => {
    const other = sumLogSigner(name, 1);
    await writeFile(join(cwd, "keys"), `${other}\n${key}\n`, { mode: 0o600 });
    const config = await configured('[sumdb]\nkey_files = ["keys"]\n');
    expect(await sumdbOk("verify", `${log.url}/sumdb/${name}`, ...config)).toContain("300 records");
  });

  it("compares with the tree of the last audit, and keeps that when something is wrong", async () => {
    const forked = await startSumLog({ name, size: 200 });
    const args = ["verify", forked.gosumdb, "--state", "state.note", "--lookups", "0"];
    expect(await sumdbOk(...args)).toContain("history  begins with this audit, remembered in state.note\n");
    const first = await readFile(join(cwd, "state.note"), "utf8");
    expect(first).toBe(Buffer.from(forked.latest()).toString());
    forked.growTo(250);
    expect(await sumdbOk(...args)).toContain("history  continues the 200 records of the last audit in state.note\n");
    const before = forked.tree();
    forked.fork(100);
    const said = await sumdbFails(...args);
    await forked.close();
    expect(said.split("\n").slice(0, 4)).toEqual([
      `sluice: ${name} at ${forked.url} is not what it says: 1 contradiction`,
      "sluice: two histories: the log has changed what it had at the last audit, its first 250 records",
      `sluice:   their hash at the last audit: ${Buffer.from(before.hash).toString("base64")}`,
      `sluice:   their hash now:               ${Buffer.from(forked.tree().hash).toString("base64")}`,
    ]);
    expect(said).toContain(Buffer.from(before.hash).toString("base64"));
    expect(await readFile(join(cwd, "state.note"), "utf8")).toContain(Buffer.from(before.hash).toString("base64"));
  });

  it("tells every value of a tampered record", async () => {
    const tampered = await startSumLog({ name, size: 20 });
    tampered.tamperRecord(7, (tampered.records[7] ?? "").replace(/h1:...../, "h1:AAAAA"));
    const said = await sumdbFails("verify", tampered.gosumdb);
    await tampered.close();
    expect(said).toMatch(
      /^sluice: record 7 \(example\.com\/filler\/m7 v1\.0\.0\)\nsluice: {3}tile\/8\/0\/000\.p\/20 has: \S{44}\nsluice: {3}the record hashes to: {2}\S{44}$/m,
    );
  });

  it.each([
    [
      "a log that nobody knows a key of",
      ["http://127.0.0.1:9"],
      /^sluice: no key of 127\.0\.0\.1:9 is known; give it with --key/,
    ],
    ["no log at all", ["nosuch"], /^sluice: "nosuch" is no checksum database that the configuration or go knows/],
    ["an address of another kind", ["ftp://x.example"], /^sluice: "ftp:\/\/x\.example" is no address of a log/],
    ["a key that is none", ["http://127.0.0.1:9", "--key", "x"], /^sluice: --key "x" is no key of a log/],
    ["a number that is none", ["sum.golang.org", "--lookups", "many"], /^sluice: --lookups "many" is no number/],
  ])("refuses %s", async (_what, args, message) => {
    expect(await sumdbFails("verify", ...args)).toMatch(message);
  });

  it("refuses an address where no log is", async () => {
    expect(await sumdbFails("verify", `${log.url}/elsewhere`, "--key", verifierKey)).toBe(
      `sluice: ${log.url}/elsewhere is not the address of a log: ${log.url}/elsewhere/latest: answered 404; that of a log behind a Sluice ends in /sumdb/<name>\n`,
    );
  });

  it("refuses a state file of another log", async () => {
    await writeFile(join(cwd, "state.note"), Buffer.from((await startedElsewhere()).note));
    expect(await sumdbFails("verify", log.gosumdb, "--state", "state.note")).toMatch(
      /^sluice: --state state\.note has no tree of this log, by the keys that are known: /,
    );
  });

  async function startedElsewhere(): Promise<{ note: Uint8Array }> {
    const other = await startSumLog({ name: "other.example", size: 1 });
    await other.close();
    return { note: other.latest() };
  }
});

describe("sumdb show", () => {
  let log: SumLog;
  beforeAll(async () => {
    log = await startSumLog({ name, size: 300 });
  });
  afterAll(() => log.close());
  afterEach(() => log.stopChanging());
  const query = "example.com/filler/m17@v1.0.0";

  it("does not tell a database of others the name of a private module", async () => {
    const config = await configured(`[upstream]
private = "example.com/filler"
[sumdb]
database = "${log.gosumdb}"
`);
    for (const database of [name, log.gosumdb]) {
      expect(await sumdbFails("show", query, "--url", database, ...config)).toBe(
        `sluice: example.com/filler/m17 is private, and ${name} is a database of others, which would learn its name\n`,
      );
    }
    expect(log.requests).toEqual([]);
  });

  it("shows the record, its number, and by what it is proven", async () => {
    expect(await sumdbOk("show", query, "--url", log.gosumdb)).toBe(`${log.records[17]}
  database  ${name}, at ${log.url}
  record    17 of 300, counted from 0
  proven    by the log's tiles, under a tree of 300 records signed by ${verifierKey.split("+", 2).join("+")}
`);
  });

  it.each([
    [
      "another record",
      /lookup/,
      (text: string) => text.replace(/h1:...../, "h1:AAAAA"),
      /record 17 is not the one in the signed tree of 300 records\nsluice: in the tree: \S{44}\nsluice: the record: {2}\S{44}\n$/,
    ],
    [
      "another number",
      /lookup/,
      (text: string) => text.replace(/^17\n/, "18\n"),
      /record 18 is not the one in the signed tree of 300 records/,
    ],
    ["a wrong signature", /lookup/, (text: string) => text.replace(/\n300\n/, "\n299\n"), /invalid signature for key/],
    ["a number beyond its tree", /lookup/, (text: string) => text.replace(/^17\n/, "400\n"), /cannot be proven/],
  ])("refuses %s", async (_what, matcher, change, message) => {
    log.change(matcher, (bytes) => Buffer.from(change(Buffer.from(bytes).toString())));
    expect(await sumdbFails("show", query, "--url", log.gosumdb)).toMatch(message);
  });

  it.each([
    ["latest", /is no single version.*go list -m example\.com\/a@latest/],
    ["v1", /is no single version.*go list -m example\.com\/a@v1/],
    ["main", /is no single version.*go list -m example\.com\/a@main/],
    ["v2.0.0", /is no single version/],
  ])("refuses @%s", async (version, message) => {
    expect(await sumdbFails("show", `example.com/a@${version}`, "--url", log.gosumdb)).toMatch(message);
  });

  it("says that the log has none", async () => {
    expect(await sumdbFails("show", "example.com/nobody@v1.0.0", "--url", log.gosumdb)).toBe(
      `sluice: ${name} at ${log.url} has no record of example.com/nobody@v1.0.0; check module and version with go list -m example.com/nobody@v1.0.0\n`,
    );
  });

  it("needs a log of our own for a private module, whose name it tells nobody", async () => {
    const config = await configured('[[private]]\npattern = "git.corp.example"\n');
    expect(await sumdbFails("show", "git.corp.example/lib@v1.0.0", ...config)).toMatch(
      /^sluice: git\.corp\.example\/lib is private, and there is no log of our own/,
    );
  });
});

describe("sumdb status and forget-tree", () => {
  const publicName = "sum.example.com";
  let tree: SumLog;
  beforeEach(async () => {
    tree = await startSumLog({ name: publicName, size: 10 });
    await tree.close();
    await mkdir(join(cwd, "sluice-data"));
  });

  async function fill(): Promise<void> {
    const clock = { ...systemClock, now: () => Date.UTC(2026, 0, 2, 3, 4, 5) };
    const store = await openSqliteSumStore({ file: join(cwd, "sluice-data/sumdb.db"), clock });
    await store.setTree(publicName, { ...tree.tree(), note: tree.latest() }, 0);
    await store.appendRecords(name, [
      { modulePath: parseModulePath("corp.example/a"), version: parseVersion("v1.0.0"), text: "a\n" },
    ]);
    await store.close();
  }

  async function addFork(): Promise<{ readonly ours: Uint8Array; readonly theirs: Uint8Array }> {
    const ours = tree.latest();
    tree.fork(3);
    const evidence = { ours, theirs: tree.latest(), seenAt: Date.UTC(2026, 0, 3) };
    const store = await openSqliteSumStore({ file: join(cwd, "sluice-data/sumdb.db"), clock: systemClock });
    await store.addFork(publicName, evidence);
    await store.close();
    return evidence;
  }

  it("shows trees, our own log with its keys, and files that are not confirmed, beside who writes", async () => {
    await fill();
    await writeFile(join(cwd, "key"), `${key}\n`, { mode: 0o600 });
    const ledger = await openSqliteLedger({
      file: join(cwd, "sluice-data/ledger.db"),
      clock: systemClock,
      events: recordEvents(),
    });
    await ledger.addUnverified({
      key: "example.com/leaf/@v/v1.0.0.zip",
      h1: parseH1("h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y="),
      reason: "sum.example.com did not answer in time",
      since: Date.UTC(2026, 0, 4),
    });
    const printed = await sumdbOk("status", ...(await configured('[sumdb]\nkey_files = ["key"]\n')));
    await ledger.close();
    expect(printed).toBe(`${join(cwd, "sluice-data")}

Databases that are followed
  ${publicName}: 10 records, seen 2026-01-02 03:04:05 UTC

Our own log
  ${name}: 1 record, signed with ${verifierKey.split("+", 2).join("+")}

Forks
  none

Files that no database has confirmed
  example.com/leaf/@v/v1.0.0.zip, since 2026-01-04 00:00:00 UTC: sum.example.com did not answer in time
`);
  });

  it("makes nothing where there is nothing", async () => {
    await rm(join(cwd, "sluice-data"), { recursive: true });
    expect(await sumdbOk("status")).toContain("Databases that are followed\n  none\n");
    await expect(stat(join(cwd, "sluice-data"))).rejects.toThrow("ENOENT");
  });

  it("shows both notes of a fork, which only an operator's decision settles", async () => {
    await fill();
    const { ours, theirs } = await addFork();
    const printed = await sumdbOk("status");
    for (const note of [ours, theirs]) {
      expect(printed.replaceAll(/^ {4}/gm, "")).toContain(Buffer.from(note).toString());
    }
    expect(await sumdbFails("forget-tree", publicName)).toMatch(/It has shown two histories.*\n.* --yes\n$/);
    expect(await sumdbOk("status")).toBe(printed);
    expect(await sumdbOk("forget-tree", publicName, "--yes")).toBe(
      `The tree of ${publicName}, 10 records, is forgotten. Sluice follows it anew from what it shows next.
Restart Sluice when there is time: what it holds of the old history in memory goes only then.
`,
    );
    expect(await sumdbOk("status")).toContain("Forks\n  none\n");
    expect(await sumdbFails("forget-tree", publicName, "--yes")).toContain(`no tree of ${publicName} is kept`);
  });

  it("says what to do about a damaged store, and does not recommend another one", async () => {
    await writeFile(join(cwd, "sluice-data/sumdb.db"), "no database, but of a fair length all the same".repeat(100));
    await writeFile(join(cwd, "sluice-data/sumdb.db.keep"), "");
    const said = await sumdbFails("status");
    expect(said).toContain("put the newest copy of it back");
    expect(said).not.toContain("another folder");
  });
});
