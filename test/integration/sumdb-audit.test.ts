import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { SignedTree } from "../../src/core/ports.ts";
import type { HttpClient } from "../../src/net/http.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { parseSignerKey, parseVerifierKey, recordHash } from "../../src/protocol/sumdb/index.ts";
import { auditLog, type AuditOptions, type AuditReport } from "../../src/sumdb/audit/audit.ts";
import { base64 } from "../../src/sumdb/audit/finding.ts";
import { createLogReader } from "../../src/sumdb/audit/log-reader.ts";
import { lacksOracles } from "../support/go-oracle.ts";
import { startGoSumServer } from "../support/go-sum-server.ts";
import { flipBit, startSumLog, sumLogSigner, type SumLog } from "../support/sum-log.ts";

let http: HttpClient;
beforeAll(() => {
  http = createHttpClient({ ca: [], userAgent: "test", instanceId: "test" });
});
afterAll(() => http.close());

function audit(log: Pick<SumLog, "url" | "verifierKey">, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  const { signal } = new AbortController();
  return auditLog({
    log: createLogReader({ url: new URL(log.url), http, clock: systemClock, signal }),
    verifiers: [parseVerifierKey(log.verifierKey)],
    lookups: 0,
    ...options,
  });
}

const places = ({ findings }: AuditReport): string[] => findings.map(({ place }) => place);

describe("a log of every shape is what it says", () => {
  it.each([0, 1, 2, 255, 256, 257, 511, 512, 1000])("%i records", async (size) => {
    const log = await startSumLog({ size });
    const progress: number[] = [];
    const report = await audit(log, { lookups: 20, onProgress: ({ records }) => progress.push(records) });
    await log.close();
    expect(report).toMatchObject({ tree: log.tree(), lookups: Math.min(size, 20), findings: [], findingCount: 0 });
    expect(progress.at(-1) ?? 0).toBe(size);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });
});

describe.skipIf(lacksOracles())("a log that golang.org/x/mod serves", () => {
  it("is what it says", { timeout: 120_000 }, async () => {
    const log = await startGoSumServer();
    for (let id = 0; id < 300; id++) {
      const path = `example.com/m${id}`;
      const h1 = `h1:${base64(recordHash(path))}`;
      await log.add({ path, version: "v1.0.0", text: `${path} v1.0.0 ${h1}\n${path} v1.0.0/go.mod ${h1}\n` });
    }
    const report = await audit(log, { lookups: 300 });
    await log.close();
    expect(report).toMatchObject({ tree: { size: 300 }, tiles: 5, lookups: 300, findings: [] });
  });
});

describe("a log of three levels of tiles", () => {
  const size = 2 ** 16 + 300;
  let log: SumLog;
  beforeAll(async () => {
    log = await startSumLog({ size });
  });
  afterAll(() => log.close());
  afterEach(() => log.stopChanging());

  it("is read once, whole: each tile of records and of hashes", async () => {
    log.requests.length = 0;
    const report = await audit(log);
    expect(report).toMatchObject({ findingCount: 0, tiles: 258 + 258 + 2 + 1 });
    const asked = log.requests.map(({ path }) => path);
    expect(asked.length).toBe(1 + report.tiles);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked).toEqual(
      expect.arrayContaining([
        "latest",
        "tile/8/data/257.p/44",
        "tile/8/1/000",
        "tile/8/1/001.p/1",
        "tile/8/2/000.p/1",
      ]),
    );
  });

  it.each([
    ["tile/8/0/100", ["record 25728 (example.com/filler/m25728 v1.0.0)", "tile/8/1/000, hash 100"]],
    ["tile/8/0/257.p/44", ["record 65814 (example.com/filler/m65814 v1.0.0)", `the tree of ${size} records`]],
    ["tile/8/1/000", ["tile/8/1/000, hash 128", "tile/8/2/000.p/1, hash 0"]],
    ["tile/8/1/001.p/1", ["tile/8/1/001.p/1, hash 0", `the tree of ${size} records`]],
    ["tile/8/2/000.p/1", ["tile/8/2/000.p/1, hash 0", `the tree of ${size} records`]],
  ])("%s tampered with is found there", async (path, expected) => {
    log.change(new RegExp(`^${path}$`), flipBit);
    expect(places(await audit(log))).toEqual(expected);
  });

  it.each([[1], [256], [65_536], [65_537], [size - 1], [size]])("continues its tree of %i records", async (past) => {
    expect(await audit(log, { previous: signed(log, past) })).toMatchObject({ findingCount: 0 });
  });

  it.each([[1], [256], [65_536], [65_537], [size]])("does not continue another one of %i records", async (past) => {
    const previous = { ...signed(log, past), hash: Buffer.alloc(32, 7) };
    expect(await audit(log, { previous })).toMatchObject({
      findingCount: 1,
      findings: [
        {
          place: `two histories: the log has changed what it had at the last audit, its first ${past} record${past === 1 ? "" : "s"}`,
          values: [
            ["their hash at the last audit", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="],
            ["their hash now", Buffer.from(log.tree(past).hash).toString("base64")],
          ],
        },
      ],
    });
  });
});

