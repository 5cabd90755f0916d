import { createHash } from "node:crypto";
import { Agent } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask, type RawAnswer, sendBytes } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const files = fixtureFiles();
let upstream: FixtureUpstream;
let sluice: RunningSluice;

beforeAll(async () => {
  upstream = await startFixtureUpstream();
  sluice = await startSluiceProcess({ upstream: upstream.url, args: ["--log-level", "info"] });
});
afterAll(async () => {
  await sluice.stop();
  await upstream.close();
});
beforeEach(() => {
  upstream.requests.length = 0;
});
afterEach(() => upstream.clearFaults());

function fixture(path: string): Buffer {
  return Buffer.from(files.get(path) ?? expect.fail(`no fixture ${path}`));
}

/** What no two answers share left out, and max-age, which counts down. */
function withoutOwn({ status, headers }: RawAnswer): unknown {
  const { date: _date, "x-request-id": _id, "cache-control": cacheControl, ...rest } = headers;
  return { ...rest, status, "cache-control": cacheControl?.replace(/max-age=(5\d|6[0-6])$/, "max-age=60") };
}

describe("headers", () => {
  const immutable = "public, max-age=31536000, immutable";
  test.each([
    // Before the .info, with which it comes along.
    ["example.com/leaf/@v/v1.0.0.mod", "text/plain; charset=utf-8", immutable],
    ["example.com/leaf/@v/v1.0.0.info", "application/json", immutable],
    ["example.com/leaf/@v/v1.0.0.zip", "application/zip", immutable],
    ["example.com/leaf/@v/list", "text/plain; charset=utf-8", "public, max-age=60"],
    ["example.com/leaf/@latest", "application/json", "public, max-age=60"],
    ["example.com/pseudo/@v/main.info", "application/json", "public, max-age=60"],
  ])(
    "%s: a miss, then hits that differ in nothing but the cache state and the request id",
    async (path, type, cacheControl) => {
      const miss = await ask(sluice.url, `/${path}`);
      const hit = await ask(sluice.url, `/${path}`);
      const hot = await ask(sluice.url, `/${path}`);
      const head = await ask(sluice.url, `/${path}`, { method: "HEAD" });
      for (const answer of [miss, hit, hot, head]) {
        expect(answer.status).toBe(200);
        expect(answer.headers).toMatchObject({
          "content-type": type,
          "content-length": String(miss.body.length),
          etag: `"${createHash("sha256").update(miss.body).digest("hex")}"`,
          "accept-ranges": "bytes",
          "x-content-type-options": "nosniff",
        });
        expect(answer.headers["cache-control"]?.replace(/max-age=(5\d|6[0-6])$/, "max-age=60")).toBe(cacheControl);
      }
      expect([miss, hit, hot, head].map(({ headers }) => headers["x-sluice-cache"])).toEqual([
        "miss",
        "hit",
        "hit",
        "hit",
      ]);
      expect(new Set([miss, hit, hot, head].map(({ headers }) => headers["x-request-id"])).size).toBe(4);
      expect(hit.body.equals(miss.body) && hot.body.equals(miss.body)).toBe(true);
      expect(head.body).toHaveLength(0);
      expect(upstream.requestsFor(path)).toHaveLength(1);
    },
  );

  test("an answer on a connection that stays open has the same headers from memory as from the ordinary way", async () => {
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const plain = { agent };
    // An unknown header takes the ordinary way.
    const ordinary = { agent, headers: { "x-any": "1" } };
    for (const path of ["/example.com/leaf/@v/v1.1.0.zip", "/example.com/leaf/@v/list", "/example.com/leaf/@latest"]) {
      await ask(sluice.url, path, plain);
      for (const method of ["GET", "HEAD"]) {
        const [hot, cold] = [
          await ask(sluice.url, path, { ...plain, method }),
          await ask(sluice.url, path, { ...ordinary, method }),
        ];
        expect(withoutOwn(hot)).toEqual(withoutOwn(cold));
        expect(hot.headers["date"]).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
        expect(hot.headers["x-request-id"]).toMatch(/^[\w-]+$/);
        expect(hot.body.equals(cold.body)).toBe(true);
      }
    }
  });

  test("a request id of the front end is kept, a dangerous one is not", async () => {
    const path = "/example.com/leaf/@v/v1.0.0.mod";
    expect((await ask(sluice.url, path, { headers: { "x-request-id": "trace-1" } })).headers["x-request-id"]).toBe(
      "trace-1",
    );
    expect(
      (await ask(sluice.url, path, { headers: { "x-request-id": 'a","b' } })).headers["x-request-id"],
    ).not.toContain('"');
  });
});

