import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";
import { generateKey } from "../protocol/sumdb/index.ts";
import { goDefaultSumdb } from "./defaults.ts";
import { printConfig } from "./print.ts";

const corp = generateKey("sum.corp.example", new Uint8Array(32).fill(1));
const rotated = generateKey("sum.corp.example", new Uint8Array(32).fill(2));
const other = generateKey("sum.other.example", new Uint8Array(32).fill(3));
const files = {
  "/srv/app/conf/old.key": corp.signerKey,
  "/srv/app/new.key": `${rotated.signerKey}\n`,
  "/srv/app/other.key": other.signerKey,
  "/srv/app/both.key": `${corp.signerKey}\n\n${rotated.signerKey}\n`,
  "/srv/app/empty.key": "\n",
  "/srv/app/bad.key": "hunter2",
};

describe("without anything", () => {
  it("public modules are compared with Go's database where it can be reached, and there is no log of our own", () => {
    expect(load({}).config.sumdb).toStrictEqual({
      database: goDefaultSumdb,
      verify: "when-reachable",
      noVerify: "",
      mirror: [],
      latestTtlMs: 60_000,
      recheckIntervalMs: 900_000,
      keyFiles: [],
      vouchPublic: false,
      key: undefined,
    });
  });

  it.each([
    [{}, goDefaultSumdb, ""],
    [{ GOSUMDB: "off", GONOSUMDB: "a.example.com", GOPRIVATE: "b.example.com" }, "off", "a.example.com"],
    [{ GOPRIVATE: "b.example.com" }, goDefaultSumdb, "b.example.com"],
    [{ GOSUMDB: "off", SLUICE_SUMDB_DATABASE: goDefaultSumdb }, goDefaultSumdb, ""],
  ])("%j is as go understands it", (env, database, noVerify) => {
    expect(load({ env }).config.sumdb).toMatchObject({ database, noVerify });
  });
});

describe("keys", () => {
  it("are named by the file, counted from the file", () => {
    const file = '[sumdb]\nkey_files = ["old.key", "../new.key"]';
    expect(load({ file, files }).config.sumdb.keyFiles).toStrictEqual(["/srv/app/conf/old.key", "/srv/app/new.key"]);
  });

  it("may stand in one file, each on its line", () => {
    expect(load({ env: { SLUICE_SUMDB_KEY_FILES: "both.key" }, files }).config.sumdb.keyFiles).toHaveLength(1);
  });

  it("may come from the environment, and are not printed then", () => {
    const loaded = load({ env: { SLUICE_SUMDB_KEY: corp.signerKey, SLUICE_SUMDB_KEY_FILES: "new.key" }, files });
    expect(loaded.config.sumdb.key?.reveal()).toBe(corp.signerKey);
    expect(loaded.config.sumdb.keyFiles).toStrictEqual(["/srv/app/new.key"]);
    expect(printConfig(loaded) + JSON.stringify(loaded.config)).not.toContain("PRIVATE+KEY");
  });
});

describe("what is printed", () => {
  it("loads to the same", () => {
    const file = `[sumdb]\ndatabase = "${other.verifierKey} https://sum.example.com/x"\nmirror = ["sum.golang.org"]\nkey_files = ["old.key"]\nvouch_public = true`;
    const loaded = load({ file, files });
    expect(load({ file: printConfig(loaded), files }).config).toStrictEqual(loaded.config);
  });
});

