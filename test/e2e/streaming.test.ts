import { createHash } from "node:crypto";
import { readdir, readlink } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startCuttingUpstream } from "../support/cutting-upstream.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const bigPath = "example.com/big/@v/v1.0.0.zip";
const big = Buffer.from(fixtureFiles().get(bigPath) ?? []);

let upstream: FixtureUpstream;
let sluice: RunningSluice;

beforeEach(async () => {
  upstream = await startFixtureUpstream();
  sluice = await start();
});
afterEach(async () => {
  await sluice.stop();
  await upstream.close();
});

function start(env: Readonly<Record<string, string>> = {}): Promise<RunningSluice> {
  return startSluiceProcess({ upstream: upstream.url, env: { SLUICE_SERVER_SHUTDOWN_TIMEOUT: "1s", ...env } });
}

function isWhole(answer: RawAnswer): boolean {
  return answer.status === 200 && !answer.broken && answer.body.equals(big);
}

describe("a cold 7 MB zip", () => {
  test("costs one upstream request for 200 simultaneous clients, and all get all of it", async () => {
    // The upstream is in one process with the clients, and pauses where the machine is slow: no second request for that.
    await sluice.stop();
    sluice = await start({ SLUICE_UPSTREAM_HEDGE: "0" });
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(sluice.url, `/${bigPath}`)));
    expect(answers.filter(isWhole)).toHaveLength(200);
    expect(upstream.requestsFor(bigPath)).toHaveLength(1);
  });

  test("goes to the client while the upstream is still sending", async () => {
    upstream.setFault(bigPath, { kind: "stall", afterBytes: 4 << 20 });
    const gone = new AbortController();
    const seen = new Promise<number>((resolve) => {
      void fetch(`${sluice.url}/${bigPath}`, { signal: gone.signal }).then(async (response) => {
        let size = 0;
        for await (const chunk of response.body ?? []) {
          size += chunk.length;
          if (size > 3 << 20) return resolve(size);
        }
        return resolve(0);
      });
    });
    expect(await seen).toBeLessThan(4 << 20);
    gone.abort();
  });

  test("that is cut half-way upstream arrives whole, without the client noticing", async () => {
    upstream.setFault(bigPath, { kind: "cut", afterBytes: 3 << 20, times: 2 });
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(sluice.url, `/${bigPath}`)));
    expect(answers.filter(isWhole)).toHaveLength(5);
    expect(upstream.requestsFor(bigPath)).toHaveLength(3);
  });

  test("through a network that cuts it again and again is sent about once", async () => {
    await using cutting = await startCuttingUpstream(big, (_, url) =>
      url.endsWith(".zip") ? { cutAfter: 600_000 } : { status: 404 },
    );
    const own = await startSluiceProcess({ upstream: cutting.url });
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(own.url, `/${bigPath}`)));
    const metrics = (await ask(own.url, "/metrics")).body.toString();
    await own.stop();
    expect(answers.filter(isWhole)).toHaveLength(5);
    expect(cutting.requests.length).toBeGreaterThan(10);
    expect(cutting.sentBytes).toBeLessThan(big.length * 1.5);
    expect(metrics).toMatch(/^sluice_fetch_resumed_bytes_total\{.*\} [1-9]/m);
  });

  test("with wrong bytes ends as a broken transfer, is not kept, and is good once the upstream is", async () => {
    const wrong = Buffer.from(big);
    wrong[5 << 20] = (wrong[5 << 20] ?? 0) ^ 1;
    upstream.setFault(bigPath, { kind: "bytes", bytes: wrong });
    const bad = await ask(sluice.url, `/${bigPath}`);
    expect(bad.broken).toBe(true);
    expect(bad.body.length).toBeLessThan(big.length);
    upstream.clearFaults();
    expect(isWhole(await ask(sluice.url, `/${bigPath}`))).toBe(true);
  });

  test("goes into the store although its only client left", async () => {
    const gate = Promise.withResolvers<void>();
    upstream.setFault(bigPath, { kind: "delay", until: gate.promise });
    const gone = new AbortController();
    const asked = ask(sluice.url, `/${bigPath}`, { signal: gone.signal });
    await upstream.arrived(bigPath);
    gone.abort();
    await expect(asked).rejects.toMatchObject({ name: "AbortError" });
    gate.resolve();
    await expect
      .poll(async () => (await ask(sluice.url, `/cached-only/${bigPath}`)).status, { timeout: 20_000 })
      .toBe(200);
    expect(upstream.requestsFor(bigPath)).toHaveLength(1);
  });

  test("that the client's connection lost half-way is resumed by Range, as newer go commands do", async () => {
    await ask(sluice.url, `/${bigPath}`);
    const half = new AbortController();
    const response = await fetch(`${sluice.url}/${bigPath}`, { signal: half.signal });
    const etag = response.headers.get("etag") ?? "";
    expect(etag).toBe(`"${createHash("sha256").update(big).digest("hex")}"`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > 1 << 20) break;
    }
    half.abort();
    const rest = await ask(sluice.url, `/${bigPath}`, { headers: { range: `bytes=${size}-`, "if-range": etag } });
    expect(rest.status).toBe(206);
    expect(rest.headers["content-range"]).toBe(`bytes ${size}-${big.length - 1}/${big.length}`);
    expect(Buffer.concat([...chunks, rest.body]).equals(big)).toBe(true);
  });
});

