import { describe, expect, onTestFinished, test } from "vitest";
import type { Answer } from "../../src/core/answer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { openNote, parseLookup, parseTree, parseVerifierKey, type Tile } from "../../src/protocol/sumdb/index.ts";
import { asker, followLog, moduleVersion, pathsOf, testLog } from "../support/followed-log.ts";
import { lacksOracles } from "../support/go-oracle.ts";
import { type GoSumClient, startGoSumClient } from "../support/go-sum-client.ts";
import { failureOf } from "../support/http-client.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { serveLog } from "../support/served-log.ts";
import { fillerRecord, type SumLog } from "../support/sum-log.ts";

function sizeOf(log: SumLog, note: Uint8Array): number {
  return parseTree(openNote(note, [parseVerifierKey(log.verifierKey)]).text).size;
}

function bytesOf({ bytes }: Answer): Buffer {
  return Buffer.from(bytes ?? []);
}

const filler = (id: number) => moduleVersion(`example.com/filler/m${id}`, "v1.0.0");
const hashes = (level: number, index: number, width = 256): Tile => ({ height: 8, level, index, width });

describe("a lookup", () => {
  test("is answered with our tree, whatever tree the record came with", async () => {
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log);
    await mirror.lookup(...filler(5), asker());
    log.growTo(1200);
    const known = parseLookup(bytesOf(await mirror.lookup(...filler(6), asker())));
    expect([known.id, known.text, sizeOf(log, known.note)]).toEqual([6, fillerRecord(6), 1000]);
    const newer = parseLookup(bytesOf(await mirror.lookup(...filler(1100), asker())));
    expect([newer.id, sizeOf(log, newer.note)]).toEqual([1100, 1200]);
    const before = parseLookup(bytesOf(await mirror.lookup(...filler(5), asker())));
    expect([before.id, sizeOf(log, before.note)]).toEqual([5, 1200]);
  });

  test("says whether it was here", async () => {
    const { mirror } = await followLog(await testLog({ size: 1000 }), { latestTtlMs: 5000 });
    const answers = [await mirror.lookup(...filler(5), asker()), await mirror.lookup(...filler(5), asker())];
    expect(answers.map(({ cache, immutable, freshForMs }) => [cache, immutable, freshForMs])).toEqual([
      ["miss", false, 5000],
      ["hit", false, 5000],
    ]);
  });

  test("of a private module is refused, and its name does not leave", async () => {
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { isPrivate: (modulePath) => modulePath.startsWith("corp.example/") });
    const refused = await failureOf(mirror.lookup(...moduleVersion("corp.example/secret", "v1.0.0"), asker()));
    expect(refused.code).toBe("private_name");
    expect(refused.message).toMatch(/GONOSUMDB/);
    expect(pathsOf(log)).toEqual([]);
  });
});

describe("latest", () => {
  test("is asked of the log once in its time to live, however many ask", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock, latestTtlMs: 60_000 });
    const first = await Promise.all(Array.from({ length: 50 }, () => mirror.latest(asker())));
    log.growTo(1100);
    await clock.advance(59_000);
    const second = await mirror.latest(asker());
    await clock.advance(2000);
    const third = await mirror.latest(asker());
    expect([...first, second, third].map((answer) => sizeOf(log, bytesOf(answer)))).toEqual([
      ...first.map(() => 1000),
      1000,
      1100,
    ]);
    expect([second.cache, second.freshForMs, third.cache, third.freshForMs]).toEqual(["hit", 1000, "miss", 60_000]);
    expect(log.requestsFor("latest")).toHaveLength(2);
  });

  test("is asked for again when the clock was ahead and is set back", async () => {
    let now = Date.UTC(2030, 0, 1);
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock: { ...systemClock, now: () => now } });
    await mirror.latest(asker());
    log.growTo(1100);
    now = Date.UTC(2026, 0, 1);
    expect(sizeOf(log, bytesOf(await mirror.latest(asker())))).toBe(1100);
  });

  test("is answered stale while the log fails, which is not asked again at once", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock, latestTtlMs: 60_000, retry: { attempts: 1 } });
    await mirror.latest(asker());
    await clock.advance(61_000);
    log.setFault("latest", { kind: "status", status: 500 });
    log.requests.length = 0;
    for (let times = 0; times < 5; times++) {
      const { cache, freshForMs } = await mirror.latest(asker());
      expect([cache, freshForMs]).toEqual(["stale", 0]);
    }
    expect(pathsOf(log)).toEqual(["latest"]);
    log.clearFaults();
    await clock.advance(20_000);
    expect((await mirror.latest(asker())).cache).toBe("miss");
  });

  test("does not wait long for a log that hangs, when there is a tree to answer", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock, latestTtlMs: 60_000 });
    await mirror.latest(asker());
    await clock.advance(61_000);
    log.setFault("latest", { kind: "hang" });
    const answer = mirror.latest(asker());
    await log.arrived("latest", 2);
    await clock.advance(5000);
    expect((await answer).cache).toBe("stale");
  });
});

