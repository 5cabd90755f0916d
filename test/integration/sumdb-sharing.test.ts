import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { asker, followLog, testLog } from "../support/followed-log.ts";
import { failureOf } from "../support/http-client.ts";
import type { ReadRecords } from "../support/log-reader.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fillerRecord, type SumLog } from "../support/sum-log.ts";

const now = { maxAgeMs: -1 };
const readerScript = path.join(import.meta.dirname, "../support/log-reader.ts");

describe("two that share a folder", () => {
  test("each goes on from where the other has come to", async () => {
    const log = await testLog({ size: 100 });
    const one = await followLog(log);
    const other = await followLog(log, { folder: one.folder });
    for (let size = 200; size <= 2000; size += 100) {
      log.growTo(size);
      const [first, second] = size % 200 === 0 ? [one, other] : [other, one];
      expect((await first.filler(size - 1)).id).toBe(size - 1);
      expect((await second.filler(size - 50)).id).toBe(size - 50);
      expect((await second.filler(size - 1)).id).toBe(size - 1);
    }
    expect((await one.store.tree("sum.example.com"))?.size).toBe(2000);
    expect([...one.events.of("sum_fork"), ...other.events.of("sum_fork")]).toEqual([]);
  });

  test("both find what is new, many records at once", async () => {
    const log = await testLog({ size: 100 });
    const one = await followLog(log);
    const other = await followLog(log, { folder: one.folder });
    for (let size = 300; size <= 1500; size += 200) {
      log.growTo(size);
      const ids = Array.from({ length: 40 }, (_, index) => size - 1 - index * 5);
      const found = await Promise.all([one, other].flatMap((followed) => ids.map((id) => followed.filler(id))));
      expect(found.map(({ id }) => id)).toEqual([...ids, ...ids]);
    }
    expect([...one.events.of("sum_fork"), ...other.events.of("sum_fork")]).toEqual([]);
  });

  test("what one has proven, the other has without the log", async () => {
    const log = await testLog({ size: 1000 });
    const one = await followLog(log);
    const other = await followLog(log, { folder: one.folder, retry: { attempts: 1 } });
    await other.filler(1);
    log.growTo(3000);
    await one.filler(2500);
    await one.close();
    await log.close();
    expect(await other.filler(2500)).toEqual({ id: 2500, text: fillerRecord(2500), isStored: true });
  });

  test("a fork that one has seen stops the other too", async () => {
    const clock = createManualClock();
    const log = await testLog({ size: 1000 });
    const one = await followLog(log, { clock });
    const other = await followLog(log, { clock, folder: one.folder });
    for (const followed of [one, other]) await followed.filler(999);
    log.fork(500);
    expect((await failureOf(one.log.tree(asker(), now))).code).toBe("integrity");
    await clock.advance(10_000);
    expect((await failureOf(other.filler(999))).code).toBe("integrity");
  });
});

test("two that share a folder, and are shown two histories, find out when one of them goes on", async () => {
  const [shown, other] = [await testLog({ size: 100 }), await testLog({ size: 100 })];
  const one = await followLog(shown);
  const two = await followLog(other, { folder: one.folder });
  for (const followed of [one, two]) await followed.filler(50);
  other.growTo(200);
  other.fork(100);
  shown.growTo(300);
  expect((await two.filler(150)).text).not.toBe(fillerRecord(150));
  expect((await failureOf(one.log.tree(asker(), now))).code).toBe("integrity");
  expect(one.events.of("sum_fork")).toMatchObject([{ ourSize: 200, theirSize: 300 }]);
});

describe("several processes that share a folder", () => {
  test("follow one log that grows, to its end, and what they kept is good without it", async () => {
    const log = await testLog({ size: 100 });
    const { folder } = await followLog(log);
    const readers = [1, 2, 3].map(() => startReader(log, folder));
    for (const size of [100, 255, 256, 257, 600, 1500, 1501, 4000]) {
      log.growTo(size);
      const numbers = [size - 1, size - 2, Math.floor(size / 2), 0];
      const answers = await Promise.all(readers.map((reader) => reader.ask(numbers)));
      for (const answer of answers) {
        expect(answer).toEqual({ texts: numbers.map(fillerRecord), size });
      }
    }
    await Promise.all(readers.map((reader) => reader.end()));
    await log.close();
    const offline = startReader(log, folder);
    expect(await offline.ask([3999, 1500, 256, 0])).toEqual({
      texts: [3999, 1500, 256, 0].map(fillerRecord),
      size: 4000,
    });
    await offline.end();
  }, 60_000);
});

interface Reader {
  ask(numbers: readonly number[]): Promise<ReadRecords>;
  end(): Promise<void>;
}

function startReader(log: SumLog, folder: string): Reader {
  const { name, verifierKey, url } = log;
  const child: ChildProcess = spawn(
    process.execPath,
    [readerScript, "--folder", folder, "--name", name, "--key", verifierKey, "--url", url],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the reader has no pipes");
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return {
    async ask(numbers) {
      stdin.write(`${numbers.join(" ")}\n`);
      const { value } = await lines.next();
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what our own process wrote
      return JSON.parse(String(value)) as ReadRecords;
    },
    async end() {
      stdin.end();
      if (child.exitCode === null) await once(child, "exit");
      expect(child.exitCode).toBe(0);
    },
  };
}