describe("what is wrong is told with both values", () => {
  let log: SumLog;
  beforeEach(async () => {
    log = await startSumLog({ size: 300 });
  });
  afterEach(() => log.close());

  it("a record that was changed under the tree", async () => {
    const text = log.records[17] ?? "";
    log.tamperRecord(17, text.replace(/h1:...../g, "h1:AAAAA"));
    const { findings, findingCount } = await audit(log, { lookups: 300 });
    expect(findingCount).toBe(1);
    expect(findings).toEqual([
      {
        place: "record 17 (example.com/filler/m17 v1.0.0)",
        values: [
          ["tile/8/0/000 has", base64(recordHash(text))],
          ["the record hashes to", base64(recordHash(text.replace(/h1:...../g, "h1:AAAAA")))],
        ],
      },
    ]);
  });

  it("a record that was dropped, and the tree with it", async () => {
    const previous = signed(log, 300);
    log.showTree(299);
    expect((await audit(log, { previous })).findings).toEqual([
      {
        place: "the log has fewer records than at the last audit",
        values: [
          ["at the last audit", "300 records"],
          ["now", "299 records"],
        ],
      },
    ]);
  });

  it("a record that was replaced, and the tree with it", async () => {
    const previous = signed(log, 300);
    log.fork(299);
    log.growTo(310);
    expect((await audit(log, { previous, lookups: 310 })).findings).toEqual([
      {
        place: "two histories: the log has changed what it had at the last audit, its first 300 records",
        values: [
          ["their hash at the last audit", base64(previous.hash)],
          ["their hash now", base64(log.tree(300).hash)],
        ],
      },
    ]);
  });

  it("a record that lookups do not have", async () => {
    log.setFault(/lookup\/example.com\/filler\/m17@/, { kind: "status", status: 404 });
    const { findings } = await audit(log, { lookups: 300 });
    expect(findings).toEqual([
      {
        place: "the lookup of record 17",
        values: [
          ["the tiles have", log.records[17]?.split("\n")[0]],
          ["the lookup", expect.stringContaining("/lookup/example.com/filler/m17@v1.0.0: answered 404")],
        ],
      },
    ]);
  });

  it.each([
    ["another record", (text: string) => text.replace(/h1:...../, "h1:AAAAA"), "the tiles have", "the lookup has"],
    [
      "another number",
      (text: string) => text.replace(/^17\n/, "18\n"),
      "the tiles have it as record",
      "the lookup as record",
    ],
  ])("a lookup with %s", async (_name, change, ...labels) => {
    log.change(/lookup\/example.com\/filler\/m17@/, (bytes) => Buffer.from(change(Buffer.from(bytes).toString())));
    const { findings } = await audit(log, { lookups: 300 });
    expect(findings.map(({ place, values }) => [place, ...values.map(([label]) => label)])).toEqual([
      ["the lookup of record 17 (example.com/filler/m17 v1.0.0)", ...labels],
    ]);
  });

  it("a lookup whose signed tree is of another history", async () => {
    const note = log.latest();
    const other = await startSumLog({ size: 250, name: log.name });
    other.fork(0);
    log.change(/lookup\/example.com\/filler\/m17@/, (bytes) =>
      Buffer.concat([bytes.subarray(0, bytes.length - note.length), other.latest()]),
    );
    await other.close();
    const { findings } = await audit(log, { lookups: 300 });
    expect(findings).toEqual([
      {
        place: "two histories: the signed trees of 250 and of 300 records",
        values: [
          ["the tree of 250 has", base64(other.tree().hash)],
          ["the tree of 300 has, for its first 250", base64(log.tree(250).hash)],
        ],
      },
    ]);
  });

  it.each([
    ["of records", "tile/8/data/001.p/44"],
    ["of hashes", "tile/8/0/001.p/44"],
  ])("a tile %s that is not there", async (_name, path) => {
    log.setFault((request) => request.path.startsWith(path.replace(".p/44", "")), { kind: "status", status: 404 });
    const { findings } = await audit(log);
    expect(findings).toEqual([
      {
        place: path,
        values: [
          ["must have", "44 entries"],
          ["cannot be had", expect.stringContaining("answered 404")],
        ],
      },
    ]);
  });

  it("a tile of the wrong length", async () => {
    log.change(/tile\/8\/0\/000$/, (bytes) => bytes.subarray(32));
    expect((await audit(log)).findings).toEqual([
      {
        place: "tile/8/0/000",
        values: [
          ["must have", "8192 bytes"],
          ["has", "8160"],
        ],
      },
    ]);
  });

  it("a tree that another key has signed", async () => {
    log.signWith(sumLogSigner(log.name, 1));
    const { verifierKey } = parseSignerKey(sumLogSigner(log.name, 1));
    const nameOf = (key: string): string => key.split("+", 2).join("+");
    await expect(audit(log)).rejects.toMatchObject({
      code: "integrity",
      message: `${log.url}/latest: note has no verifiable signatures\nexpected: signed by ${nameOf(log.verifierKey)}\nfound:    signed by ${nameOf(verifierKey)}`,
    });
  });
});