describe("conditional requests and ranges", () => {
  const path = "/example.com/leaf/@v/v1.2.0.zip";
  const zip = fixture(path.slice(1));
  const etag = `"${createHash("sha256").update(zip).digest("hex")}"`;
  beforeAll(async () => {
    await ask(sluice.url, path);
  });

  test.each([etag, `W/${etag}`, `"x", ${etag}`, "*"])("If-None-Match: %s is 304 without a body", async (header) => {
    const { status, headers, body } = await ask(sluice.url, path, { headers: { "if-none-match": header } });
    expect(status).toBe(304);
    expect(body).toHaveLength(0);
    expect(headers["etag"]).toBe(etag);
  });

  test("If-None-Match of something else is answered whole", async () => {
    expect((await ask(sluice.url, path, { headers: { "if-none-match": '"other"' } })).body.equals(zip)).toBe(true);
  });

  test.each([
    ["bytes=0-9", 0, 10],
    ["bytes=10-", 10, zip.length],
    ["bytes=-7", zip.length - 7, zip.length],
    ["bytes=5-999999999", 5, zip.length],
  ])("Range: %s", async (range, start, end) => {
    const { status, headers, body } = await ask(sluice.url, path, { headers: { range, "if-range": etag } });
    expect(status).toBe(206);
    expect(headers["content-range"]).toBe(`bytes ${start}-${end - 1}/${zip.length}`);
    expect(headers["content-length"]).toBe(String(end - start));
    expect(body.equals(zip.subarray(start, end))).toBe(true);
  });

  test("a range of another version of the file is answered with the whole of this one", async () => {
    const { status, body } = await ask(sluice.url, path, { headers: { range: "bytes=5-", "if-range": '"older"' } });
    expect(status).toBe(200);
    expect(body.equals(zip)).toBe(true);
  });

  test("a range behind the end is 416 and tells the size", async () => {
    const { status, headers } = await ask(sluice.url, path, { headers: { range: `bytes=${zip.length}-` } });
    expect(status).toBe(416);
    expect(headers["content-range"]).toBe(`bytes */${zip.length}`);
  });
});

describe("paths", () => {
  test("%21 and ! are the same file, fetched once", async () => {
    const raw = await ask(sluice.url, "/example.com/!upper/!case/@v/v1.0.0.info");
    const encoded = await ask(sluice.url, "/example.com/%21upper/%21case/@v/v1.0.0.info");
    expect([raw.status, encoded.status]).toEqual([200, 200]);
    expect(encoded.body.equals(raw.body)).toBe(true);
    expect(upstream.requestsFor("example.com/!upper/!case/@v/v1.0.0.info")).toHaveLength(1);
  });

  test("+ stays +", async () => {
    expect((await ask(sluice.url, "/example.com/legacy/@v/v3.0.0+incompatible.mod")).status).toBe(200);
    expect((await ask(sluice.url, "/example.com/legacy/@v/v3.0.0%2Bincompatible.mod")).status).toBe(200);
  });

  test.each([
    "/github.com/Azure/azure/@v/list",
    "/example.com/leaf/@v/v1.0.0.exe",
    "/example.com/leaf/@v/",
    "/example.com/leaf/@v/v1.0.0",
    "/example.com/leaf/@nonsense",
    "/example.com/../etc/passwd/@v/list",
    "/example.com/%2e%2e/x/@v/list",
    "/example.com//leaf/@v/list",
    "/example.com/leaf/@v/..%2f..%2fx.info",
    "/example.com/leaf/@v/%zz.info",
    "/example.com/leaf%00/@v/list",
    "/nodots/@v/list",
    "/example.com/leaf/@v/v1.0.mod",
    "/@v/list",
    "/github.com/@v/list",
    "/github.com/user/@latest",
    "/bitbucket.org/user/@v/list",
  ])("%s is answered 404 without asking anybody", async (path) => {
    const { status, body, headers } = await ask(sluice.url, path);
    expect(status).toBe(404);
    expect(body.toString()).toMatch(/^not found: .+/);
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(upstream.requests).toHaveLength(0);
  });

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("%s is 405", async (method) => {
    const { status, headers } = await ask(sluice.url, "/example.com/leaf/@v/list", { method });
    expect(status).toBe(405);
    expect(headers["allow"]).toBe("GET, HEAD");
  });

  test("an endless URL is refused", async () => {
    expect((await ask(sluice.url, `/example.com/${"x/".repeat(4100)}@v/list`)).status).toBe(414);
  });
});

