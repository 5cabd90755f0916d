import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SluiceError } from "../../src/core/errors.ts";
import { createRetryBudget } from "../../src/net/retry-budget.ts";
import { parseList } from "../../src/protocol/goproxy/index.ts";
import { parseChain } from "../../src/sources/chain-spec.ts";
import { createChain } from "../../src/sources/chain.ts";
import { createPrivateRules } from "../../src/sources/private.ts";
import { bigFileBytes, fixtureFiles, fixtureVersions, pseudoVersion } from "../support/fixture-modules.ts";
import { type Fault, type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacks } from "../support/needs.ts";
import { createRandom } from "../support/random.ts";
import {
  attemptsOf,
  contextOf,
  failureOf,
  fetchBytes,
  type HarnessOptions,
  openUpstream,
  readAll,
  requestOf,
} from "../support/source-harness.ts";
import { describeSource } from "../suites/source.ts";

const list = "example.com/leaf/@v/list";
const info = "example.com/leaf/@v/v1.2.0.info";
const mod = "example.com/leaf/@v/v1.2.0.mod";
const zip = "example.com/big/@v/v1.0.0.zip";
const files = fixtureFiles();

describeSource("HTTP upstream", async (modules) => {
  const upstream = await startFixtureUpstream({ modules });
  const opened = openUpstream(upstream.url);
  return {
    source: opened.source,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
});

describeSource("chain of one", async (modules) => {
  const upstream = await startFixtureUpstream({ modules });
  const opened = openUpstream(upstream.url);
  return {
    source: createChain({
      entries: parseChain(upstream.url),
      privateRules: createPrivateRules("*.corp.example"),
      open: () => opened.source,
    }),
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
});

describe("an HTTP upstream that misbehaves", () => {
  let upstream: FixtureUpstream;

  beforeEach(async () => {
    upstream = await startFixtureUpstream();
  });
  afterEach(() => upstream.close());

  describe("what a status means, and how often it is asked for", () => {
    test.each<[number, string, number]>([
      [404, "not_found", 1],
      [410, "not_found", 1],
      [400, "upstream_refused", 1],
      [401, "upstream_refused", 1],
      [403, "upstream_refused", 1],
      [405, "upstream_refused", 1],
      [451, "upstream_refused", 1],
      [408, "upstream_failed", 4],
      [425, "upstream_failed", 4],
      [429, "upstream_failed", 4],
      [500, "upstream_failed", 4],
      [501, "upstream_failed", 4],
      [502, "upstream_failed", 4],
      [503, "upstream_failed", 4],
      [504, "upstream_failed", 4],
      // only 200 is success (SPEC 1.1)
      [201, "upstream_invalid", 2],
      [203, "upstream_invalid", 2],
      [204, "upstream_invalid", 2],
      [206, "upstream_invalid", 2],
      [300, "upstream_invalid", 2],
      [304, "upstream_invalid", 2],
    ])("%i is %s, asked %i times", async (status, code, requests) => {
      upstream.setFault(mod, { kind: "status", status, body: "secret details of the upstream" });
      await using opened = openUpstream(upstream.url);
      const error = await failureOf(fetchBytes(opened.source, mod));
      expect([error.code, error.details["status"], upstream.requests.length]).toEqual([code, status, requests]);
      expect(error.message.startsWith(`${upstream.url}: answered ${status}`)).toBe(true);
      expect(error.message.endsWith(`(${requests} attempts)`)).toBe(requests > 1);
      expect(JSON.stringify([error.message, error.details])).not.toContain("secret details");
      expect(attemptsOf(opened.events)).toEqual(
        Array.from({ length: requests }, (_, index) => `${index + 1} ${code} ${status}`),
      );
    });

    test("a status that an upstream uses for what does not exist can be named", async () => {
      await upstream.close();
      upstream = await startFixtureUpstream({ missingStatus: 403 });
      await using strict = openUpstream(upstream.url);
      await using lenient = openUpstream(upstream.url, { notFoundStatus: [403] });
      const missing = "example.com/absent/@v/list";
      expect(await failureOf(fetchBytes(strict.source, missing))).toMatchObject({ code: "upstream_refused" });
      expect(await failureOf(fetchBytes(lenient.source, missing))).toMatchObject({ code: "not_found" });
    });
  });

  describe("the reason of a 404 is kept for logs when it is safe, and never in the message", () => {
    test.each<[string, string, string, string | undefined]>([
      [
        "plain",
        "text/plain; charset=utf-8",
        "not found: m@v1: unknown revision v1",
        "not found: m@v1: unknown revision v1",
      ],
      ["its first line", "text/plain", "not found: no\nsecond line\n", "not found: no"],
      ["in ASCII", 'text/plain; charset="US-ASCII"', "not found: no", "not found: no"],
      ["cut to a length", "text/plain", `not found: ${"x".repeat(500)}`, `not found: ${"x".repeat(189)}`],
      ["other text", "text/plain", "internal host db7 says no", undefined],
      ["HTML", "text/html", "not found: <b>no</b>", undefined],
      ["another charset", "text/plain; charset=utf-16", "not found: no", undefined],
      ["control characters", "text/plain", "not found: \u001b[31mred", undefined],
      ["invalid UTF-8", "text/plain", "not found: \xff", undefined],
      ["too long", "text/plain", `not found: ${"x".repeat(5000)}`, undefined],
    ])("%s", async (name, contentType, body, reason) => {
      upstream.setFault(mod, {
        kind: "handler",
        handle: (_request, response) => {
          response.writeHead(404, { "content-type": contentType });
          response.end(Buffer.from(body, name === "invalid UTF-8" ? "latin1" : "utf8"));
        },
      });
      await using opened = openUpstream(upstream.url);
      const error = await failureOf(fetchBytes(opened.source, mod));
      expect([error.code, error.details["reason"]]).toEqual(["not_found", reason]);
      expect(error.message).toBe(`${upstream.url}: answered 404`);
    });

    test("a 404 whose body breaks off is a 404", async () => {
      upstream.setFault(mod, {
        kind: "handler",
        handle: (_request, response) => {
          response.writeHead(404, { "content-type": "text/plain", "content-length": 100 });
          response.write("not found: ", () => response.destroy());
        },
      });
      await using opened = openUpstream(upstream.url);
      expect(await failureOf(fetchBytes(opened.source, mod))).toMatchObject({ code: "not_found" });
    });
  });

  describe("a failure that passes costs nothing but time", () => {
    test.each<[string, Fault]>([
      ["429", { kind: "status", status: 429 }],
      ["500", { kind: "status", status: 500 }],
      ["503", { kind: "status", status: 503 }],
      ["an HTML page", { kind: "html" }],
      ["a connection closed without an answer", { kind: "close" }],
      ["a body cut at once", { kind: "cut", afterBytes: 0 }],
      ["a body cut half-way", { kind: "cut", afterBytes: bigFileBytes / 2 }],
      ["a body shorter than its Content-Length", { kind: "length", contentLength: 8 * 1024 * 1024 }],
      ["a body that stops coming", { kind: "stall", afterBytes: 100_000 }],
      ["an answer that never comes", { kind: "hang" }],
    ])("%s", async (_name, fault) => {
      upstream.setFault(zip, { ...fault, times: 1 });
      await using opened = openUpstream(upstream.url, { client: { timeouts: { firstByteMs: 250, idleBodyMs: 250 } } });
      const bytes = await fetchBytes(opened.source, zip);
      expect(bytes.equals(files.get(zip) ?? Buffer.of())).toBe(true);
      expect(upstream.requests.length).toBe(2);
      expect(attemptsOf(opened.events).at(-1)).toBe("2 ok 200");
    });

    test("bodies cut again and again are asked for as often as other failures", async () => {
      upstream.setFault(zip, { kind: "cut", afterBytes: 100_000, times: 3 });
      await using opened = openUpstream(upstream.url);
      const starts: number[] = [];
      const bytes = await opened.source.fetch(
        requestOf(zip),
        (response) => {
          starts.push(upstream.requests.length);
          return readAll(response);
        },
        contextOf(),
      );
      expect(bytes.equals(files.get(zip) ?? Buffer.of())).toBe(true);
      expect(starts).toEqual([1, 2, 3, 4]);
    });

    test("everything comes through an upstream that fails three times in ten", async () => {
      const faults: readonly Fault[] = [
        { kind: "status", status: 503 },
        { kind: "close" },
        { kind: "cut", afterBytes: 20 },
        { kind: "status", status: 429, headers: { "retry-after": "1" } },
      ];
      const random = createRandom(30);
      let current: Fault | undefined;
      for (const [index, fault] of faults.entries()) {
        upstream.setFault(() => {
          // The last one is asked first, for every request.
          if (index === faults.length - 1) current = random.chance(30) ? random.pick(faults) : undefined;
          return current === fault;
        }, fault);
      }
      await using opened = openUpstream(upstream.url, { retry: { attempts: 10 } });
      for (const [path, expected] of files) {
        expect((await fetchBytes(opened.source, path)).equals(expected)).toBe(true);
      }
      expect(upstream.requests.length).toBeGreaterThan(files.size * 1.2);
    });
  });

  describe("a failure that stays is named", () => {
    test.each<[string, Fault, string, RegExp, number]>([
      ["an HTML page", { kind: "html" }, "upstream_invalid", /HTML page instead of a file \(2 attempts\)$/, 2],
      ["no answer to any request", { kind: "close" }, "upstream_failed", /closed the connection .*\(4 attempts\)$/, 4],
      [
        "bodies that break off",
        { kind: "cut", afterBytes: 10_000 },
        "upstream_invalid",
        /closed the connection .*\(4 attempts\)$/,
        4,
      ],
      [
        "bodies that never begin",
        { kind: "cut", afterBytes: 0 },
        "upstream_invalid",
        /closed the connection .*\(4 attempts\)$/,
        4,
      ],
      [
        "never an answer",
        { kind: "hang" },
        "upstream_timeout",
        /did not begin to answer within 0\.05 s \(4 attempts\)$/,
        4,
      ],
      [
        "a drip",
        { kind: "drip", everyMs: 5 },
        "upstream_timeout",
        /stopped sending in the middle of a body \(4 attempts\)$/,
        4,
      ],
      [
        "a redirect in a circle",
        { kind: "redirect", to: `/${zip}` },
        "upstream_invalid",
        /redirected more than 10 times/,
        11,
      ],
      [
        "a redirect to nowhere",
        { kind: "redirect", to: "ftp://example.com/x" },
        "upstream_invalid",
        /which is not HTTP/,
        1,
      ],
    ])("%s", async (_name, fault, code, message, requests) => {
      upstream.setFault(zip, fault);
      await using opened = openUpstream(upstream.url, { client: { timeouts: { firstByteMs: 50, idleBodyMs: 50 } } });
      const error = await failureOf(fetchBytes(opened.source, zip));
      expect(error.message.startsWith(`${upstream.url}: `)).toBe(true);
      expect([error.code, error.message, upstream.requests.length]).toEqual([
        code,
        expect.stringMatching(message),
        requests,
      ]);
    });

    test("a server that is not there", async () => {
      await upstream.close();
      await using opened = openUpstream(upstream.url);
      const error = await failureOf(fetchBytes(opened.source, mod));
      expect([error.code, error.message]).toEqual([
        "upstream_failed",
        expect.stringMatching(/ECONNREFUSED.*\(4 attempts\)$/),
      ]);
    });

    test("a name that is not in DNS", async () => {
      const lookup = Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" });
      await using opened = openUpstream("https://proxy.example.com", {
        client: { dns: { resolve: () => Promise.reject(lookup) } },
      });
      const error = await failureOf(fetchBytes(opened.source, mod));
      expect([error.code, error.message]).toEqual([
        "upstream_failed",
        expect.stringMatching(/^https:\/\/proxy\.example\.com: .*ENOTFOUND/),
      ]);
    });

    test.skipIf(lacks("openssl", ["version"]))(
      "a certificate that nobody vouches for, which is not asked again",
      async () => {
        await upstream.close();
        upstream = await startFixtureUpstream({ tls: selfSigned() });
        await using opened = openUpstream(upstream.url);
        const error = await failureOf(fetchBytes(opened.source, mod));
        expect([error.code, error.message]).toEqual([
          "upstream_failed",
          expect.stringMatching(/certificate.*SELF_SIGNED/),
        ]);
        expect(attemptsOf(opened.events)).toEqual(["1 upstream_failed"]);
      },
    );
  });

  describe("what receive finds wrong", () => {
    function refuse(code: "integrity" | "upstream_invalid", times: number): () => Promise<string> {
      let calls = 0;
      return async () => {
        calls += 1;
        if (calls <= times) throw new SluiceError(code, "not what was asked for");
        return "good";
      };
    }

    test.each(["integrity", "upstream_invalid"] as const)("%s is asked for once more, and not again", async (code) => {
      await using opened = openUpstream(upstream.url);
      expect(await opened.source.fetch(requestOf(mod), refuse(code, 1), contextOf())).toBe("good");
      const error = await failureOf(opened.source.fetch(requestOf(mod), refuse(code, 9), contextOf()));
      expect([error.code, error.message]).toEqual([code, "not what was asked for (2 attempts)"]);
      expect(attemptsOf(opened.events)).toEqual([`1 ${code} 200`, "2 ok 200", `1 ${code} 200`, `2 ${code} 200`]);
    });

    test("wrong bytes are received as they come, and the right ones the next time", async () => {
      upstream.setFault(mod, { kind: "bytes", bytes: "module example.com/evil\n", times: 1 });
      await using opened = openUpstream(upstream.url);
      const seen: string[] = [];
      await opened.source.fetch(
        requestOf(mod),
        async (response) => {
          seen.push((await readAll(response)).toString());
          if (seen.length === 1) throw new SluiceError("upstream_invalid", "another module's go.mod");
        },
        contextOf(),
      );
      expect(seen).toEqual(["module example.com/evil\n", "module example.com/leaf\n\ngo 1.21\n"]);
    });
  });

  describe("waiting between attempts", () => {
    test("grows, with jitter", async () => {
      upstream.setFault(mod, { kind: "status", status: 503 });
      await using opened = openUpstream(upstream.url, {
        retry: { attempts: 5, baseMs: 100, capMs: 400, random: () => 0.5 },
      });
      await failureOf(fetchBytes(opened.source, mod));
      expect(opened.clock.sleeps).toEqual([50, 100, 200, 200]);
    });

    test.each<[number, string, number]>([
      [429, "3", 3000],
      [503, "2", 2000],
      [429, "Fri, 02 Jan 2026 03:04:09 GMT", 4000],
    ])("%i with Retry-After %j", async (status, value, waitMs) => {
      upstream.setFault(mod, { kind: "status", status, headers: { "retry-after": value }, times: 1 });
      await using opened = openUpstream(upstream.url, { retry: { random: () => 0 } });
      await fetchBytes(opened.source, mod);
      expect(opened.clock.sleeps).toEqual([waitMs]);
    });

    test("a Retry-After beyond patience is not waited for but passed on", async () => {
      upstream.setFault(mod, { kind: "status", status: 429, headers: { "retry-after": "3600" } });
      await using opened = openUpstream(upstream.url);
      const error = await failureOf(fetchBytes(opened.source, mod));
      expect([error.code, error.retryAfterSeconds, upstream.requests.length]).toEqual(["upstream_failed", 3600, 1]);
    });

    test("is not begun after a minute of failures, but a body that was cut is asked for again", async () => {
      await using opened = openUpstream(upstream.url);
      upstream.setFault(mod, {
        kind: "handler",
        handle: (_request, response) => {
          opened.clock.advance(61_000);
          response.writeHead(503).end();
        },
      });
      expect((await failureOf(fetchBytes(opened.source, mod))).details["attempts"]).toBe(1);
      upstream.clearFaults();
      upstream.setFault(mod, {
        kind: "handler",
        times: 1,
        handle: (_request, response) => {
          opened.clock.advance(61_000);
          response.writeHead(200, { "content-length": 100 });
          response.write("module", () => response.destroy());
        },
      });
      expect((await fetchBytes(opened.source, mod)).toString()).toContain("module example.com/leaf");
      expect(attemptsOf(opened.events)).toEqual(["1 upstream_failed 503", "1 upstream_invalid 200", "2 ok 200"]);
    });

    test("ends with the fetch", async () => {
      upstream.setFault(mod, { kind: "status", status: 503 });
      const abort = new AbortController();
      const waiting = Promise.withResolvers<void>();
      await using opened = openUpstream(upstream.url, {
        clock: {
          now: () => 0,
          sleep: (_ms, signal) => {
            waiting.resolve();
            return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
          },
        },
      });
      const fetched = failureOf(fetchBytes(opened.source, mod, contextOf(abort.signal)));
      await waiting.promise;
      abort.abort();
      expect((await fetched).code).toBe("cancelled");
      expect(upstream.requests.length).toBe(1);
    });

    test("is paid from the budget of the whole upstream", async () => {
      upstream.setFault(/./, { kind: "status", status: 503 });
      await using opened = openUpstream(upstream.url, {
        budget: createRetryBudget({ now: () => 0 }, { capacity: 5, perSuccess: 0, perSecond: 0 }),
      });
      for (const path of [mod, info, list]) await failureOf(fetchBytes(opened.source, path));
      expect(upstream.requests.length).toBe(3 + 5);
    });
  });

  describe("what an upstream may do", () => {
    test("compress", async () => {
      upstream.setFault(/./, { kind: "gzip" });
      await using opened = openUpstream(upstream.url);
      for (const path of [list, mod, zip]) {
        expect((await fetchBytes(opened.source, path)).equals(files.get(path) ?? Buffer.of())).toBe(true);
      }
    });

    test("redirect, to itself and to others, who do not get the credentials", async () => {
      const other = await startFixtureUpstream({ modules: new Map([["elsewhere", Buffer.from("module far\n")]]) });
      await upstream.close();
      upstream = await startFixtureUpstream({ credentials: { username: "me", password: "secret" } });
      upstream.setFault(mod, { kind: "redirect", to: `/${info}`, status: 307 });
      upstream.setFault(list, { kind: "redirect", to: `${other.url}/elsewhere` });
      await using opened = openUpstream(upstream.url.replace("//", "//me:secret@"));
      expect((await fetchBytes(opened.source, mod)).equals(files.get(info) ?? Buffer.of())).toBe(true);
      expect((await fetchBytes(opened.source, list)).toString()).toBe("module far\n");
      expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
      await other.close();
    });

    test("have no @latest, list pseudo-versions and write .info its own way", async () => {
      await upstream.close();
      const modules = fixtureFiles();
      modules.set("example.com/pseudo/@v/list", Buffer.from(`${pseudoVersion}\nv0.1.0 2024-01-02T03:04:05Z\n`));
      upstream = await startFixtureUpstream({ modules, withoutLatest: true });
      await using opened = openUpstream(upstream.url);
      expect(await failureOf(fetchBytes(opened.source, "example.com/leaf/@latest"))).toMatchObject({
        code: "not_found",
      });
      const sent = (await fetchBytes(opened.source, "example.com/pseudo/@v/list")).toString();
      expect(parseList(sent).versions).toEqual(["v0.1.0"]);
      const odd = await fetchBytes(opened.source, "example.com/oddinfo/@v/v1.0.0.info");
      expect(odd.equals(modules.get("example.com/oddinfo/@v/v1.0.0.info") ?? Buffer.of())).toBe(true);
    });

    test("stand below a path and want credentials", async () => {
      await upstream.close();
      upstream = await startFixtureUpstream({
        basePath: "/go/proxy",
        credentials: { username: "me@corp", password: "p/w:d" },
      });
      await using right = openUpstream(upstream.url.replace("//", "//me%40corp:p%2Fw%3Ad@"));
      await using wrong = openUpstream(upstream.url.replace("//", "//me:hunter2@"));
      await using none = openUpstream(`${upstream.url}/`);
      expect((await fetchBytes(right.source, mod)).toString()).toContain("module example.com/leaf");
      const refused = await failureOf(fetchBytes(wrong.source, mod));
      expect(refused).toMatchObject({
        code: "upstream_refused",
        message: `${upstream.url}: answered 401: it does not accept the credentials it got`,
      });
      expect(await failureOf(fetchBytes(none.source, mod))).toMatchObject({
        message: `${upstream.url}: answered 401: it wants credentials and got none`,
      });
      expect(JSON.stringify([refused.details, refused.stack, wrong.events, wrong.source.name])).not.toContain(
        "hunter2",
      );
    });

    test("send more than the kind of file can have, but it is not read", async () => {
      upstream.setFault(/./, {
        kind: "handler",
        handle: (_request, response) => {
          response.on("error", () => {});
          response.writeHead(200);
          const more = () => {
            while (!response.destroyed && response.write(Buffer.alloc(65_536)));
            response.once("drain", more);
          };
          more();
        },
      });
      await using opened = openUpstream(upstream.url, { maxBytes: { zip: 1_000_000 } });
      for (const path of [info, zip, "example.com/leaf/@latest"]) {
        const error = await failureOf(fetchBytes(opened.source, path));
        expect([error.code, error.message]).toEqual([
          "upstream_invalid",
          expect.stringMatching(/larger than the \d+ bytes/),
        ]);
      }
    });
  });

  test("asks with nothing but what a GOPROXY needs", async () => {
    await using opened = openUpstream(upstream.url);
    await fetchBytes(opened.source, "example.com/!upper/!case/@v/v1.1.0-!r!c.1.zip");
    const [request] = upstream.requests;
    expect(request?.url).toBe("/example.com/!upper/!case/@v/v1.1.0-!r!c.1.zip");
    expect(Object.keys(request?.headers ?? {}).toSorted()).toEqual([
      "accept-encoding",
      "connection",
      "host",
      "user-agent",
      "via",
    ]);
  });

  test("a body that is longer than promised harms neither itself nor the next one", async () => {
    const good = files.get(mod) ?? Buffer.of();
    upstream.setFault(mod, { kind: "length", contentLength: 10 });
    await using opened = openUpstream(upstream.url);
    // Whether the rest that nobody asked for is noticed depends on when it comes.
    const received = await fetchBytes(opened.source, mod).catch((error: unknown) => error);
    expect([good.subarray(0, 10), expect.objectContaining({ code: "upstream_invalid" })]).toContainEqual(received);
    upstream.clearFaults();
    expect((await fetchBytes(opened.source, mod)).equals(good)).toBe(true);
  });

  describe("the queue", () => {
    const paths = fixtureVersions
      .slice(0, 8)
      .map(({ path, version }) =>
        `${path}/@v/${version}.mod`.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`),
      );

    async function hold(options: HarnessOptions) {
      const gate = Promise.withResolvers<void>();
      upstream.setFault(/./, { kind: "delay", until: gate.promise });
      return { opened: openUpstream(upstream.url, options), release: gate.resolve };
    }

    test("lets only so many through at a time, and reports", async () => {
      const { opened, release } = await hold({ queue: { concurrency: 3 } });
      await using _opened = opened;
      const fetches = paths.map((path) => fetchBytes(opened.source, path));
      await upstream.arrived(/./, 3);
      expect(opened.events.at(-1)).toEqual({ type: "upstream_queue", upstream: upstream.url, running: 3, waiting: 5 });
      release();
      await Promise.all(fetches);
      const queue = opened.events.filter((event) => event.type === "upstream_queue");
      expect(Math.max(...queue.map(({ running }) => running))).toBe(3);
      expect(queue.at(-1)).toMatchObject({ running: 0, waiting: 0 });
    });

    test("refuses what finds no room", async () => {
      const { opened, release } = await hold({ queue: { concurrency: 1, maxWaiting: 2 } });
      await using _opened = opened;
      const outcomes = paths.slice(0, 5).map((path) =>
        fetchBytes(opened.source, path).then(
          () => "ok",
          (error: unknown) => (error instanceof SluiceError ? error.code : error),
        ),
      );
      await upstream.arrived(/./);
      release();
      expect(await Promise.all(outcomes)).toEqual(["ok", "ok", "ok", "overloaded", "overloaded"]);
    });

    test("is left by who gives up, and nothing is asked for it", async () => {
      const { opened, release } = await hold({ queue: { concurrency: 1 } });
      await using _opened = opened;
      const abort = new AbortController();
      const first = fetchBytes(opened.source, mod);
      const second = failureOf(fetchBytes(opened.source, info, contextOf(abort.signal)));
      await upstream.arrived(mod);
      abort.abort();
      expect((await second).code).toBe("cancelled");
      release();
      await first;
      expect(upstream.requests.map(({ path }) => path)).toEqual([mod]);
    });

    test("does not hold a place for who waits to try again", async () => {
      upstream.setFault(mod, { kind: "status", status: 503, times: 1 });
      const asleep = Promise.withResolvers<void>();
      const wake = Promise.withResolvers<void>();
      await using opened = openUpstream(upstream.url, {
        queue: { concurrency: 1 },
        clock: {
          now: () => 0,
          // The queue's own sleep is the longest that anybody may wait in it.
          sleep: (ms) => {
            if (ms >= 60_000) return new Promise(() => undefined);
            asleep.resolve();
            return wake.promise;
          },
        },
      });
      const retried = fetchBytes(opened.source, mod);
      await asleep.promise;
      await fetchBytes(opened.source, info);
      wake.resolve();
      await retried;
      expect(upstream.requests.map(({ path }) => path)).toEqual([mod, info, mod]);
    });
  });
});

function selfSigned(): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    const type = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    execFileSync("openssl", ["req", "-x509", "-nodes", ...type, ...subject, "-keyout", key, "-out", cert], {
      stdio: "ignore",
    });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