const mistakes: readonly (readonly [input: Input, sentence: string])[] = [
  [
    { env: { GOSUMDB: "sum.example.com" } },
    'GOSUMDB="sum.example.com" cannot be read: invalid GOSUMDB: malformed verifier id; write a known name such as sum.golang.org, or name+hash+key, maybe with a URL behind a blank',
  ],
  [
    { file: `[sumdb]\ndatabase = "${goDefaultSumdb} https://me:hunter2@sum.example.com"` },
    "conf/sluice.toml:2: [sumdb] database has a user name or password in its URL, which no database needs; take it out",
  ],
  [
    { env: { SLUICE_SUMDB_MIRROR: "sum.golang.org" } },
    'SLUICE_SUMDB_MIRROR="sum.golang.org" is relayed already; take it out of the list',
  ],
  [
    { file: '[sumdb]\nmirror = ["off"]' },
    'conf/sluice.toml:2: [sumdb] mirror = "off" is no database; take it out of the list',
  ],
  [
    { file: '[sumdb]\nmirror = "off"' },
    'conf/sluice.toml:2: [sumdb] mirror = "off" is not a list; write ["sum.example.com+hash+key"]',
  ],
  [
    { env: { GOSUMDB: "off", SLUICE_SUMDB_VERIFY: "required" } },
    'SLUICE_SUMDB_VERIFY="required" is required, but database is off; name a database, or write when-reachable',
  ],
  [
    { env: { SLUICE_SUMDB_VERIFY: "on" } },
    'SLUICE_SUMDB_VERIFY="on" is not one of its values; write when-reachable, required or off',
  ],
  [
    { env: { GONOSUMDB: "https://git.example.com" } },
    'GONOSUMDB="https://git.example.com" has a URL among its patterns; write the module path, such as git.example.com',
  ],
  [
    { env: { SLUICE_SUMDB_RECHECK_INTERVAL: "0s" } },
    'SLUICE_SUMDB_RECHECK_INTERVAL="0s" is too short; write at least "1000ms"',
  ],
  [{ file: '[sumdb]\nkey_file = "old.key"' }, "conf/sluice.toml:2: [sumdb] has no key_file; did you mean key_files?"],
  [
    { file: '[sumdb]\nkey_files = "old.key"' },
    'conf/sluice.toml:2: [sumdb] key_files = "old.key" is not a list; write ["/etc/sluice/sumdb.key"]',
  ],
  [
    { file: '[sumdb]\nkey_files = ["gone.key"]' },
    'conf/sluice.toml:2: [sumdb] key_files = "/srv/app/conf/gone.key" does not exist; check the path',
  ],
  [
    { env: { SLUICE_SUMDB_KEY_FILES: "bad.key" }, files },
    'SLUICE_SUMDB_KEY_FILES="/srv/app/bad.key" holds no key of a log: malformed signer key: expected PRIVATE+KEY+<name>+<hash>+<base64>; make one with `sluice sumdb init`',
  ],
  [
    { env: { SLUICE_SUMDB_KEY_FILES: "empty.key" }, files },
    'SLUICE_SUMDB_KEY_FILES="/srv/app/empty.key" holds no key of a log: it is empty; make one with `sluice sumdb init`',
  ],
  [
    { env: { SLUICE_SUMDB_KEY: "hunter2" } },
    "SLUICE_SUMDB_KEY holds no key of a log: malformed signer key: expected PRIVATE+KEY+<name>+<hash>+<base64>; make one with `sluice sumdb init`",
  ],
  [
    { env: { SLUICE_SUMDB_KEY_FILES: "new.key,other.key" }, files },
    "SLUICE_SUMDB_KEY_FILES have keys of two logs, sum.corp.example and sum.other.example; the keys of one log have one name",
  ],
  [
    { env: { SLUICE_SUMDB_KEY_FILES: "new.key", GOSUMDB: corp.verifierKey }, files },
    `GOSUMDB="${corp.verifierKey}" is our own log, by its key; name what public modules are compared with, such as SLUICE_SUMDB_DATABASE=sum.golang.org`,
  ],
  [
    { env: { SLUICE_SUMDB_KEY_FILES: "new.key", SLUICE_SUMDB_MIRROR: corp.verifierKey }, files },
    "SLUICE_SUMDB_KEY_FILES have a key named sum.corp.example, which is a database of others here; make a key with another name, or name another one in database",
  ],
  [
    { env: { SLUICE_SUMDB_VOUCH_PUBLIC: "true" } },
    "SLUICE_SUMDB_VOUCH_PUBLIC is true, but our own log has no key; make one with `sluice sumdb init`, and name it in key_files",
  ],
  [
    { env: { SLUICE_SUMDB_VOUCH_PUBLIC: "true", SLUICE_SUMDB_KEY_FILES: "new.key", GOSUMDB: "off" }, files },
    "SLUICE_SUMDB_VOUCH_PUBLIC is true, but database is off, so there is nothing to vouch with; name a database",
  ],
];

describe("a mistake", () => {
  it.each(mistakes)("%j gets one sentence", (input, sentence) => {
    expect(() => load(input)).toThrow(expect.objectContaining({ code: "config_invalid", message: sentence }));
    expect(sentence).not.toContain("hunter2");
  });
});
