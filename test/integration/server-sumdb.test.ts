import { createHash } from "node:crypto";
import { Agent } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import { answerBytes } from "../../src/core/answer.ts";
import { SluiceError } from "../../src/core/errors.ts";
import type { FetchContext } from "../../src/core/ports.ts";
import type { ServedLog } from "../../src/core/served-log.ts";
import type { RequestRecord } from "../../src/ops/request-recorder.ts";
import { createAccess } from "../../src/policy/access.ts";
import { tilePath } from "../../src/protocol/sumdb/index.ts";
import { HotAnswers } from "../../src/server/hot-answers.ts";
import { startHttpServer } from "../../src/server/http-server.ts";
import { createRequestIds } from "../../src/server/request-id.ts";
import { createSumdbHandler } from "../../src/server/sumdb-handler.ts";
import { createFakeClock, type FakeClock } from "../support/fake-clock.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";

const latestTtlMs = 30_000;
const everybody = { allowNetworks: [], denyNetworks: [], allowModules: "", contact: "" };

/** A database whose answers are what it was asked, and that remembers it. */
interface FakeLog extends ServedLog {
  readonly asked: string[];
}

function fakeLog(name: string, fail?: (context: FetchContext) => Promise<never>): FakeLog {
  const asked: string[] = [];
  const answer = async (what: string, freshForMs: number, context: FetchContext) => {
    asked.push(what);
    if (fail !== undefined) await fail(context);
    return answerBytes(Buffer.from(`${name}: ${what}\n`), { source: name, cache: "miss", freshForMs });
  };
  return {
    name,
    asked,
    latest: (context) => answer("latest", latestTtlMs, context),
    lookup: (modulePath, version, context) => answer(`${modulePath} ${version}`, latestTtlMs, context),
    tile: (tile, context) => answer(tilePath(tile), Number.POSITIVE_INFINITY, context),
  };
}

/** The real server with these databases. */
async function serve(logs: readonly ServedLog[], basePath = "") {
  const clock: FakeClock = createFakeClock();
  const records: Partial<RequestRecord>[] = [];
  const nextRequestId = createRequestIds();
  const hot = new HotAnswers({ maxBytes: 1 << 20, clock, nextRequestId, keepAliveTimeoutMs: 5000, touch: touched });
  const sumdb = createSumdbHandler({
    hot,
    recorder: {
      record: (record) => void records.push(record),
      prepare: (record) => (id, client) => void records.push({ ...record, id, client }),
    },
    clock,
    nextRequestId,
    clientAddress: () => "192.0.2.1",
    basePath,
    maxUrlBytes: 2000,
    notFoundTtlMs: 10_000,
    viaName: "sluice-test",
    logs,
    access: createAccess({ ...everybody, denyModules: "denied.example" }),
  });
  const server = await startHttpServer(
    {
      handlers: {
        operator: async (_request, response) => void response.writeHead(404).end(),
        protocol: async (_request, response) => void response.end("a module\n"),
        sumdb,
        hot,
        gate: undefined,
        basePath,
      },
      maxHeaderBytes: 16_384,
      headerTimeoutMs: 5000,
      keepAliveTimeoutMs: 5000,
    },
    { host: "127.0.0.1", port: 0 },
  );
  onTestFinished(() => server.stop(0));
  const url = `http://127.0.0.1:${server.port}`;
  return {
    clock,
    records,
    get: (path: string, options: Parameters<typeof ask>[2] = {}): Promise<RawAnswer> => ask(url, path, options),
  };
}

function touched(): void {
  expect.unreachable("what stands in no store is touched there");
}

const name = "sum.example.com";
const immutable = "public, max-age=31536000, immutable";