describe("a log that cannot be read well", () => {
  let log: SumLog;
  beforeEach(async () => {
    log = await startSumLog({ size: 600 });
  });
  afterEach(() => log.close());

  it("is asked again", async () => {
    log.setFault(/tile|lookup|latest/, { kind: "status", status: 503, times: 3 });
    log.setFault(/tile\/8\/data\/001$/, { kind: "cut", afterBytes: 100, times: 1 });
    expect(await audit(log, { lookups: 10 })).toMatchObject({ findingCount: 0, lookups: 10 });
  });

  it("is no finding", async () => {
    log.setFault(/tile\/8\/0\/001$/, { kind: "status", status: 403 });
    await expect(audit(log)).rejects.toMatchObject({ code: "upstream_refused" });
  });

  it("may have given up the partial tiles of tiles that are full now", async () => {
    log.showTree(500);
    log.setFault(/\.p\/244$/, { kind: "status", status: 404 });
    expect(await audit(log)).toMatchObject({ findingCount: 0 });
  });

  it("may have grown since: lookups come with a newer tree then, that continues the one that is audited", async () => {
    const old = log.latest();
    log.change(/latest$/, () => old);
    log.growTo(1000);
    expect(await audit(log, { lookups: 20 })).toMatchObject({ tree: { size: 600 }, findingCount: 0 });
  });
});

function signed(log: SumLog, size: number): SignedTree {
  return { ...log.tree(size), note: new Uint8Array() };
}
