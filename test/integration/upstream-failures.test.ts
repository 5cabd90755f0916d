import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SluiceError } from "../../src/core/errors.ts";
import { bigFileBytes, fixtureFiles } from "../support/fixture-modules.ts";
import { type Fault, type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacks } from "../support/needs.ts";
import { createRandom } from "../support/random.ts";
import {
  attemptsOf,
  contextOf,
  failureOf,
  fetchBytes,
  openUpstream,
  readAll,
  requestOf,
} from "../support/source-harness.ts";

const mod = "example.com/leaf/@v/v1.2.0.mod";
const zip = "example.com/big/@v/v1.0.0.zip";
const files = fixtureFiles();

let upstream: FixtureUpstream;

beforeEach(async () => {
  upstream = await startFixtureUpstream();
});
afterEach(() => upstream.close());

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
  ])("%s", async (_name, fault) => {
    upstream.setFault(zip, { ...fault, times: 1 });
    await using opened = openUpstream(upstream.url);
    const bytes = await fetchBytes(opened.source, zip);
    expect(bytes.equals(files.get(zip) ?? Buffer.of())).toBe(true);
    expect(upstream.requests.length).toBe(2);
    expect(attemptsOf(opened.events).at(-1)).toBe("2 ok 200");
  });

  test.each<[string, Fault]>([
    ["a body that stops coming", { kind: "stall", afterBytes: 100_000 }],
    ["an answer that never comes", { kind: "hang" }],
  ])("%s", async (_name, fault) => {
    upstream.setFault(zip, { ...fault, times: 1 });
    await using opened = openUpstream(upstream.url, { client: { timeouts: { firstByteMs: 1000, idleBodyMs: 1000 } } });
    const bytes = await fetchBytes(opened.source, zip);
    expect(bytes.equals(files.get(zip) ?? Buffer.of())).toBe(true);
    expect(attemptsOf(opened.events)[0]).toContain("1 upstream_timeout");
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
    await using opened = openUpstream(upstream.url);
    const error = await failureOf(fetchBytes(opened.source, zip));
    expect(error.message.startsWith(`${upstream.url}: `)).toBe(true);
    expect([error.code, error.message, upstream.requests.length]).toEqual([
      code,
      expect.stringMatching(message),
      requests,
    ]);
  });

  test.each<[string, Fault, RegExp]>([
    ["never an answer", { kind: "hang" }, /did not begin to answer within 0\.05 s \(4 attempts\)$/],
    ["a drip", { kind: "drip", everyMs: 5 }, /stopped sending in the middle of a body \(4 attempts\)$/],
  ])("%s", async (_name, fault, message) => {
    upstream.setFault(zip, fault);
    const timeouts = fault.kind === "hang" ? { firstByteMs: 50 } : { idleBodyMs: 50 };
    await using opened = openUpstream(upstream.url, { client: { timeouts } });
    const error = await failureOf(fetchBytes(opened.source, zip));
    expect([error.code, error.message]).toEqual(["upstream_timeout", expect.stringMatching(message)]);
    expect(upstream.requests.length).toBe(4);
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