describe("what go asks a proxy of a checksum database", () => {
  test.each([
    ["supported", "text/plain; charset=utf-8", "public, max-age=60", ""],
    ["latest", "text/plain; charset=utf-8", "public, max-age=30", "latest"],
    ["lookup/example.com/leaf@v1.0.0", "text/plain; charset=utf-8", "public, max-age=30", "example.com/leaf v1.0.0"],
    ["tile/8/0/x001/234", "application/octet-stream", immutable, "tile/8/0/x001/234"],
    ["tile/8/1/000.p/7", "application/octet-stream", immutable, "tile/8/1/000.p/7"],
    ["tile/8/data/000", "application/octet-stream", immutable, "tile/8/data/000"],
  ])("%s: from the database, then from memory with the same headers", async (rest, type, cacheControl, what) => {
    const log = fakeLog(name);
    const { get } = await serve([log]);
    const path = `/sumdb/${name}/${rest}`;
    const first = await get(path);
    const again = await get(path);
    const head = await get(path, { method: "HEAD" });
    for (const answer of [first, again, head]) {
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        "content-type": type,
        "content-length": String(first.body.length),
        "cache-control": cacheControl,
        "x-content-type-options": "nosniff",
        etag: `"${createHash("sha256").update(first.body).digest("hex")}"`,
      });
    }
    expect(first.body.toString()).toBe(what === "" ? "" : `${name}: ${what}\n`);
    expect(again.body.equals(first.body)).toBe(true);
    expect(head.body).toHaveLength(0);
    expect(again.headers["x-sluice-cache"]).toBe("hit");
    expect(log.asked).toEqual(what === "" ? [] : [what]);
  });

  test("hashes are any bytes, and stay what they are on a connection that stays open", async () => {
    const bytes = Buffer.from(Array.from({ length: 8192 }, (_, index) => index % 256));
    const tile: ServedLog["tile"] = async () =>
      answerBytes(bytes, { source: name, cache: "miss", freshForMs: Number.POSITIVE_INFINITY });
    const { get } = await serve([{ ...fakeLog(name), tile }]);
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    for (const cache of ["miss", "hit", "hit"]) {
      const { headers, body } = await get(`/sumdb/${name}/tile/8/0/000`, { agent });
      expect([headers["x-sluice-cache"], body.equals(bytes)]).toEqual([cache, true]);
    }
  });

  test("a lookup of a module that is denied is refused as the module is, and no database is asked", async () => {
    const logs = [fakeLog(name), fakeLog("corp.example")];
    const { get, records } = await serve(logs);
    for (const log of logs) {
      const { status, body } = await get(`/sumdb/${log.name}/lookup/denied.example/m@v1.0.0`);
      expect(status).toBe(403);
      expect(body.toString()).toContain("denied.example/m is not allowed here");
      expect(log.asked).toStrictEqual([]);
      expect((await get(`/sumdb/${log.name}/lookup/other.example/m@v1.0.0`)).status).toBe(200);
    }
    expect(records[0]).toMatchObject({ status: 403, kind: "sumdb", module: "denied.example/m", version: "v1.0.0" });
  });

  test("%21 and ! are the same letter", async () => {
    const log = fakeLog(name);
    const { get } = await serve([log]);
    await get(`/sumdb/${name}/lookup/example.com/!upper@v1.0.0-!r!c`);
    await get(`/sumdb/${name}/lookup/example.com/%21upper@v1.0.0-%21r%21c`);
    expect(log.asked).toEqual(["example.com/Upper v1.0.0-RC", "example.com/Upper v1.0.0-RC"]);
  });

  test("what may change is asked again when it is no longer fresh, a tile never", async () => {
    const log = fakeLog(name);
    const { get, clock } = await serve([log]);
    const paths = ["latest", "lookup/example.com/leaf@v1.0.0", "tile/8/0/000"];
    for (const path of paths) await get(`/sumdb/${name}/${path}`);
    clock.advance(latestTtlMs - 1000);
    for (const path of paths) await get(`/sumdb/${name}/${path}`);
    expect(log.asked).toHaveLength(3);
    clock.advance(1000);
    for (const path of paths) await get(`/sumdb/${name}/${path}`);
    expect(log.asked.slice(3)).toEqual(["latest", "example.com/leaf v1.0.0"]);
  });

  test("conditions and ranges count as for modules", async () => {
    const { get } = await serve([fakeLog(name)]);
    const path = `/sumdb/${name}/tile/8/0/000`;
    const { headers, body } = await get(path);
    const etag = String(headers.etag);
    expect((await get(path, { headers: { "if-none-match": etag } })).status).toBe(304);
    const part = await get(path, { headers: { range: "bytes=4-", "if-range": etag } });
    expect([part.status, part.body.equals(body.subarray(4))]).toEqual([206, true]);
    expect((await get(path, { method: "POST" })).status).toBe(405);
  });

  test("a request is recorded with its module, also when it is answered from memory or fails", async () => {
    const { get, records } = await serve([fakeLog(name)]);
    const lookup = `/sumdb/${name}/lookup/example.com/leaf@v1.0.0`;
    for (const path of [lookup, lookup, `/sumdb/${name}/latest`, `${lookup}@`]) await get(path);
    expect(
      records.map(({ kind, module, version, status, cache, source }) => [kind, module, version, status, cache, source]),
    ).toEqual([
      ["sumdb", "example.com/leaf", "v1.0.0", 200, "miss", name],
      ["sumdb", "example.com/leaf", "v1.0.0", 200, "hit", name],
      ["sumdb", undefined, undefined, 200, "miss", name],
      ["sumdb", undefined, undefined, 400, "miss", undefined],
    ]);
  });
});

