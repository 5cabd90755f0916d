import { describe, expect, test } from "vitest";
import { formatTree, generateKey, parseSignerKey, signNote } from "../../src/protocol/sumdb/index.ts";
import { asker, followLog, moduleVersion, pathsOf, testLog } from "../support/followed-log.ts";
import { failureOf } from "../support/http-client.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fillerRecord, flipBit, sumLogSigner } from "../support/sum-log.ts";

const now = { maxAgeMs: -1 };

describe("what is not as the log has signed it is refused, kept nowhere, and good again when it is good", () => {
  test.each([
    ["a tile of records' hashes", /^tile\/8\/0\/001$/],
    ["a tile above", /^tile\/8\/1\/000\.p\/3$/],
    ["a partial tile at the edge", /^tile\/8\/0\/003\.p\/232$/],
    ["every tile", /^tile\//],
  ])("%s with one other bit", async (_, path) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.change(path, flipBit);
    expect(await failureOf(followed.filler(300))).toMatchObject({
      code: "integrity",
      message: expect.stringContaining("sum.example.com"),
    });
    expect(followed.events.of("sum_invalid")).toMatchObject([{ database: "sum.example.com", via: log.url }]);
    expect(followed.events.of("sum_fork")).toEqual([]);
    log.stopChanging();
    expect((await followed.filler(300)).text).toBe(fillerRecord(300));
  });

  test.each([
    ["too short", (bytes: Uint8Array) => bytes.subarray(1)],
    ["empty", () => new Uint8Array()],
  ])("a tile that is %s", async (_, change) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(300);
    log.change(/^tile\//, change);
    expect((await failureOf(followed.filler(1))).code).toBe("integrity");
    log.stopChanging();
    expect((await followed.filler(1)).id).toBe(1);
  });

  test("a tile that is wrong once is asked for once more", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(999);
    let times = 0;
    log.change(/^tile\//, (bytes) => (times++ === 0 ? flipBit(bytes) : bytes));
    expect((await followed.filler(1)).id).toBe(1);
    expect(followed.events.of("sum_invalid")).toEqual([]);
  });

  test("a record with another hash", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.tamperRecord(300, fillerRecord(300).replace(/h1:..../, "h1:AAAA"));
    expect(await failureOf(followed.filler(300))).toMatchObject({
      code: "integrity",
      message: expect.stringContaining("is not record 300 of the log"),
    });
    expect(followed.events.of("sum_invalid")).toHaveLength(1);
    expect(followed.events.of("sum_fork")).toEqual([]);
    log.tamperRecord(300, fillerRecord(300));
    expect((await followed.filler(300)).text).toBe(fillerRecord(300));
  });

  test("the record of another version, though it is in the log", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    const { bytes: other } = await followed.mirror.lookup(...fillerVersion(2), asker());
    log.change(/m300@/, () => other ?? new Uint8Array());
    expect(await failureOf(followed.filler(300))).toMatchObject({
      code: "integrity",
      message: expect.stringContaining("of another version"),
    });
  });

  test.each([
    ["a number that is not its own", "301\n"],
    ["a number behind the tree", "1000\n"],
  ])("a record with %s", async (_, number) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.change(/m300@/, (bytes) => Buffer.from(Buffer.from(bytes).toString().replace("300\n", number)));
    expect((await failureOf(followed.filler(300))).code).toBe("integrity");
    log.stopChanging();
    expect((await followed.filler(300)).id).toBe(300);
  });

  test.each([
    ["another key", generateKey("sum.example.com").signerKey],
    ["the key of another log", sumLogSigner("sum.other.example")],
  ])("a signed tree by %s, also where its record is in our tree", async (_, signer) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.signWith(signer);
    expect((await failureOf(followed.filler(300))).code).toBe("integrity");
    expect((await failureOf(followed.log.tree(asker(), now))).code).toBe("integrity");
    log.signWith(sumLogSigner("sum.example.com"));
    await followed.filler(300);
    log.signWith(signer);
    expect((await failureOf(followed.filler(301))).code).toBe("integrity");
    expect(followed.events.of("sum_invalid").every(({ via }) => via === log.url)).toBe(true);
  });

  test("a changed data tile", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    const tile = { height: 8, level: -1, index: 1, width: 256 };
    log.tamperRecord(300, fillerRecord(300).replace(/h1:..../, "h1:AAAA"));
    expect((await failureOf(followed.log.tile(tile, asker()))).code).toBe("integrity");
    log.tamperRecord(300, fillerRecord(300));
    const { bytes } = await followed.log.tile(tile, asker());
    expect(Buffer.from(bytes).equals(log.tileBytes(tile))).toBe(true);
  });

  test.each(["", "hello\n", "<!DOCTYPE html>\n<html>\n\n<p>Please log in\n</html>\n"])(
    "rubbish instead of a lookup or a tree says nothing of the log, but of what stands before it: %j",
    async (rubbish) => {
      const log = await testLog({ size: 1000 });
      const followed = await followLog(log);
      log.change(/^(lookup|latest)/, () => Buffer.from(rubbish));
      const refused = { code: "upstream_invalid", message: expect.stringContaining(`This came from ${log.url}`) };
      expect(await failureOf(followed.filler(300))).toMatchObject(refused);
      expect(await failureOf(followed.log.tree(asker(), now))).toMatchObject(refused);
      log.stopChanging();
      await followed.filler(300);
      log.change(/^latest/, () => Buffer.from(rubbish));
      expect((await followed.log.tree(asker(), now)).size).toBe(1000);
    },
  );

  test("rubbish instead of the newest tree is no reason to do without a record", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.change(/^latest/, () => Buffer.from("<html>\n"));
    expect((await followed.filler(300)).text).toBe(fillerRecord(300));
  });
});

