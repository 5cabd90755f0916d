import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const modules = new Map(fixtureFiles());
let upstream: FixtureUpstream;
let sluice: RunningSluice;
let token: string;

beforeAll(async () => {
  upstream = await startFixtureUpstream({ modules });
  sluice = await startSluiceProcess({ upstream: upstream.url });
  token = (await readFile(join(sluice.dataDir, "admin.token"), "utf8")).trim();
});
afterAll(async () => {
  await sluice.stop();
  await upstream.close();
});
beforeEach(() => {
  upstream.requests.length = 0;
});
afterEach(() => upstream.clearFaults());

async function post(path: string, body: unknown, bearer = token): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`${sluice.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${bearer}` },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, answer: await response.json() };
}

async function cacheOf(path: string): Promise<unknown> {
  return (await ask(sluice.url, path)).headers["x-sluice-cache"];
}

describe("a purge", () => {
  test("of a module has its list, latest and queries asked for anew, and its files not", async () => {
    const changing = ["/example.com/pseudo/@v/list", "/example.com/pseudo/@latest", "/example.com/pseudo/@v/main.info"];
    const file = "/example.com/leaf/@v/v1.0.0.zip";
    const other = "/example.com/leaf/@v/list";
    for (const path of [...changing, file, other]) await ask(sluice.url, path);
    for (const path of [...changing, file, other]) expect(await cacheOf(path)).toBe("hit");
    // They come behind the zip of their version.
    for (const kind of ["mod", "info"]) await upstream.arrived(file.slice(1).replace(/zip$/, kind));
    upstream.requests.length = 0;

    expect(await post("/-/purge", { module: "example.com/pseudo" })).toStrictEqual({
      status: 200,
      answer: { what: "example.com/pseudo", missing: 0, ready: 3, records: 3 },
    });
    for (const path of changing) expect(await cacheOf(path)).toBe("revalidated");
    for (const path of [...changing, file, other]) expect(await cacheOf(path)).toBe("hit");
    expect(upstream.requests.map(({ path }) => `/${path}`)).toStrictEqual(changing);
    await post("/-/purge", { module: "example.com/leaf" });
    expect(await cacheOf(file)).toBe("hit");
  });

  test("keeps the old answer for as long as the upstream fails", async () => {
    const path = "/example.com/versioned/@v/list";
    const { body } = await ask(sluice.url, path);
    upstream.setFault(/.*/, { kind: "status", status: 403 });
    await post("/-/purge", { pattern: "example.com/*" });
    const answer = await ask(sluice.url, path);
    expect(answer.headers["x-sluice-cache"]).toBe("stale");
    expect(answer.body.equals(body)).toBe(true);
    upstream.clearFaults();
    // Whoever failed just now rests, unless an operator says that it is there again.
    expect(await cacheOf(path)).toBe("stale");
    await post("/-/purge", { module: "example.com/versioned" });
    expect(await cacheOf(path)).toBe("revalidated");
  });

  test("forgets what is remembered as missing, and nothing else if so wanted", async () => {
    const missing = "/example.com/leaf/@v/v1.99.0.info";
    const list = "/example.com/leaf/@v/list";
    await ask(sluice.url, list);
    expect((await ask(sluice.url, missing)).status).toBe(404);
    expect(await cacheOf(missing)).toBe("negative");
    modules.set(missing.slice(1), Buffer.from('{"Version":"v1.99.0","Time":"2026-01-02T03:04:05Z"}'));
    onTestFinished(() => void modules.delete(missing.slice(1)));
    upstream.requests.length = 0;
    expect(await post("/-/purge", { module: "example.com/leaf", negatives: true })).toMatchObject({
      answer: { missing: 1, ready: 0 },
    });
    expect((await ask(sluice.url, missing)).status).toBe(200);
    expect(await cacheOf(list)).toBe("hit");
    expect([missing, list].map((path) => upstream.requestsFor(path).length)).toEqual([1, 0]);
  });

  test("counts for what was on its way already: that is not what the next one gets", async () => {
    const path = "/example.com/sub/mod/@v/list";
    modules.set(path.slice(1), Buffer.from("v1.0.0\n"));
    const gate = Promise.withResolvers<void>();
    upstream.setFault(path.slice(1), {
      kind: "handler",
      handle: (_request, response) => void gate.promise.then(() => response.end("v0.9.0\n")),
      times: 1,
    });
    const early = ask(sluice.url, path);
    await upstream.arrived(path.slice(1));
    await post("/-/purge", { module: "example.com/sub/mod" });
    expect((await ask(sluice.url, path)).body.toString()).toBe("v1.0.0\n");
    gate.resolve();
    expect((await early).body.toString()).toBe("v0.9.0\n");
    expect((await ask(sluice.url, path)).body.toString()).toBe("v1.0.0\n");
    modules.delete(path.slice(1));
  });

  test("is still known after a restart", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-purge-"));
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
    const first = await startSluiceProcess({ upstream: upstream.url, dataDir });
    const path = "/example.com/leaf/@v/list";
    const { body } = await ask(first.url, path);
    const bearer = (await readFile(join(dataDir, "admin.token"), "utf8")).trim();
    await fetch(`${first.url}/-/purge`, {
      method: "POST",
      headers: { authorization: `Bearer ${bearer}` },
      body: JSON.stringify({ pattern: "example.com/l*" }),
    });
    await first.stop();
    const second = await startSluiceProcess({ upstream: upstream.url, dataDir });
    onTestFinished(async () => void (await second.stop()));
    upstream.requests.length = 0;
    const again = await ask(second.url, path);
    expect(again.headers["x-sluice-cache"]).toBe("revalidated");
    expect(again.body.equals(body)).toBe(true);
    expect(upstream.requests).toHaveLength(1);
  });

  test("of nonsense is refused in words", async () => {
    expect(await post("/-/purge", { modul: "x" })).toStrictEqual({
      status: 400,
      answer: {
        error: {
          code: "bad_request",
          message: 'there is no field "modul"; the fields are module, version, kind, negatives, pattern',
        },
      },
    });
    expect(await post("/-/purge", "{")).toMatchObject({ status: 400, answer: { error: { code: "bad_request" } } });
    expect(await post("/-/purge", `"${"x".repeat(65 * 1024)}"`)).toMatchObject({
      status: 413,
      answer: { error: { code: "request_too_large" } },
    });
    expect(await post("/-/purg", {})).toMatchObject({ status: 404 });
  });
});

