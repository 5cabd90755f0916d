import { describe, expect, test } from "vitest";
import { followLog, pathsOf, testLog } from "../support/followed-log.ts";
import { failureOf, testClient } from "../support/http-client.ts";
import { closedPort } from "../support/loopback.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { Secret } from "../../src/core/secret.ts";
import type { SumLog } from "../support/sum-log.ts";

const supported = "sumdb/sum.example.com/supported";
const oneAttempt = { attempts: 1 };

/** The chain `words`, such as `a|b,direct`, of logs that answer as proxies. */
function chainOf(words: string, proxies: Readonly<Record<string, SumLog>>) {
  const http = testClient();
  const entries = [...words.matchAll(/([a-z]+)([,|]?)/g)].map(([, name = "", separator]) => ({ name, separator }));
  return {
    proxies: entries.flatMap(({ name, separator }) => {
      const proxy = proxies[name];
      if (proxy === undefined) return [];
      return [{ name, url: new URL(proxy.url), http, fallBackOnError: separator === "|" }];
    }),
    endsDirect: entries.at(-1)?.name === "direct",
    retry: oneAttempt,
  };
}

describe("a proxy is asked whether it speaks for the database, and", () => {
  test("where it does, all is asked there and nowhere else", async () => {
    const [proxy, database] = [await testLog({ size: 1000 }), await testLog({ size: 1000 })];
    const followed = await followLog(database, chainOf("a", { a: proxy }));
    await followed.filler(1);
    await followed.filler(999);
    expect(pathsOf(proxy).filter((path) => path === supported)).toHaveLength(1);
    expect(pathsOf(proxy).every((path) => path.startsWith("sumdb/sum.example.com/"))).toBe(true);
    expect(pathsOf(database)).toEqual([]);
    proxy.setFault(/lookup/, { kind: "status", status: 500 });
    expect((await failureOf(followed.filler(2))).code).toBe("upstream_failed");
    expect(pathsOf(database)).toEqual([]);
  });

  // As in go's initBase: what the second proxy or the database is asked depends on the answer and on what stands behind the first.
  const ways = [
    ["a,b", 200, "a"],
    ["a,b", 404, "b"],
    ["a,b", 410, "b"],
    ["a,b", 500, "fails"],
    ["a,b", 403, "fails"],
    ["a|b", 200, "a"],
    ["a|b", 404, "b"],
    ["a|b", 410, "b"],
    ["a|b", 500, "b"],
    ["a|b", 403, "b"],
    ["a", 404, "database"],
    ["a", 500, "fails"],
    ["a|", 500, "fails"],
    ["a,direct", 404, "database"],
    ["a,direct", 500, "fails"],
    ["a|direct", 500, "database"],
    ["a|off", 500, "fails"],
    ["a,off", 404, "database"],
    ["direct", 200, "database"],
    ["off", 200, "database"],
  ] as const;

  test.each(ways)("in the chain %s, where a answers %i: %s", async (words, status, way) => {
    const [a, b, database] = [await testLog({ size: 10 }), await testLog({ size: 10 }), await testLog({ size: 10 })];
    if (status !== 200) a.setFault(supported, { kind: "status", status });
    const followed = await followLog(database, chainOf(words, { a, b }));
    const outcome = await followed.filler(1).then(
      () => "found",
      () => "fails",
    );
    const asked = Object.entries({ a, b, database }).filter(([, log]) =>
      pathsOf(log).some((path) => /lookup/.test(path)),
    );
    expect(asked.map(([name]) => name)).toEqual(way === "fails" ? [] : [way]);
    expect(outcome).toBe(way === "fails" ? "fails" : "found");
  });

  test("one that cannot be reached is a failure, which is found out anew the next time", async () => {
    const database = await testLog({ size: 10 });
    const port = await closedPort();
    const proxies = [
      { name: "gone", url: new URL(`http://127.0.0.1:${port}`), http: testClient(), fallBackOnError: false },
    ];
    const followed = await followLog(database, { proxies, endsDirect: true, retry: oneAttempt });
    expect((await failureOf(followed.filler(1))).code).toBe("upstream_failed");
    const proxy = await testLog({ size: 10, port });
    expect((await followed.filler(1)).id).toBe(1);
    expect(pathsOf(proxy)).toContain(supported);
  });

  test("its answer is believed for a while, and on when it cannot be confirmed", async () => {
    const clock = createManualClock();
    const [proxy, database] = [await testLog({ size: 1000 }), await testLog({ size: 1000 })];
    const followed = await followLog(database, {
      ...chainOf("a", { a: proxy }),
      clock,
      routeTtlMs: 60_000,
    });
    await followed.filler(1);
    await clock.advance(59_000);
    await followed.filler(2);
    expect(proxy.requestsFor(supported)).toHaveLength(1);
    await clock.advance(2000);
    proxy.setFault(supported, { kind: "status", status: 500 });
    await followed.filler(3);
    expect(proxy.requestsFor(supported)).toHaveLength(2);
    await clock.advance(61_000);
    proxy.setFault(supported, { kind: "status", status: 404 });
    await followed.filler(4);
    expect(pathsOf(database)).toContain("lookup/example.com/filler/m4@v1.0.0");
  });

  test("it gets the credentials of its entry, and the database does not", async () => {
    const [proxy, database] = [await testLog({ size: 10 }), await testLog({ size: 10 })];
    const credentials = new Secret({ username: "me", password: "secret" });
    const chain = chainOf("a", { a: proxy });
    const proxies = chain.proxies.map((entry) => ({ ...entry, credentials }));
    proxy.setFault(supported, { kind: "status", status: 404 });
    const followed = await followLog(database, { ...chain, proxies });
    await followed.filler(1);
    const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    expect(proxy.requests.map(({ headers }) => headers.authorization)).toEqual([basic]);
    expect(database.requests.map(({ headers }) => headers.authorization)).not.toContain(basic);
  });
});

