import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { parseFrom, readBody } from "../../src/core/body.ts";
import { isSluiceError } from "../../src/core/errors.ts";
import type { Source, SourceResponse } from "../../src/core/ports.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { parseInfo } from "../../src/protocol/goproxy/index.ts";
import { type ChainEntry, parseChain } from "../../src/sources/chain-spec.ts";
import { createChain } from "../../src/sources/chain.ts";
import { createPrivateRules } from "../../src/sources/private.ts";
import { createFileSource } from "../../src/sources/upstream/file.ts";
import { createUpstreamSource } from "../../src/sources/upstream/http.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { buildModules, fixtureConsumer, fixtureFiles } from "../support/fixture-modules.ts";
import { type Fault, type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { contextOf, failureOf, fetchBytes, readAll, requestOf } from "../support/source-harness.ts";

const info = "example.com/leaf/@v/v1.2.0.info";

/** A chain with a real HTTP client, as compose builds one. */
function openChain(text: string, privatePatterns = ""): Source & AsyncDisposable {
  const [clock, events] = [createFakeClock(), { emit() {} }];
  const http = createHttpClient({ ca: [], userAgent: "Sluice/test", instanceId: "test" });
  const open = (entry: Exclude<ChainEntry, { kind: "end" }>): Source =>
    entry.kind === "http"
      ? createUpstreamSource({ ...entry, http, clock, events, retry: { attempts: 2 } })
      : createFileSource({ ...entry, clock, events });
  const chain = createChain({ entries: parseChain(text), privateRules: createPrivateRules(privatePatterns), open });
  return {
    ...chain,
    async [Symbol.asyncDispose]() {
      await chain.close();
      await http.close();
    },
  };
}

describe.skipIf(lacks("go", ["version"]))("a chain decides as the go command does", () => {
  const answers: Readonly<Record<string, Fault | undefined>> = {
    ok: undefined,
    "404": { kind: "status", status: 404 },
    "410": { kind: "status", status: 410 },
    "403": { kind: "status", status: 403 },
    "500": { kind: "status", status: 500 },
    "204": { kind: "status", status: 204 },
    page: { kind: "html" },
    closed: { kind: "close" },
    cut: { kind: "cut", afterBytes: 3 },
    other: { kind: "bytes", bytes: '{"Version":"v1.1.0"}' },
  };
  const pairs = Object.keys(answers).flatMap((first) => ["ok", "404", "500"].map((second) => [first, second] as const));
  const names = ["first", "second", "third"] as const;
  let upstreams: FixtureUpstream[];
  let machine: GoMachine;

  beforeAll(async () => {
    upstreams = await Promise.all(names.map(() => startFixtureUpstream()));
    machine = await createGoMachine({});
  });
  afterAll(async () => {
    await Promise.all(upstreams.map((upstream) => upstream.close()));
    await machine.remove();
  });
  afterEach(() => {
    for (const upstream of upstreams) upstream.clearFaults();
  });

  /** Which upstreams were asked, and whether the file came, did not exist, or there was a failure. */
  async function askedBy(ask: () => Promise<string>): Promise<readonly [string, string[]]> {
    for (const upstream of upstreams) upstream.requests.length = 0;
    const outcome = await ask();
    return [outcome, names.filter((_name, index) => upstreams[index]?.requests.some(({ path }) => path === info))];
  }

  async function askGo(chain: string): Promise<string> {
    await machine.clearModCache();
    const { code, stderr } = await machine.go(["list", "-m", "example.com/leaf@v1.2.0"], { GOPROXY: chain });
    if (code === 0) return "ok";
    return /404 Not Found|410 Gone|disabled by GOPROXY=off/.test(stderr) ? "not_found" : "failed";
  }

  async function askSluice(chain: string): Promise<string> {
    await using opened = openChain(chain);
    try {
      await opened.fetch(requestOf(info), receiveInfo, contextOf());
      return "ok";
    } catch (error) {
      if (!isSluiceError(error)) throw error;
      return error.code === "not_found" ? "not_found" : "failed";
    }
  }

  test.each(pairs)("the first answers %s, the second %s", async (first, second) => {
    for (const [index, answer] of [first, second, "ok"].entries()) {
      const fault = answers[answer];
      if (fault !== undefined) upstreams[index]?.setFault(/./, fault);
    }
    const [a, b, c] = upstreams.map(({ url }) => url);
    const sluice: Record<string, unknown> = {};
    const go: Record<string, unknown> = {};
    for (const chain of [`${a},${b},${c}`, `${a}|${b}|${c}`, `${a}|${b},${c}`, `${a},${b}|off`]) {
      sluice[chain] = await askedBy(() => askSluice(chain));
      go[chain] = await askedBy(() => askGo(chain));
    }
    expect(sluice).toEqual(go);
  });
});

/** As core does: what is not the `.info` of this version is the upstream's failure. */
async function receiveInfo(response: SourceResponse): Promise<void> {
  const request = requestOf(info);
  if (request.kind !== "info") throw new Error(`${info} is not a request for .info`);
  const bytes = await readBody(response, 1_000_000);
  parseFrom(response.source, info, () => parseInfo(bytes, request));
}

describe("private modules", () => {
  test("are asked of no upstream, whatever is asked for, and others are", async () => {
    const upstream = await startFixtureUpstream({
      modules: buildModules([
        { path: "git.corp.example/team/m", version: "v1.0.0", files: {} },
        { path: "example.com/public", version: "v1.0.0", files: {} },
      ]),
    });
    await using chain = openChain(`${upstream.url}|${upstream.url}/,direct`, "*.corp.example,example.com/secret");
    for (const path of [
      "git.corp.example/team/m/@v/list",
      "git.corp.example/team/m/@latest",
      "git.corp.example/team/m/@v/main.info",
      "git.corp.example/team/m/@v/v1.0.0.info",
      "git.corp.example/team/m/@v/v1.0.0.mod",
      "git.corp.example/team/m/@v/v1.0.0.zip",
      "git.corp.example/team/m/v2/@v/list",
      "example.com/secret/@v/list",
      "example.com/secret/below/@v/list",
    ]) {
      expect(await failureOf(fetchBytes(chain, path))).toMatchObject({
        code: "not_found",
        details: { asked: 0 },
      });
    }
    expect(upstream.requests).toEqual([]);
    expect((await fetchBytes(chain, "example.com/public/@v/list")).toString()).toBe("v1.0.0\n");
    expect(upstream.requests.length).toBe(1);
    await upstream.close();
  });
});

describe("the answer of a chain", () => {
  let first: FixtureUpstream;
  let second: FixtureUpstream;
  beforeEach(async () => {
    [first, second] = await Promise.all([startFixtureUpstream(), startFixtureUpstream({ missingStatus: 410 })]);
  });
  afterEach(() => Promise.all([first.close(), second.close()]));

  test("names every upstream that was asked, and never what is in its URL besides", async () => {
    first.setFault(info, { kind: "status", status: 503, headers: { "retry-after": "120" } });
    await using chain = openChain(`${first.url.replace("//", "//me:hunter2@")}/?token=hunter2|${second.url},direct`);
    expect(chain.name).toBe(`${first.url}|${second.url},direct`);
    const absent = await failureOf(fetchBytes(chain, "example.com/absent/@v/v1.0.0.mod"));
    expect(absent.code).toBe("not_found");
    expect(absent.message).toBe(
      `not found: example.com/absent@v1.0.0: no source in the chain has it\n  ${first.url}: answered 404\n  ${second.url}: answered 410\n` +
        "  'direct' is in the chain, but git is switched off here ([git] enabled); the client can use it itself, with `direct` behind Sluice in its GOPROXY",
    );
    expect(first.requests.at(-1)?.url).toBe("/example.com/absent/@v/v1.0.0.mod?token=hunter2");
    second.setFault(info, { kind: "close" });
    const failed = await failureOf(fetchBytes(chain, info));
    expect([failed.code, failed.retryAfterSeconds]).toEqual(["upstream_failed", undefined]);
    expect(failed.message).toMatch(`example.com/leaf@v1.2.0: ${second.url}: closed the connection`);
    expect(failed.message).toMatch(`  ${first.url}: answered 503\nAsk again later.`);
    expect(JSON.stringify([absent.message, absent.details, failed.message, failed.details])).not.toContain("hunter2");
  });

  test("passes on for how long an upstream asked to be left alone", async () => {
    first.setFault(info, { kind: "status", status: 429, headers: { "retry-after": "120" } });
    await using chain = openChain(first.url);
    expect(await failureOf(fetchBytes(chain, info))).toMatchObject({ code: "upstream_failed", retryAfterSeconds: 120 });
  });

  test("comes from one upstream as a whole: a body that broke off is not continued by the next", async () => {
    const zip = "example.com/big/@v/v1.0.0.zip";
    first.setFault(zip, { kind: "cut", afterBytes: 1_000_000 });
    await using chain = openChain(`${first.url}|${second.url}`);
    const sources: string[] = [];
    const bytes = await chain.fetch(
      requestOf(zip),
      (response) => {
        sources.push(response.source);
        return readAll(response);
      },
      contextOf(),
    );
    expect(bytes.equals(fixtureFiles().get(zip) ?? Buffer.of())).toBe(true);
    expect(sources).toEqual([first.url, first.url, second.url]);
  });
});

describe.skipIf(lacks("go", ["version"]))("a module cache of the go command as a file upstream", () => {
  test("has everything that was downloaded into it", async () => {
    const upstream = await startFixtureUpstream();
    const machine = await createGoMachine({ GOPROXY: upstream.url, GOFLAGS: "-mod=mod -modcacherw" });
    for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(join(machine.dir, name), content);
    expect(await machine.go(["mod", "download", "all"])).toMatchObject({ code: 0 });
    await upstream.close();

    await using chain = openChain(`file://${machine.modCache}/cache/download,${upstream.url}`);
    const downloaded = upstream.requests.map(({ path }) => path).filter((path) => /\.(mod|zip)$/.test(path));
    expect(downloaded.length).toBeGreaterThan(20);
    const wrong: string[] = [];
    for (const path of downloaded) {
      if (!(await fetchBytes(chain, path)).equals(fixtureFiles().get(path) ?? Buffer.of())) wrong.push(path);
    }
    expect(wrong).toEqual([]);
    expect((await fetchBytes(chain, "example.com/leaf/@v/list")).toString()).toContain("v1.2.0\n");
    await machine.remove();
  });
});

describe("@latest where an upstream has none", () => {
  test("a failure before it is forgotten when the next one has a list", async () => {
    const dead = await startFixtureUpstream();
    dead.setFault(/./, { kind: "status", status: 503 });
    const listed = await startFixtureUpstream({ withoutLatest: true });
    onTestFinished(async () => {
      await Promise.all([dead.close(), listed.close()]);
    });
    await using chain = openChain(`${dead.url}|${listed.url}`);
    expect((await failureOf(fetchBytes(chain, "example.com/leaf/@latest"))).code).toBe("not_found");
  });

  const versions = (...names: string[]) =>
    names.map((version) => ({ path: "example.com/m", version, files: { "m.go": "package m\n" } }));

  test.each([
    ["its list has versions: the next is not asked, as go would not", { list: undefined }, "not_found", 0],
    ["its list is empty: the next is asked", { list: { kind: "bytes", bytes: "" } }, "v2.0.0+incompatible", 1],
    ["it has no list either: the next is asked", { list: { kind: "status", status: 404 } }, "v2.0.0+incompatible", 1],
    ["its list cannot be had: that is a failure", { list: { kind: "status", status: 500 } }, "upstream_failed", 0],
  ] as const)("%s", async (_name, { list }, expected, asked) => {
    const first = await startFixtureUpstream({ modules: buildModules(versions("v1.0.0")), withoutLatest: true });
    const second = await startFixtureUpstream({ modules: buildModules(versions("v2.0.0+incompatible")) });
    onTestFinished(async () => {
      await Promise.all([first.close(), second.close()]);
    });
    if (list !== undefined) first.setFault("example.com/m/@v/list", list);
    await using chain = openChain(`${first.url},${second.url}`);
    const outcome = await fetchBytes(chain, "example.com/m/@latest").then(
      (bytes) => /"Version":"([^"]+)"/.exec(bytes.toString())?.[1],
      (error: unknown) => (isSluiceError(error) ? error.code : "?"),
    );
    expect(outcome).toBe(expected);
    expect(second.requests).toHaveLength(asked);
  });
});
