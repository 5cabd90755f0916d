import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseList } from "../../src/protocol/goproxy/index.ts";
import { fixtureFiles, pseudoVersion } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { attemptsOf, failureOf, fetchBytes, openUpstream } from "../support/source-harness.ts";

const list = "example.com/leaf/@v/list";
const info = "example.com/leaf/@v/v1.2.0.info";
const mod = "example.com/leaf/@v/v1.2.0.mod";
const zip = "example.com/big/@v/v1.0.0.zip";
const files = fixtureFiles();

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
    expect(JSON.stringify([refused.details, refused.stack, wrong.events, wrong.source.name])).not.toContain("hunter2");
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