describe("where a database is", () => {
  test("the longest name wins, and the versions of modules are no part of one", async () => {
    const short = fakeLog("corp.example");
    const long = fakeLog("corp.example/log");
    const { get } = await serve([short, long]);
    await get("/sumdb/corp.example/log/latest");
    await get("/sumdb/corp.example/log/tile/8/0/000");
    await get("/sumdb/corp.example/latest");
    expect([long.asked, short.asked]).toEqual([["latest", "tile/8/0/000"], ["latest"]]);
    expect((await get("/example.com/sumdb/x/@v/v1.0.0.mod")).body.toString()).toBe("a module\n");
  });

  test("below the base path, and not beside it", async () => {
    const log = fakeLog(name);
    const { get } = await serve([log], "/go");
    const lookup = `sumdb/${name}/lookup/example.com/leaf@v1.0.0`;
    expect((await get(`/go/${lookup}`)).status).toBe(200);
    const beside = await get(`/${lookup}`);
    expect([beside.status, beside.body.toString()]).toEqual([404, expect.stringContaining("/go/") as unknown]);
    expect(log.asked).toHaveLength(1);
  });

  test("also for clients that want stored modules only: GOPROXY ends in /cached-only then", async () => {
    const log = fakeLog(name);
    const { get } = await serve([log], "/go");
    const { status } = await get(`/go/cached-only/sumdb/${name}/lookup/example.com/leaf@v1.0.0`);
    expect([status, log.asked]).toEqual([200, ["example.com/leaf v1.0.0"]]);
  });

  test("an unknown one is 404, so that go asks elsewhere, and the answer says which there are", async () => {
    const log = fakeLog(name);
    const { get } = await serve([log, fakeLog("corp.example/log")]);
    for (const path of ["sum.other.com/supported", `${name}.evil/supported`, name, `${name}supported`, ""]) {
      const { status, body } = await get(`/sumdb/${path}`);
      expect([path, status]).toEqual([path, 404]);
      expect(body.toString()).toContain(`it serves ${name}, corp.example/log`);
    }
    const { status, body } = await (await serve([])).get(`/sumdb/${name}/supported`);
    expect([status, body.toString()]).toEqual([404, expect.stringContaining(`"${name}"; it serves none`) as unknown]);
  });
});

describe("what is refused without asking the database", () => {
  test.each([
    ["lookup/example.com/leaf", 400, "invalid module@version"],
    ["lookup/example.com/leaf@latest", 400, "invalid module@version"],
    ["lookup/example.com/leaf@v1.0.0/go.mod", 400, ""],
    ["lookup/example.com/Upper@v1.0.0", 400, "example.com/Upper"],
    ["lookup/example.com/leaf@v2.0.0", 400, "should be v0 or v1"],
    ["lookup/../../etc/passwd@v1.0.0", 400, ""],
    ["lookup/%zz@v1.0.0", 400, "percent-encoding"],
    ["tile/8/0/0", 400, "malformed tile"],
    ["tile/8/0/000.p/256", 400, "malformed tile"],
    ["tile/0/0/000", 400, "malformed tile"],
    ["tile/8/0/x000/000", 400, "malformed tile"],
    ["supported/more", 404, ""],
    ["anything", 404, "it has latest, lookup/ and tile/"],
    ["", 404, ""],
  ])("%s: %d", async (rest, status, words) => {
    const log = fakeLog(name);
    const { get } = await serve([log]);
    const answer = await get(`/sumdb/${name}/${rest}`);
    expect(answer.status).toBe(status);
    expect(answer.body.toString()).toContain(words);
    expect(log.asked).toEqual([]);
  });
});

describe("what a database fails with", () => {
  test.each([
    ["not_found", 404, "public, max-age=10"],
    ["private_name", 403, "no-store"],
    ["integrity", 502, "no-store"],
    ["upstream_timeout", 504, "no-store"],
  ] as const)("%s is %d, and the next request asks again", async (code, status, cacheControl) => {
    const log = fakeLog(name, () => Promise.reject(new SluiceError(code, "what the database says")));
    const { get } = await serve([log]);
    for (const turn of [1, 2]) {
      const answer = await get(`/sumdb/${name}/lookup/example.com/leaf@v1.0.0`);
      expect(answer.status).toBe(status);
      expect(answer.headers["cache-control"]).toBe(cacheControl);
      expect(answer.body.toString()).toContain("what the database says");
      expect(log.asked).toHaveLength(turn);
    }
  });

  test("a client that goes away is told as that, not as a bug", async () => {
    const client = new AbortController();
    const log = fakeLog(name, ({ signal }) => {
      client.abort();
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    });
    const { get, records } = await serve([log]);
    await expect(get(`/sumdb/${name}/latest`, { signal: client.signal })).rejects.toThrow("aborted");
    await expect
      .poll(() => records.map(({ status, error }) => [status, error]), { timeout: 10_000 })
      .toEqual([[499, "cancelled: the client went away"]]);
  });
});