describe("an older tree", () => {
  test("that is the beginning of ours is no harm: ours stays", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(999);
    log.showTree(600);
    expect((await followed.log.tree(asker(), now)).size).toBe(1000);
    expect((await followed.filler(500)).id).toBe(500);
    expect(followed.events.of("sum_fork")).toEqual([]);
  });

  test("that comes with a record it does not have is refused where ours does not have it either", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.showTree(600);
    expect((await failureOf(followed.filler(700))).code).toBe("integrity");
  });
});

test("an empty tree of whatever hash is no fork: the servers of some years ago signed zeros", async () => {
  const log = await testLog({ size: 0 });
  const signer = parseSignerKey(sumLogSigner(log.name));
  log.change(/^latest$/, () => signNote(formatTree({ size: 0, hash: new Uint8Array(32) }), [signer]));
  const followed = await followLog(log);
  expect((await followed.log.tree(asker(), now)).size).toBe(0);
  log.growTo(300);
  expect((await followed.filler(299)).text).toBe(fillerRecord(299));
  expect((await followed.log.tree(asker(), now)).size).toBe(300);
  expect(await followed.store.forks(log.name)).toEqual([]);
});

describe("a fork", () => {
  const advice = /SECURITY ERROR[^]*sluice sumdb status[^]*sluice sumdb forget-tree sum\.example\.com/;

  test.each([
    ["of a larger tree", { grow: 1500, show: undefined }],
    ["of a tree of the same size", { grow: 1000, show: undefined }],
    ["of a smaller tree", { grow: 1000, show: 900 }],
  ])("%s is proven, both trees are kept, and nothing is answered any more", async (_, { grow, show }) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(999);
    const before = log.latest();
    log.fork(500);
    log.growTo(grow);
    log.showTree(show);
    expect(await failureOf(followed.log.tree(asker(), now))).toMatchObject({
      code: "integrity",
      message: expect.stringMatching(advice),
    });
    expect(followed.events.of("sum_fork")).toEqual([
      { type: "sum_fork", database: "sum.example.com", ourSize: 1000, theirSize: show ?? grow },
    ]);
    const [evidence] = await followed.store.forks("sum.example.com");
    expect(Buffer.from(evidence?.ours ?? [])).toEqual(Buffer.from(before));
    expect(Buffer.from(evidence?.theirs ?? [])).toEqual(Buffer.from(log.latest()));

    log.requests.length = 0;
    const refused = { code: "integrity", message: expect.stringMatching(advice) };
    expect(await failureOf(followed.filler(999))).toMatchObject(refused);
    expect(await failureOf(followed.filler(3))).toMatchObject(refused);
    expect(await failureOf(followed.mirror.latest(asker()))).toMatchObject(refused);
    const tile = { height: 8, level: 0, index: 0, width: 256 };
    expect(await failureOf(followed.mirror.tile(tile, asker()))).toMatchObject(refused);
    expect(pathsOf(log)).toEqual([]);
  });

  test.each([
    ["a record behind our tree", 1200],
    ["a record whose number we have", 700],
  ])("is seen by a lookup of %s", async (_, id) => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(0);
    log.fork(500);
    log.growTo(1500);
    expect(await failureOf(followed.filler(id))).toMatchObject({
      code: "integrity",
      message: expect.stringMatching(advice),
    });
    expect(await followed.store.forks("sum.example.com")).toHaveLength(1);
  });

  test("is remembered after a restart, without the log", async () => {
    const log = await testLog({ size: 1000 });
    const first = await followLog(log);
    await first.filler(999);
    log.fork(500);
    await failureOf(first.log.tree(asker(), now));
    await first.close();
    await log.close();
    const second = await followLog(log, { folder: first.folder });
    expect(await failureOf(second.filler(999))).toMatchObject({
      code: "integrity",
      message: expect.stringMatching(advice),
    });
  });

  test("is over when an operator has the tree forgotten, without a restart; what was kept of the other history is replaced", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log, { clock });
    for (const id of [999, 700, 3]) await followed.filler(id);
    log.fork(500);
    await failureOf(followed.log.tree(asker(), now));
    await followed.store.forgetTree("sum.example.com");
    await clock.advance(2000);
    for (const id of [3, 700, 999]) expect((await followed.filler(id)).text).toBe(log.records[id]);
    expect(log.records[700]).not.toBe(fillerRecord(700));
  });

  test("is none when an operator had the tree forgotten before", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(999);
    log.fork(500);
    await followed.store.forgetTree("sum.example.com");
    expect((await followed.log.tree(asker(), now)).size).toBe(1000);
    expect((await followed.filler(999)).text).toBe(log.records[999]);
    expect(followed.events.of("sum_fork")).toEqual([]);
  });

  test("tells go in at most 8 lines and 648 bytes", async () => {
    const name = `${"long-".repeat(20)}name.example.com/with/a/path`;
    const log = await testLog({ size: 1000, name });
    const followed = await followLog(log);
    await followed.filler(999);
    log.fork(500);
    const { message } = await failureOf(followed.log.tree(asker(), now));
    expect(message.split("\n").length).toBeLessThanOrEqual(8);
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(648);
  });
});

function fillerVersion(id: number) {
  return moduleVersion(`example.com/filler/m${id}`, "v1.0.0");
}