describe("clients that leave a cold zip before its first byte", () => {
  test("leave no open file behind", async () => {
    const gate = Promise.withResolvers<void>();
    upstream.setFault(bigPath, { kind: "delay", until: gate.promise });
    const gone = new AbortController();
    const leaving = Array.from({ length: 20 }, () => ask(sluice.url, `/${bigPath}`, { signal: gone.signal }));
    await upstream.arrived(bigPath);
    gone.abort();
    await Promise.allSettled(leaving);
    gate.resolve();
    await expect
      .poll(async () => (await ask(sluice.url, `/cached-only/${bigPath}`)).status, { timeout: 20_000 })
      .toBe(200);
    const open = async (): Promise<number> => {
      const names = await readdir(`/proc/${sluice.pid}/fd`);
      const targets = await Promise.all(
        names.map((name) => readlink(`/proc/${sluice.pid}/fd/${name}`).catch(() => "")),
      );
      return targets.filter((target) => target.includes("/staging/")).length;
    };
    await expect.poll(open, { timeout: 10_000 }).toBe(0);
  });
});

describe("a log that cannot be written", () => {
  test.skipIf(process.platform !== "linux")("costs no answer, and the server still stops", async () => {
    const own = await startSluiceProcess({ upstream: upstream.url, logTo: "/dev/full" });
    for (let turn = 0; turn < 300; turn++) {
      expect((await ask(own.url, "/example.com/leaf/@v/v1.0.0.mod")).status).toBe(200);
    }
    expect(await own.stop()).toBe(0);
  });
});

describe("slow and dead upstreams", () => {
  test("hits do not wait for fetches that hang", async () => {
    const hit = "/example.com/leaf/@v/v1.0.0.info";
    await ask(sluice.url, hit);
    upstream.setFault(/example\.com\/hang/, { kind: "hang" });
    const gone = new AbortController();
    const hanging = Array.from({ length: 100 }, (_, index) =>
      ask(sluice.url, `/example.com/hang${index}/@v/list`, { signal: gone.signal }).catch(() => undefined),
    );
    await upstream.arrived(/example\.com\/hang/, 64);
    for (let turn = 0; turn < 20; turn++) expect((await ask(sluice.url, hit)).status).toBe(200);
    gone.abort();
    await Promise.all(hanging);
  });

  test("SIGTERM lets a download end, refuses new ones, and the process ends with 0", async () => {
    await sluice.stop();
    sluice = await startSluiceProcess({ upstream: upstream.url });
    const gate = Promise.withResolvers<void>();
    upstream.setFault("example.com/leaf/@v/v1.0.0.zip", { kind: "delay", until: gate.promise });
    const running = ask(sluice.url, "/example.com/leaf/@v/v1.0.0.zip");
    await upstream.arrived("example.com/leaf/@v/v1.0.0.zip");
    const stopped = sluice.stop();
    await expect.poll(() => ask(sluice.url, "/healthz").catch(() => "refused")).toBe("refused");
    gate.resolve();
    expect((await running).status).toBe(200);
    expect(await stopped).toBe(0);
  });

  test("SIGTERM lets a client that reads slowly have all of an answer from memory", async () => {
    await sluice.stop();
    sluice = await startSluiceProcess({ upstream: upstream.url });
    for (let turn = 0; turn < 2; turn++) expect(isWhole(await ask(sluice.url, `/${bigPath}`))).toBe(true);
    const slow = await new Promise<IncomingMessage>((resolve) => get(`${sluice.url}/${bigPath}`, resolve));
    expect(slow.headers["x-sluice-cache"]).toBe("hit");
    slow.pause();
    const stopped = sluice.stop();
    await expect.poll(() => ask(sluice.url, "/healthz").catch(() => "refused")).toBe("refused");
    expect((await buffer(slow)).equals(big)).toBe(true);
    expect(await stopped).toBe(0);
  });
});
