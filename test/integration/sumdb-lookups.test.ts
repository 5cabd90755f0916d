import { describe, expect, test } from "vitest";
import { asker, followLog, moduleVersion, pathsOf, testLog } from "../support/followed-log.ts";
import { failureOf } from "../support/http-client.ts";
import { fillerRecord } from "../support/sum-log.ts";

test("a lookup answers the record and its number", async () => {
  const followed = await followLog(await testLog({ size: 1000 }));
  expect(await followed.filler(700)).toEqual({ id: 700, text: fillerRecord(700), isStored: false });
  expect(await followed.filler(700)).toEqual({ id: 700, text: fillerRecord(700), isStored: true });
});

test.each([1, 2, 255, 256, 257, 512, 65_536, 65_537])(
  "in a log of %i records, all can be proven, the first and the last one too",
  async (size) => {
    const followed = await followLog(await testLog({ size }));
    for (const id of [0, size - 1, Math.floor(size / 2)]) {
      expect((await followed.filler(id)).text).toBe(fillerRecord(id));
    }
  },
);

describe("the log is asked", () => {
  test("for all tiles of the first lookup at the same time", async () => {
    const log = await testLog({ size: 70_000 });
    const followed = await followLog(log);
    const gate = Promise.withResolvers<void>();
    log.setFault(/^tile\//, { kind: "delay", until: gate.promise });
    const lookup = followed.filler(300);
    await log.arrived(/^tile\//, 5);
    gate.resolve();
    await lookup;
    expect(pathsOf(log).sort()).toEqual([
      "latest",
      "lookup/example.com/filler/m300@v1.0.0",
      "tile/8/0/001",
      "tile/8/0/273.p/112",
      "tile/8/1/000",
      "tile/8/1/001.p/17",
      "tile/8/2/000.p/1",
    ]);
  });

  test("for a lookup and the latest tree at the same time when no tree is known", async () => {
    const log = await testLog({ size: 10 });
    const followed = await followLog(log);
    const gate = Promise.withResolvers<void>();
    log.setFault(/^(lookup|latest)/, { kind: "delay", until: gate.promise });
    const lookup = followed.filler(3);
    await log.arrived(/^(lookup|latest)/, 2);
    gate.resolve();
    expect((await lookup).id).toBe(3);
  });

  test("for tiles of all levels at the same time later on, and for each once", async () => {
    const log = await testLog({ size: 140_000 });
    const followed = await followLog(log);
    await followed.filler(139_999);
    log.requests.length = 0;
    const gate = Promise.withResolvers<void>();
    log.setFault(/^tile\//, { kind: "delay", until: gate.promise });
    const lookup = followed.filler(70_000);
    await log.arrived(/^tile\//, 2);
    gate.resolve();
    await lookup;
    expect(pathsOf(log).sort()).toEqual(["lookup/example.com/filler/m70000@v1.0.0", "tile/8/0/273", "tile/8/1/001"]);
    log.requests.length = 0;
    await followed.filler(70_001);
    expect(pathsOf(log)).toEqual(["lookup/example.com/filler/m70001@v1.0.0"]);
  });

  test("for all tiles at the same time that a new tree and a record in it need", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    await followed.filler(3);
    log.growTo(70_000);
    log.requests.length = 0;
    const gate = Promise.withResolvers<void>();
    log.setFault(/^tile\//, { kind: "delay", until: gate.promise });
    const lookup = followed.filler(50_000);
    await log.arrived(/^tile\//, 6);
    gate.resolve();
    await lookup;
    expect(pathsOf(log).sort()).toEqual([
      "lookup/example.com/filler/m50000@v1.0.0",
      "tile/8/0/003",
      "tile/8/0/195",
      "tile/8/0/273.p/112",
      "tile/8/1/000",
      "tile/8/1/001.p/17",
      "tile/8/2/000.p/1",
    ]);
  });

  test("once for everything, when a thousand versions are looked up at once by ten askers each", async () => {
    const log = await testLog({ size: 70_000 });
    const followed = await followLog(log);
    const ids = Array.from({ length: 1000 }, (_, index) => index * 69);
    const records = await Promise.all(ids.flatMap((id) => Array.from({ length: 10 }, () => followed.filler(id))));
    expect(records.filter(({ id, text }) => text === fillerRecord(id))).toHaveLength(10_000);
    const paths = pathsOf(log);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths.filter((asked) => asked.startsWith("lookup/"))).toHaveLength(1000);
    // 69 records apart: all of level 0 up to the last one, and the partial one at its end.
    expect(paths.filter((asked) => asked.startsWith("tile/8/0/"))).toHaveLength(271);
    expect(paths.filter((asked) => /^tile\/8\/[12]\//.test(asked))).toHaveLength(3);
    expect(paths).toHaveLength(1000 + 274 + 1);
    log.requests.length = 0;
    await Promise.all(ids.map((id) => followed.filler(id)));
    expect(pathsOf(log)).toEqual([]);
  }, 60_000);

  test("again for what it did not have", async () => {
    const log = await testLog({ size: 10 });
    const followed = await followLog(log);
    expect((await failureOf(followed.lookup("example.com/absent"))).code).toBe("not_found");
    log.add("example.com/absent", "v1.0.0");
    expect((await followed.lookup("example.com/absent")).id).toBe(10);
  });

  test("for a full tile where the partial one is gone", async () => {
    const log = await testLog({ size: 300 });
    const followed = await followLog(log);
    log.showTree(200);
    log.setFault(/\.p\/200$/, { kind: "status", status: 404 });
    expect((await followed.filler(150)).id).toBe(150);
    expect(pathsOf(log)).toContain("tile/8/0/000");
  });
});

describe("a failure of the log", () => {
  test.each([404, 410])("%i for a lookup is not_found", async (status) => {
    const log = await testLog({ size: 10 });
    const followed = await followLog(log);
    log.setFault(/^lookup\//, { kind: "status", status });
    const { code, message } = await failureOf(followed.filler(1));
    expect(code).toBe("not_found");
    expect(message).toBe(`not found: example.com/filler/m1@v1.0.0: ${log.name} does not have it`);
  });

  test("404 for a tile does not say that the version does not exist", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.setFault(/^tile\/8\/0\//, { kind: "status", status: 404 });
    expect(await failureOf(followed.filler(1))).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("does not have tile/8/0/"),
    });
  });

  test.each([
    ["500", { kind: "status", status: 500 }, "upstream_failed"],
    ["403", { kind: "status", status: 403 }, "upstream_refused"],
    ["a login page", { kind: "html" }, "upstream_invalid"],
    ["a cut", { kind: "cut", afterBytes: 20 }, "upstream_invalid"],
    ["no answer", { kind: "hang" }, "upstream_timeout"],
    ["a body that stops", { kind: "stall", afterBytes: 20 }, "upstream_timeout"],
    ["a closed connection", { kind: "close" }, "upstream_failed"],
  ] as const)("%s for a lookup or a tile is told as what it is, and gone when it is over", async (_, fault, code) => {
    const log = await testLog({ size: 1000 });
    const isWaiting = code === "upstream_timeout";
    const client = isWaiting ? { timeouts: { firstByteMs: 100, idleBodyMs: 100 } } : {};
    const followed = await followLog(log, { client, retry: { attempts: 1 } });
    for (const path of [/^lookup\//, /^tile\/8\/0\//, /^tile\/8\/1\//]) {
      log.setFault(path, fault);
      expect((await failureOf(followed.filler(300))).code).toBe(code);
      log.clearFaults();
    }
    // On a busy machine a good answer may take longer than those timeouts.
    const patient = isWaiting ? await followLog(log) : followed;
    expect((await patient.filler(300)).id).toBe(300);
  });

  test("once is repaired by another attempt", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    for (const path of [/^lookup\//, /^tile\/8\/0\//, /^tile\/8\/1\//, /^latest/]) {
      log.setFault(path, { kind: "status", status: 503, times: 1 });
    }
    expect((await followed.filler(300)).id).toBe(300);
  });

  test("for the latest tree does not keep a first lookup from its record", async () => {
    const log = await testLog({ size: 1000 });
    const followed = await followLog(log);
    log.setFault("latest", { kind: "status", status: 404 });
    expect((await followed.filler(300)).id).toBe(300);
  });
});

test("an asker that goes away leaves the lookup to the others", async () => {
  const log = await testLog({ size: 1000 });
  const followed = await followLog(log);
  const gate = Promise.withResolvers<void>();
  log.setFault(/^lookup\//, { kind: "delay", until: gate.promise });
  const abort = new AbortController();
  const version = moduleVersion("example.com/filler/m5", "v1.0.0");
  const first = failureOf(followed.log.lookup(...version, asker(abort.signal)));
  const second = followed.filler(5);
  await log.arrived(/^lookup\//);
  abort.abort();
  expect((await first).code).toBe("cancelled");
  gate.resolve();
  expect((await second).id).toBe(5);
  expect(log.requestsFor(/^lookup\//)).toHaveLength(1);
});

test("closing ends what is under way", async () => {
  const log = await testLog({ size: 1000 });
  const followed = await followLog(log);
  log.setFault(/^lookup\//, { kind: "hang" });
  const lookup = failureOf(followed.filler(5));
  await log.arrived(/^lookup\//);
  await followed.close();
  expect((await lookup).code).toBe("cancelled");
});