describe("the offline switch", () => {
  test("has nobody asked until it is turned back", async () => {
    const [stored, other] = ["/example.com/leaf/@v/v1.1.0.mod", "/example.com/leaf/@v/v1.1.0.info"];
    await ask(sluice.url, stored);
    upstream.requests.length = 0;
    const offline = { isOffline: true, hasChanged: true, others: "none" };
    expect(await post("/-/offline", { offline: true })).toStrictEqual({ status: 200, answer: offline });
    expect(await post("/-/offline", { offline: true })).toMatchObject({ answer: { hasChanged: false } });
    expect((await ask(sluice.url, stored)).status).toBe(200);
    expect((await ask(sluice.url, other)).status).toBe(503);
    expect(upstream.requests).toHaveLength(0);
    expect(await post("/-/offline", { offline: false })).toMatchObject({ answer: { isOffline: false } });
    expect((await ask(sluice.url, other)).status).toBe(200);
    expect(await post("/-/offline", {})).toMatchObject({
      status: 400,
      answer: { error: { message: 'offline is missing; write {"offline": true}' } },
    });
    expect(sluice.output()).toContain("offline: nobody is asked any more");
  });
});

test("a reload has no fields", async () => {
  expect(await post("/-/reload", {})).toStrictEqual({ status: 200, answer: { outcome: "applied", needRestart: [] } });
  expect(await post("/-/reload", { now: true })).toMatchObject({
    status: 400,
    answer: { error: { message: 'there is no field "now"; there are none' } },
  });
});

