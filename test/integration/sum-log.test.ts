import { afterEach, describe, expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import {
  checkDataTile,
  findHash,
  openNote,
  parseLookup,
  parseTree,
  parseVerifierKey,
  planTileCheck,
  planTileReads,
  recordHash,
  storedHashIndex,
  tilePath,
  type TilePlan,
  type Tree,
} from "../../src/protocol/sumdb/index.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacksOracles } from "../support/go-oracle.ts";
import { startGoSumServer } from "../support/go-sum-server.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import {
  fillerRecord,
  flipBit,
  startSumLog,
  type SumLog,
  type SumLogOptions,
  sumLogSigner,
} from "../support/sum-log.ts";

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function start(options: SumLogOptions = {}): Promise<SumLog> {
  const log = await startSumLog(options);
  open.push(log);
  return log;
}

async function fetchBytes(log: { readonly url: string }, path: string): Promise<Uint8Array> {
  const response = await fetch(`${log.url}/${path}`);
  expect(response.status, path).toBe(200);
  return new Uint8Array(await response.arrayBuffer());
}

async function fetchTree(log: SumLog): Promise<Tree> {
  return parseTree(openNote(await fetchBytes(log, "latest"), [parseVerifierKey(log.verifierKey)]).text);
}

async function verify(log: SumLog, plan: TilePlan): Promise<Buffer[]> {
  const tiles = await Promise.all(plan.tiles.map((tile) => fetchBytes(log, tilePath(tile))));
  return plan.verify(tiles).map((hash) => Buffer.from(hash));
}

const lookup = "lookup/example.com/filler/m700@v1.0.0";

describe("the log on loopback", () => {
  test("proves every answer, also as a proxy", async () => {
    const log = await start({ size: 1000 });
    const tree = await fetchTree(log);
    expect(tree).toEqual(log.tree());
    for (const path of [lookup, `sumdb/${log.name}/${lookup}`]) {
      const { id, text, note } = parseLookup(await fetchBytes(log, path));
      expect([id, text]).toEqual([700, fillerRecord(700)]);
      expect(note).toEqual(await fetchBytes(log, "latest"));
      expect(await verify(log, planTileReads(tree, [storedHashIndex(0, id)]))).toEqual([recordHash(text)]);
    }
    const data = { height: 8, level: -1, index: 3, width: 232 };
    const hashes = await verify(log, planTileCheck(tree, data));
    expect(checkDataTile(await fetchBytes(log, tilePath(data)), hashes)).toEqual(log.records.slice(768));
    expect(log.requestsFor(/lookup/).map(({ path }) => path)).toEqual([lookup, `sumdb/${log.name}/${lookup}`]);
  });

  test("makes records of fixture modules when asked for them", async () => {
    const log = await start({ vouchFor: fixtureFiles() });
    const { id, text } = parseLookup(await fetchBytes(log, "lookup/example.com/!upper/!case@v1.1.0-!r!c.1"));
    expect(id).toBe(0);
    const [modulePath, version] = [parseModulePath("example.com/Upper/Case"), parseVersion("v1.1.0-RC.1")];
    expect(findHash(text, modulePath, version, "zip")).toMatch(/^h1:/);
    expect(log.records).toEqual([text]);
    const missing = await fetch(`${log.url}/lookup/example.com/leaf@v9.9.9`);
    expect(missing.status).toBe(404);
  });

  test("lies when told", async () => {
    const log = await start({ size: 1000 });
    const honest = await fetchTree(log);
    const plan = planTileReads(honest, [storedHashIndex(0, 700)]);
    log.change(/tile\/8\/0\/002/, flipBit);
    await expect(verify(log, plan)).rejects.toThrow("tile/8/0/002 does not belong to the tree");
    log.stopChanging();
    log.tamperRecord(700, fillerRecord(701));
    expect(parseLookup(await fetchBytes(log, lookup)).text).toBe(fillerRecord(701));
    expect(await verify(log, plan)).toEqual([recordHash(fillerRecord(700))]);
    log.showTree(600);
    expect(await fetchTree(log)).toEqual(log.tree(600));
    log.showTree(undefined);
    log.fork(990);
    const forked = await fetchTree(log);
    expect(forked.size).toBe(1000);
    expect(forked.hash).not.toEqual(honest.hash);
    log.signWith(sumLogSigner("sum.example.com", 1));
    await expect(fetchTree(log)).rejects.toThrow("note has no verifiable signatures");
  });
});

