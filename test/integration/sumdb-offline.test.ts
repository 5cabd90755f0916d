import { appendFile, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parseTree } from "../../src/protocol/sumdb/index.ts";
import { asker, followLog, testLog } from "../support/followed-log.ts";
import type { FollowedLog } from "../support/open-log.ts";
import { failureOf } from "../support/http-client.ts";
import { createRandom } from "../support/random.ts";
import { fillerRecord, type SumLog } from "../support/sum-log.ts";

const now = { maxAgeMs: -1 };

/** The same folder, after a restart with the log gone. */
async function offline(log: SumLog, followed: FollowedLog): Promise<FollowedLog> {
  await followed.close();
  await log.close();
  return followLog(log, { folder: followed.folder, retry: { attempts: 1 } });
}

describe("with the log gone, after a restart", () => {
  test("everything that was looked up is answered, in a tree that has it", async () => {
    const log = await testLog({ size: 70_000 });
    const first = await followLog(log);
    const ids = [0, 1, 255, 256, 65_535, 65_536, 69_999];
    for (const id of ids) await first.filler(id);
    const second = await offline(log, first);
    for (const id of ids) expect(await second.filler(id)).toEqual({ id, text: fillerRecord(id), isStored: true });
    expect(second.events.of("sum_request")).toEqual([]);
  });

  test("what was never looked up fails as unreachable, not as not found", async () => {
    const log = await testLog({ size: 1000 });
    const first = await followLog(log);
    await first.filler(1);
    const second = await offline(log, first);
    expect((await failureOf(second.filler(2))).code).toBe("upstream_failed");
  });

  test("the last tree is answered as stale", async () => {
    const log = await testLog({ size: 1000 });
    const first = await followLog(log);
    await first.log.tree(asker(), now);
    const second = await offline(log, first);
    const answer = await second.mirror.latest(asker());
    expect([answer.cache, answer.freshForMs]).toEqual(["stale", 0]);
    expect(parseTree(Buffer.from(answer.bytes ?? []).toString()).size).toBe(1000);
  });

  test("without any tree there is nothing to answer", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await offline(log, await followLog(log));
    expect((await failureOf(followed.mirror.latest(asker()))).code).toBe("upstream_failed");
    expect((await failureOf(followed.filler(0))).code).toBe("upstream_failed");
  });

  // Sizes at which tiles become full, or levels come to be, are the ones to get wrong.
  test.each([1, 2, 3, 4, 5, 6])(
    "what was seen while the log grew stays provable (seed %i)",
    async (seed) => {
      const random = createRandom(seed);
      const log = await testLog({ size: 1 });
      let followed = await followLog(log);
      const seen = new Set<number>();
      const edges = [1, 2, 255, 256, 257, 511, 512, 513, 1024, 65_535, 65_536, 65_537, 65_792, 66_048];
      for (const edge of edges.filter(() => random.chance(70))) {
        log.growTo(Math.max(log.records.length, edge + (random.chance(50) ? 0 : random.int(40))));
        for (let lookups = 0; lookups < 3; lookups++) {
          const last = log.records.length - 1;
          const id = random.pick([last, last, 0, random.int(last + 1)]);
          await followed.filler(id);
          seen.add(id);
        }
        if (random.chance(30)) {
          await followed.close();
          followed = await followLog(log, { folder: followed.folder });
        }
      }
      if (random.chance(50)) {
        log.growTo(log.records.length + 1 + random.int(300));
        await followed.log.tree(asker(), now);
      }
      followed = await offline(log, followed);
      for (const id of seen) expect((await followed.filler(id)).text).toBe(fillerRecord(id));
    },
    60_000,
  );
});

describe("a cache that is damaged", () => {
  test.each([
    ["with other bits", (file: string) => flipFile(file)],
    ["cut short", (file: string) => truncate(file, 100)],
    ["emptied", (file: string) => truncate(file, 0)],
    ["grown", (file: string) => appendFile(file, "x")],
    ["gone", (file: string) => rm(file)],
  ])("every file of it %s: all is fetched again, and set aside what was there", async (_, damage) => {
    const log = await testLog({ size: 70_000 });
    const first = await followLog(log);
    const ids = [0, 300, 66_000, 69_999];
    for (const id of ids) await first.filler(id);
    await first.close();
    const files = await filesIn(path.join(first.folder, "cache"));
    expect(files.length).toBeGreaterThanOrEqual(4 + 6);
    for (const file of files) await damage(file);

    const second = await followLog(log, { folder: first.folder });
    for (const id of ids) expect((await second.filler(id)).text).toBe(fillerRecord(id));
    expect(second.events.of("sum_invalid")).toEqual([]);
    const third = await offline(log, second);
    for (const id of ids) expect((await third.filler(id)).text).toBe(fillerRecord(id));
  });

  test("says which file, and keeps it for whoever wants to look", async () => {
    const log = await testLog({ size: 1000 });
    const first = await followLog(log);
    await first.filler(300);
    await first.close();
    await flipFile(path.join(first.folder, "cache/sum.example.com/tile/8/0/001"));
    const second = await followLog(log, { folder: first.folder });
    await second.filler(300);
    expect(second.events.of("file_corrupt").map(({ key }) => key)).toEqual(["sum.example.com/tile/8/0/001"]);
    expect(await filesIn(path.join(second.folder, "quarantine"))).toHaveLength(1);
  });

  test("by files of others is refused as long as the log does not say them", async () => {
    const log = await testLog({ size: 1000 });
    const first = await followLog(log);
    await first.filler(300);
    await first.close();
    const lookup = path.join(first.folder, "cache/sum.example.com/lookup/example.com/filler/m300@v1.0.0");
    const text = await readFile(lookup, "utf8");
    await writeFile(lookup, text.replace(/h1:..../, "h1:AAAA"));
    const second = await offline(log, first);
    expect((await failureOf(second.filler(300))).code).toBe("upstream_failed");
  });
});

test("a folder that cannot be written costs nobody an answer", async () => {
  const log = await testLog({ size: 1000 });
  const followed = await followLog(log);
  await writeFile(path.join(followed.folder, "cache/sum.example.com"), "a file where a folder should be");
  expect((await followed.filler(300)).id).toBe(300);
  expect((await followed.filler(300)).isStored).toBe(true);
  await followed.close();
  expect(followed.events.of("store_failed").length).toBeGreaterThan(0);
});

test("partial tiles that a larger tree has made needless are removed", async () => {
  const log = await testLog({ size: 300 });
  const followed = await followLog(log);
  for (const size of [301, 302, 400, 600]) {
    log.growTo(size);
    await followed.log.tree(asker(), now);
    await followed.filler(size - 1);
  }
  await followed.close();
  const files = await filesIn(path.join(followed.folder, "cache/sum.example.com/tile"));
  expect(files.map((file) => path.relative(followed.folder, file)).sort()).toEqual([
    "cache/sum.example.com/tile/8/0/001",
    "cache/sum.example.com/tile/8/0/002.p/88",
    "cache/sum.example.com/tile/8/1/000.p/2",
  ]);
});

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

async function flipFile(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await writeFile(file, bytes);
}