describe("whoever asks", () => {
  test.each([undefined, "", "Bearer", "Bearer wrong", "Basic eDp5"])("with %j is nobody", async (authorization) => {
    for (const [method, path] of [
      ["POST", "/-/purge"],
      ["GET", "/-/status"],
      ["GET", "/-/anything"],
    ] as const) {
      const { status, headers, body } = await ask(sluice.url, path, {
        method,
        headers: authorization === undefined ? {} : { authorization },
      });
      expect(status).toBe(401);
      expect(headers["www-authenticate"]).toBe('Bearer realm="sluice"');
      expect(body.toString()).toContain("admin token");
    }
  });

  test("is missing or wrong: one line of the log says who asks so, and none what was shown", async () => {
    const other = await startSluiceProcess({
      upstream: upstream.url,
      env: { SLUICE_SERVER_TRUSTED_PROXIES: "127.0.0.1", SLUICE_LOG_FORMAT: "json" },
    });
    onTestFinished(() => other.stop().then(() => undefined));
    const headers = { authorization: "Bearer guessed-the-wrong-one", "x-forwarded-for": "10.20.30.40" };
    for (let guess = 0; guess < 5; guess += 1) {
      expect((await ask(other.url, "/-/status?token=in-the-query", { headers })).status).toBe(401);
    }
    await other.saw(/"level":40,[^\n]*"event":"operator_refused","client":"10\.20\.30\.40","shown":"a wrong token"/);
    expect(other.output().match(/"operator_refused"/g)).toHaveLength(1);
    expect(other.output()).not.toMatch(/guessed-the-wrong-one|in-the-query/);
    const metrics = (await ask(other.url, "/metrics")).body.toString();
    expect(metrics).toContain('sluice_operator_refusals_total{shown="a wrong token"} 5\n');
  });

  test("is not told of in the log by the token", () => {
    expect(sluice.output()).not.toContain(token);
  });

  test("shows the token of the configuration where that has one", async () => {
    const own = "correct-horse-battery";
    const configured = await startSluiceProcess({ upstream: upstream.url, env: { SLUICE_ADMIN_TOKEN: own } });
    onTestFinished(async () => void (await configured.stop()));
    const asked = await ask(configured.url, "/-/status", { headers: { authorization: `Bearer ${own}` } });
    expect(asked.status).toBe(200);
    await expect(readFile(join(configured.dataDir, "admin.token"))).rejects.toThrow("ENOENT");
    expect(configured.output()).not.toContain(own);
  });
});

describe("the status", () => {
  test("says what a node is and does", async () => {
    const { body } = await ask(sluice.url, "/-/status", { headers: { authorization: `Bearer ${token}` } });
    expect(JSON.parse(body.toString())).toMatchObject({
      url: sluice.url,
      chain: upstream.url,
      isDraining: false,
      fetching: 0,
      parts: expect.arrayContaining([
        expect.objectContaining({ part: `store ${sluice.dataDir}`, state: "ok", isNeeded: true }),
      ]),
    });
  });

  test("of parts is there for load balancers and metrics, too", async () => {
    const lines = (await ask(sluice.url, "/readyz?verbose")).body.toString().split("\n");
    expect(lines[0]).toBe(`[ok] store ${sluice.dataDir}: can be read and written`);
    expect(lines.slice(-2)).toStrictEqual(["ready", ""]);
    const json = await ask(sluice.url, "/readyz?verbose", { headers: { accept: "application/json" } });
    expect(JSON.parse(json.body.toString())).toMatchObject({
      isReady: true,
      parts: expect.arrayContaining([expect.objectContaining({ state: "ok" })]),
    });
    expect((await ask(sluice.url, "/readyz")).body.toString()).toBe("ready\n");
    const metrics = (await ask(sluice.url, "/metrics")).body.toString();
    expect(metrics).toContain(`sluice_part_state{part="store ${sluice.dataDir}"} 1`);
    expect(metrics).toMatch(/sluice_purges_total\{by="operator"\} \d/);
  });
});