describe.skipIf(lacks("go", ["version"]))("the go command", () => {
  let machine: GoMachine | undefined;
  let upstream: FixtureUpstream | undefined;

  afterEach(async () => {
    await machine?.remove();
    await upstream?.close();
  });

  async function download(env: Readonly<Record<string, string>>): Promise<string> {
    machine = await createGoMachine(env);
    await machine.go(["mod", "init", "example.com/main"]);
    const { code, stderr } = await machine.go(["mod", "download", "example.com/leaf@v1.2.0"]);
    return code === 0 ? "downloaded" : stderr;
  }

  test("trusts the log, asked directly", async () => {
    const log = await start({ size: 700, vouchFor: fixtureFiles() });
    upstream = await startFixtureUpstream();
    expect(await download({ GOPROXY: upstream.url, GOSUMDB: log.gosumdb })).toBe("downloaded");
    expect(log.requestsFor(/lookup/).map(({ path }) => path)).toEqual(["lookup/example.com/leaf@v1.2.0"]);
  });

  test("trusts the log, asked through a proxy", async () => {
    const log = await start({ size: 700, vouchFor: fixtureFiles() });
    upstream = await startFixtureUpstream();
    const env = { GOPROXY: `${log.url},${upstream.url}`, GOSUMDB: log.verifierKey };
    expect(await download(env)).toBe("downloaded");
    expect(log.requestsFor(/supported$/).map(({ path }) => path)).toEqual([`sumdb/${log.name}/supported`]);
  });

  test("refuses a tampered tile", async () => {
    const log = await start({ size: 700, vouchFor: fixtureFiles() });
    log.change(/tile/, flipBit);
    upstream = await startFixtureUpstream();
    expect(await download({ GOPROXY: upstream.url, GOSUMDB: log.gosumdb })).toContain("downloaded inconsistent tile");
  });
});

describe.skipIf(lacksOracles())("the log of golang.org/x/mod", () => {
  test("answers as the log on loopback does, byte for byte", async () => {
    const log = await start({ size: 600, vouchFor: fixtureFiles() });
    const goLog = await startGoSumServer();
    open.push(goLog);
    for (const [n, text] of log.records.entries()) {
      const record = { path: `example.com/filler/m${n}`, version: "v1.0.0", text };
      expect(await goLog.add(record)).toBe(n);
    }
    const leaf = "lookup/example.com/leaf@v1.2.0";
    const { text } = parseLookup(await fetchBytes(log, leaf));
    await goLog.addLazily({ path: "example.com/leaf", version: "v1.2.0", text });
    const paths = [leaf, lookup.replace("700", "7"), "latest", "tile/8/0/001", "tile/8/0/002.p/89", "tile/8/1/000.p/2"];
    paths.push("tile/8/data/001", "tile/8/data/002.p/89", `sumdb/${log.name}/supported`, `sumdb/${log.name}/${leaf}`);
    for (const path of paths) expect(await fetchBytes(goLog, path), path).toEqual(await fetchBytes(log, path));
    const missing = "lookup/example.com/leaf@v9.9.9";
    expect((await fetch(`${goLog.url}/${missing}`)).status).toBe((await fetch(`${log.url}/${missing}`)).status);
    expect(goLog.gosumdb).toBe(`${log.verifierKey} ${goLog.url}`);
  });
});
