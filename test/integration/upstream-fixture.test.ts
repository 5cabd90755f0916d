import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixtureConsumer, fixtureFiles, pseudoVersion } from "../support/fixture-modules.ts";
import { type Fault, type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";

// The fixture stands in for a real GOPROXY in every other test, so here the real go command says whether it is one.

const leafZip = "example.com/leaf/@v/v1.2.0.zip";
let upstream: FixtureUpstream;

beforeEach(async () => {
  upstream = await startFixtureUpstream();
});
afterEach(() => upstream.close());

describe.skipIf(lacks("go", ["version"]))("the go command", () => {
  let machine: GoMachine;
  beforeEach(async () => {
    machine = await createGoMachine({ GOPROXY: upstream.url, GOFLAGS: "-mod=mod -modcacherw", GOVCS: "*:off" });
  });
  afterEach(() => machine.remove());

  async function go(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await machine.go(args);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  }

  test("downloads, verifies and compiles a project that needs every module", async () => {
    for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(join(machine.dir, name), content);
    await go("mod", "tidy");
    await go("mod", "download", "all");
    expect(await go("mod", "verify")).toBe("all modules verified\n");
    await go("vet", "./...");
    expect(await go("list", "-m", "-f", "{{.Version}}", "example.com/nested/d")).toBe("v1.2.0\n");
  });

  test("lists, resolves and sees retractions and deprecations", async () => {
    await writeFile(join(machine.dir, "go.mod"), "module example.org/consumer\n\ngo 1.21\n");
    expect(await go("list", "-m", "-versions", "example.com/leaf")).toBe(
      "example.com/leaf v1.0.0 v1.1.0 v1.2.0 v1.3.0-rc.1\n",
    );
    const latest = async (path: string) => (await go("list", "-m", "-f", "{{.Version}}", path)).trim();
    expect(await latest("example.com/retracted@latest")).toBe("v1.0.0");
    expect(await latest("example.com/pseudo@latest")).toBe(pseudoVersion);
    expect(await latest("example.com/pseudo@main")).toBe(pseudoVersion);
    expect(await latest("example.com/Upper/Case@v1.1.0-RC.1")).toBe("v1.1.0-RC.1");
    expect(await latest("example.com/legacy@v3.0.0")).toBe("v3.0.0+incompatible");
    expect(await go("list", "-m", "-u", "-json", "example.com/deprecated@v1.1.0")).toContain(
      "use example.com/leaf instead",
    );
  });
});

test("serves ranges for those who resume", async () => {
  const bytes = fixtureFiles().get(leafZip) ?? new Uint8Array();
  const whole = await fetch(`${upstream.url}/${leafZip}`);
  const etag = whole.headers.get("etag") ?? "";
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
  const rest = await fetch(`${upstream.url}/${leafZip}`, { headers: { range: "bytes=10-", "if-range": etag } });
  expect([rest.status, rest.headers.get("content-range")]).toEqual([
    206,
    `bytes 10-${bytes.length - 1}/${bytes.length}`,
  ]);
  expect(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(10))).toBe(true);
  const changed = await fetch(`${upstream.url}/${leafZip}`, { headers: { range: "bytes=10-", "if-range": '"other"' } });
  expect(changed.status).toBe(200);
  await changed.arrayBuffer();
});

test("records what it was asked, decoded and raw", async () => {
  await (await fetch(`${upstream.url}/example.com/%21upper/%21case/@v/list`)).text();
  expect(upstream.requests).toMatchObject([
    { method: "GET", path: "example.com/!upper/!case/@v/list", url: "/example.com/%21upper/%21case/@v/list" },
  ]);
});

test("a fault holds for as many times as it says, the latest first", async () => {
  upstream.setFault(/\.zip$/, { kind: "status", status: 503 });
  upstream.setFault(leafZip, { kind: "status", status: 429, headers: { "retry-after": "1" }, times: 1 });
  const statuses = [];
  for (let count = 0; count < 2; count += 1) statuses.push((await fetch(`${upstream.url}/${leafZip}`)).status);
  upstream.clearFaults();
  statuses.push((await fetch(`${upstream.url}/${leafZip}`)).status);
  expect(statuses).toEqual([429, 503, 200]);
});

test("a held answer comes when it is let go, and arrivals can be awaited", async () => {
  const gate = Promise.withResolvers<void>();
  upstream.setFault(leafZip, { kind: "delay", until: gate.promise });
  const answer = fetch(`${upstream.url}/${leafZip}`);
  await upstream.arrived(leafZip);
  gate.resolve();
  expect((await answer).status).toBe(200);
});

describe("broken bodies end as such", () => {
  const size = fixtureFiles().get(leafZip)?.length ?? 0;
  const table: readonly (readonly [string, Fault, unknown])[] = [
    ["cut at once", { kind: "cut", afterBytes: 0 }, { received: 0, complete: false }],
    ["cut half-way", { kind: "cut", afterBytes: 100 }, { received: 100, complete: false }],
    ["length too large", { kind: "length", contentLength: size + 1 }, { received: size, complete: false }],
    ["closed without an answer", { kind: "close" }, "ECONNRESET"],
  ];
  test.each(table)("%s", async (_name, fault, expected) => {
    upstream.setFault(leafZip, fault);
    expect(await rawGet(`${upstream.url}/${leafZip}`)).toEqual(expected);
  });
});

test("closing frees hanging, stalled and dripping answers", async () => {
  upstream.setFault("a", { kind: "hang" });
  upstream.setFault("b", { kind: "stall", afterBytes: 0 });
  upstream.setFault(leafZip, { kind: "drip", everyMs: 3_600_000 });
  const answers = ["a", "b", leafZip].map((path) => rawGet(`${upstream.url}/${path}`).catch(() => "failed"));
  await Promise.all(["a", "b", leafZip].map((path) => upstream.arrived(path)));
  await upstream.close();
  await Promise.all(answers);
  expect(await rawGet(upstream.url)).toBe("ECONNREFUSED");
});

/** How a body ends, which fetch does not tell: bytes received and whether node took it for whole; or the error's code. */
function rawGet(url: string): Promise<{ received: number; complete: boolean } | string> {
  return new Promise((resolve) => {
    request(url, { agent: false }, (response) => {
      let received = 0;
      response.on("data", (chunk: Buffer) => (received += chunk.length));
      response.on("error", () => {});
      response.on("close", () => resolve({ received, complete: response.complete }));
    })
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end();
  });
}