describe("a tile", () => {
  test("is what the log has, in every width up to that of the tree, and data too", async () => {
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log);
    const tiles = [
      hashes(0, 0),
      hashes(0, 0, 1),
      hashes(0, 0, 255),
      hashes(0, 3, 232),
      hashes(0, 3, 100),
      hashes(1, 0, 3),
      hashes(1, 0, 1),
      hashes(-1, 0),
      hashes(-1, 0, 10),
      hashes(-1, 3, 232),
      hashes(-1, 3, 5),
    ];
    for (let round = 0; round < 2; round++) {
      for (const tile of tiles) {
        const answer = await mirror.tile(tile, asker());
        expect(bytesOf(answer).equals(log.tileBytes(tile))).toBe(true);
        expect(answer.immutable).toBe(true);
      }
    }
  });

  test("is asked for once by any number, and not again", async () => {
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log);
    await mirror.latest(asker());
    log.requests.length = 0;
    await Promise.all(Array.from({ length: 100 }, () => mirror.tile(hashes(0, 1), asker())));
    await mirror.tile(hashes(0, 1, 7), asker());
    expect(pathsOf(log)).toEqual(["tile/8/0/001"]);
  });

  test.each([
    ["behind the log's end", hashes(0, 4)],
    ["wider than the log has it", hashes(0, 3, 233)],
    ["above the log's tree", hashes(2, 0, 1)],
    ["of records behind its end", hashes(-1, 4)],
    ["of another height", { height: 4, level: 0, index: 0, width: 16 }],
    ["far away", hashes(0, 2 ** 44)],
  ])("%s is not_found", async (_, tile) => {
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log);
    expect((await failureOf(mirror.tile(tile, asker()))).code).toBe("not_found");
  });

  test("of a tree that is ahead of ours makes us follow, but rubbish does not make us ask all the time", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock });
    await mirror.latest(asker());
    log.growTo(2000);
    await clock.advance(2000);
    const tile = hashes(0, 7, 200);
    expect(bytesOf(await mirror.tile(tile, asker())).equals(log.tileBytes(tile))).toBe(true);
    log.requests.length = 0;
    for (let index = 100; index < 200; index++) await failureOf(mirror.tile(hashes(0, index), asker()));
    expect(pathsOf(log)).toEqual([]);
    await clock.advance(2000);
    for (let index = 100; index < 200; index++) await failureOf(mirror.tile(hashes(0, index), asker()));
    expect(pathsOf(log)).toEqual(["latest"]);
  });

  test("beyond our tree, while the log cannot be asked, is no not_found", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const { mirror } = await followLog(log, { clock, retry: { attempts: 1 } });
    await mirror.latest(asker());
    await clock.advance(2000);
    log.setFault("latest", { kind: "status", status: 500 });
    expect((await failureOf(mirror.tile(hashes(0, 7), asker()))).code).toBe("upstream_failed");
  });
});

describe.skipIf(lacksOracles())("the client of golang.org/x/mod", () => {
  function startClient(): GoSumClient {
    const client = startGoSumClient();
    onTestFinished(() => client.close());
    return client;
  }

  const versionOf = (id: number): string => `example.com/filler/m${id} v1.0.0`;
  const linesOf = (id: number): { lines: string[] } => ({ lines: [fillerRecord(id).split("\n")[0] ?? ""] });

  test("accepts a relayed log while it grows, and all it has looked up from a new client when the log is gone", async () => {
    const log = await testLog({ size: 100 });
    const first = await followLog(log);
    const [early, client] = [startClient(), startClient()];
    const before = await serveLog(first.mirror);
    await early.lookUp({ url: before.url, verifierKey: log.verifierKey, versions: [versionOf(99)] });
    const ids: number[] = [];
    for (const size of [100, 256, 257, 900, 66_000]) {
      log.growTo(size);
      const some = [0, 1, size - 1, Math.floor(size / 2), Math.floor(size / 3)];
      ids.push(...some);
      const { verifierKey } = log;
      const { found, security } = await client.lookUp({ url: before.url, verifierKey, versions: some.map(versionOf) });
      expect([found, security]).toEqual([some.map(linesOf), undefined]);
    }
    await first.close();
    await log.close();
    const second = await followLog(log, { folder: first.folder });
    const { url } = await serveLog(second.mirror);
    const { verifierKey } = log;
    const versions = ids.map(versionOf);
    // They have seen the last tree, the first one, and none.
    for (const offline of [client, early, startClient()]) {
      const answer = await offline.lookUp({ url, verifierKey, versions, restart: true, forget: true });
      expect([answer.found, answer.security]).toEqual([ids.map(linesOf), undefined]);
    }
  }, 120_000);

  test("that is ahead of us, as it has asked the log itself, finds what it needs", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(3);
    log.growTo(5000);
    const client = startClient();
    const { verifierKey } = log;
    await client.lookUp({ url: log.url, verifierKey, versions: [versionOf(4999)] });
    const { url } = await serveLog(followed.mirror);
    const versions = [versionOf(3), versionOf(2000)];
    const { found, security } = await client.lookUp({ url, verifierKey, versions, restart: true, forget: true });
    expect([found, security]).toEqual([[linesOf(3), linesOf(2000)], undefined]);
  });
});