test("an address in GOSUMDB is asked past all proxies", async () => {
  const [proxy, database] = [await testLog({ size: 10 }), await testLog({ size: 10 })];
  const followed = await followLog(database, { ...chainOf("a", { a: proxy }), url: database.url });
  await followed.filler(1);
  expect(pathsOf(proxy)).toEqual([]);
});

test("every request is told as an event", async () => {
  const log = await testLog({ size: 10 });
  const followed = await followLog(log);
  await followed.filler(1);
  const requests = followed.events.of("sum_request");
  expect(requests.map(({ kind }) => kind).sort()).toEqual(["latest", "lookup", "tile"]);
  const told = { database: "sum.example.com", via: log.url, outcome: "ok" };
  expect(requests).toMatchObject([told, told, told]);
});

describe("a database that cannot be reached", () => {
  test("is not asked for every module: it rests after some failures, and is tried again after a while", async () => {
    const clock = createManualClock();
    const database = await testLog({ size: 100 });
    await database.close();
    const followed = await followLog(database, { clock, retry: oneAttempt });
    for (let id = 0; id < 20; id++) expect((await failureOf(followed.filler(id))).code).toBe("upstream_failed");
    const asked = followed.events.of("sum_request").length;
    expect(asked).toBeLessThan(10);
    const resting = await failureOf(followed.filler(20));
    expect(resting.message).toContain("not asked again for some seconds");
    expect(resting.retryAfterSeconds).toBeGreaterThan(0);
    const back = await testLog({ size: 100, port: database.port });
    await clock.advance(20_000);
    expect((await followed.filler(20)).id).toBe(20);
    expect(back.requests.length).toBeGreaterThan(0);
  });

  test("is there for all who ask at once when it is back, and not only for the one who finds out", async () => {
    const clock = createManualClock();
    const database = await testLog({ size: 100 });
    await database.close();
    const followed = await followLog(database, { clock, retry: oneAttempt });
    for (let id = 0; id < 5; id++) await failureOf(followed.filler(id));
    const back = await testLog({ size: 100, port: database.port });
    const gate = Promise.withResolvers<void>();
    back.setFault(/lookup/, { kind: "delay", until: gate.promise, times: 1 });
    await clock.advance(1001);
    const answers = Promise.all(Array.from({ length: 20 }, (_, id) => followed.filler(id)));
    await back.arrived(/lookup/);
    gate.resolve();
    expect((await answers).map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, id) => id));
  });

  test("rests on when it is still gone, and one of many finds out", async () => {
    const clock = createManualClock();
    const database = await testLog({ size: 100 });
    await database.close();
    const followed = await followLog(database, { clock, retry: oneAttempt });
    for (let id = 0; id < 5; id++) await failureOf(followed.filler(id));
    await clock.advance(20_000);
    const before = followed.events.of("sum_request").length;
    await Promise.all(Array.from({ length: 50 }, (_, id) => failureOf(followed.filler(id))));
    expect(followed.events.of("sum_request").length - before).toBeLessThanOrEqual(2);
  });

  test("does not rest because of answers that are no good", async () => {
    const database = await testLog({ size: 100 });
    const followed = await followLog(database, { retry: oneAttempt });
    database.setFault(/lookup/, { kind: "status", status: 500 });
    for (let id = 0; id < 20; id++) await failureOf(followed.filler(id));
    database.clearFaults();
    expect((await followed.filler(20)).id).toBe(20);
  });
});