describe("what is not HTTP", () => {
  test.each([
    ["huge headers", `GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${"x".repeat(40_000)}\r\n\r\n`, "HTTP/1.1 431 "],
    ["nonsense", "\u0016\u0003\u0001 hello\r\n\r\n", "HTTP/1.1 400 "],
    ["a bad header", "GET / HTTP/1.1\r\nHost: x\r\nbad header: : \u0000\r\n\r\n", "HTTP/1.1 400 "],
  ])("%s gets a clear answer", async (_name, bytes, start) => {
    expect((await sendBytes(sluice.url, bytes)).startsWith(start)).toBe(true);
  });

  test("a client that drips its request is answered 408 and costs nothing more", async () => {
    const slow = await startSluiceProcess({ upstream: upstream.url, env: { SLUICE_SERVER_HEADER_TIMEOUT: "100ms" } });
    onTestFinished(async () => void (await slow.stop()));
    expect(await sendBytes(slow.url, "GET / HTTP/1.1\r\nHost: x\r\n")).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe("stored content only", () => {
  test.each([
    ["the /cached-only/ prefix", "/cached-only/example.com/versioned/@v/v1.0.0.mod", {}],
    ["Disable-Module-Fetch", "/example.com/versioned/@v/v1.0.0.mod", { "disable-module-fetch": "true" }],
  ])("%s: 404 before it is stored, 200 after, never a fetch", async (_name, path, headers: Record<string, string>) => {
    const own = await startSluiceProcess({ upstream: upstream.url });
    onTestFinished(async () => void (await own.stop()));
    upstream.requests.length = 0;
    expect((await ask(own.url, path, { headers })).status).toBe(404);
    expect(upstream.requests).toHaveLength(0);
    expect((await ask(own.url, "/example.com/versioned/@v/v1.0.0.mod")).status).toBe(200);
    expect((await ask(own.url, path, { headers })).status).toBe(200);
    expect((await ask(own.url, "/cached-only/example.com/versioned/@v/list")).body.toString()).toBe("v1.0.0\n");
    expect((await ask(own.url, "/cached-only/example.com/versioned/@latest")).status).toBe(404);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe("not found", () => {
  test("is remembered for a short time, says so, and is repeated by its source only then", async () => {
    const first = await ask(sluice.url, "/example.com/leaf/@v/v1.77.0.info");
    const second = await ask(sluice.url, "/example.com/leaf/@v/v1.77.0.info");
    expect([first.status, second.status]).toEqual([404, 404]);
    expect(first.body.toString()).toContain("not found: example.com/leaf@v1.77.0");
    expect(second.headers["x-sluice-cache"]).toBe("negative");
    expect(second.headers["cache-control"]).toBe("public, max-age=30");
    expect(upstream.requestsFor("example.com/leaf/@v/v1.77.0.info")).toHaveLength(1);
  });
});

describe("under a base path and behind a front end", () => {
  test("everything is served below it, health at the root too, and the rest says where to look", async () => {
    const own = await startSluiceProcess({
      upstream: upstream.url,
      env: { SLUICE_BASE_PATH: "/go", SLUICE_SERVER_TRUSTED_PROXIES: "127.0.0.1", SLUICE_LOG_FORMAT: "json" },
    });
    onTestFinished(async () => void (await own.stop()));
    expect(own.url.endsWith("/go")).toBe(true);
    const forwarded = { headers: { "x-forwarded-for": "192.0.2.7" } };
    expect((await ask(own.url, "/go/example.com/leaf/@v/list", forwarded)).status).toBe(200);
    expect((await ask(own.url, "/go/healthz")).status).toBe(200);
    expect((await ask(own.url, "/healthz")).status).toBe(200);
    const outside = await ask(own.url, "/example.com/leaf/@v/list");
    expect(outside.status).toBe(404);
    expect(outside.body.toString()).toContain("/go/");
    await own.stop();
    expect(own.output()).toContain('"client":"192.0.2.7"');
  });
});

describe("a chain that leads back here through another server", () => {
  test("is noticed at the first round, and the error says what to do", async () => {
    let target = "";
    const relay = await startFixtureUpstream();
    onTestFinished(() => relay.close());
    relay.setFault(/./, {
      kind: "handler",
      handle: (request, response) => {
        const headers = { via: String(request.headers.via) };
        void ask(target, request.url ?? "/", { headers }).then(({ status, body }) =>
          response.writeHead(status).end(body),
        );
      },
    });
    const own = await startSluiceProcess({ upstream: relay.url });
    onTestFinished(async () => void (await own.stop()));
    target = own.url;
    const { status, body } = await ask(own.url, "/example.com/leaf/@v/list");
    expect(status).toBe(508);
    expect(body.toString()).toContain("out of the chain");
    expect(relay.requests).toHaveLength(1);
  });
});

describe("operators", () => {
  test("a health check by HTTP/1.0 without a host, as HAProxy makes it, is answered", async () => {
    expect(await sendBytes(sluice.url, "GET /readyz HTTP/1.0\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nready\n$/s,
    );
  });

  test("health, readiness and metrics", async () => {
    expect((await ask(sluice.url, "/healthz")).body.toString()).toBe("ok\n");
    expect((await ask(sluice.url, "/readyz")).body.toString()).toBe("ready\n");
    await ask(sluice.url, "/example.com/leaf/@v/v1.0.0.mod");
    const metrics = (await ask(sluice.url, "/metrics")).body.toString();
    expect(metrics).toMatch(/^sluice_requests_total\{kind="mod",status="200",cache="(hit|miss)"\} [1-9]/m);
    expect(metrics).toMatch(/^sluice_upstream_attempts_total\{upstream="[^"]+",outcome="ok"\} [1-9]/m);
    for (const name of [
      "sluice_request_duration_seconds",
      "sluice_fetches_in_flight",
      "sluice_response_bytes_total",
      "nodejs_eventloop_lag",
    ]) {
      expect(metrics).toContain(name);
    }
  });

  test("every request is one log line with its facts, also those answered from memory", async () => {
    const own = await startSluiceProcess({ upstream: upstream.url, env: { SLUICE_LOG_FORMAT: "json" } });
    const path = "/example.com/leaf/@v/v1.1.0.mod";
    const answers = [
      await ask(own.url, path),
      await ask(own.url, path),
      await ask(own.url, path),
      await ask(own.url, "/example.com/none/@v/list"),
    ];
    await own.stop();
    const lines = own
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line): Record<string, unknown> => JSON.parse(line))
      .filter((line) => line["msg"] === "request");
    expect(lines.map((line) => line["id"])).toEqual(answers.map(({ headers }) => headers["x-request-id"]));
    const common = {
      level: 30,
      method: "GET",
      path,
      status: 200,
      kind: "mod",
      module: "example.com/leaf",
      version: "v1.1.0",
      source: upstream.url,
    };
    expect(lines[0]).toMatchObject({ ...common, cache: "miss" });
    expect(lines[1]).toMatchObject({ ...common, cache: "hit" });
    expect(Object.keys(lines[2] ?? {}).sort()).toEqual(Object.keys(lines[1] ?? {}).sort());
    expect(lines[3]).toMatchObject({
      status: 404,
      kind: "list",
      error: expect.stringContaining("not_found") as unknown,
    });
  });

  test("a browser at the root is told what this is", async () => {
    expect((await ask(sluice.url, "/")).body.toString()).toContain(`export GOPROXY=${sluice.url}`);
    expect((await ask(sluice.url, "/favicon.ico")).status).toBe(404);
  });
});
