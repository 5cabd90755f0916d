import { readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import type { EndedIncident } from "../../src/core/incident.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { closedPort } from "../support/loopback.ts";
import { type ChildProcessFacts, childrenOf, isAlive } from "../support/processes.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const files = fixtureFiles();
/** Machines that are busy with other tests take their time to start processes. */
const patience = { timeout: 90_000, interval: 50 };

let folder: string;
let configFile: string;
let upstream: FixtureUpstream;
let sluice: RunningSluice;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-workers-"));
  configFile = join(folder, "sluice.toml");
  upstream = await startFixtureUpstream();
  writeFileSync(configFile, configOf());
  sluice = await startSluiceProcess({ upstream: "off", args: ["--workers", "2", "--config", configFile] });
}, 120_000);
afterAll(async () => {
  await sluice.stop();
  await upstream.close();
  await rm(folder, { recursive: true });
}, 60_000);
beforeEach(() => {
  upstream.requests.length = 0;
  return () => upstream.clearFaults();
});
vi.setConfig({ testTimeout: 150_000 });

function configOf(more = ""): string {
  // The upstream shares its process with the clients, and may be late where the machine is slow: requests to it are counted.
  return `[upstream]\nchain = "${upstream.url}"\nhedge = 0\n${more}`;
}

function processes(role: "engine" | "front"): ChildProcessFacts[] {
  return childrenOf(sluice.pid).filter(({ title }) => title === `sluice ${role}`);
}

function engine(): number {
  const [found] = processes("engine");
  if (found === undefined) throw new Error("there is no engine");
  return found.pid;
}

function openHandles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Of Sluices that have `folder` for temporary files. */
function engineFolders(): string[] {
  return readdirSync(folder).filter((name) => name.startsWith("sluice-engine-"));
}

async function operate(action: "purge" | "offline", asked: object): Promise<void> {
  const token = await readFile(join(sluice.dataDir, "admin.token"), "utf8");
  const answer = await fetch(`${sluice.url}/-/${action}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token.trim()}`, "content-type": "application/json" },
    body: JSON.stringify(asked),
  });
  expect(answer.status).toBe(200);
}

/** Clients on connections that stay open, each asking for one path after the other until told to stop. */
function startClients(count: number, paths: readonly string[]) {
  const over = new AbortController();
  const problems: string[] = [];
  let answers = 0;
  const run = async (client: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let at = client; !over.signal.aborted; at += 1) {
      const path = paths[at % paths.length] ?? "";
      try {
        const answer = await ask(sluice.url, `/${path}`, { agent });
        if (!isWhole(path, answer)) problems.push(`${path}: ${answer.status} ${answer.body.toString().slice(0, 300)}`);
      } catch (error) {
        problems.push(`${path}: ${String(error)}`);
      }
      answers += 1;
    }
    agent.destroy();
  };
  const running = Array.from({ length: count }, (_, client) => run(client));
  return {
    answers: () => answers,
    async end(): Promise<string[]> {
      over.abort();
      await Promise.all(running);
      return problems;
    },
  };
}

function isWhole(path: string, { status, body, broken }: RawAnswer): boolean {
  const expected = files.get(path);
  return status === 200 && !broken && expected !== undefined && (path.endsWith("@latest") || body.equals(expected));
}

test("200 clients at all fronts cost one request for a cold file, and get the same", async () => {
  const path = "example.com/versioned/v2/@v/v2.0.0.zip";
  const gate = Promise.withResolvers<void>();
  upstream.setFault(path, { kind: "delay", until: gate.promise });
  const asking = Array.from({ length: 200 }, () => ask(sluice.url, `/${path}`));
  await upstream.arrived(path);
  gate.resolve();
  const answers = await Promise.all(asking);
  expect(answers.every((answer) => isWhole(path, answer))).toBe(true);
  expect(upstream.requestsFor(path)).toHaveLength(1);
});

test("what was fetched is answered from then on by all fronts, which stand in one metric and one log", async () => {
  const path = "example.com/leaf/@v/v1.2.0.mod";
  const list = "example.com/leaf/@v/list";
  for (let round = 0; round < 6; round += 1) {
    expect(isWhole(path, await ask(sluice.url, `/${path}`))).toBe(true);
    expect(isWhole(list, await ask(sluice.url, `/${list}`))).toBe(true);
  }
  expect([upstream.requestsFor(path).length, upstream.requestsFor(list).length]).toStrictEqual([1, 1]);
  const metrics = (await ask(sluice.url, "/metrics")).body.toString();
  expect(metrics).toMatch(/^sluice_requests_total\{kind="mod",status="200",cache="miss"\} 1$/m);
  expect(metrics).toMatch(/^sluice_requests_total\{kind="mod",status="200",cache="hit"\} 5$/m);
  expect(metrics).toMatch(/^sluice_build_info\{version="[^"]+"\} 1$/m);
});

test("a front tells the engine who asks, and by what id", async () => {
  const headers = { "x-request-id": "workers-id-1", "x-sluice-client": "10.9.8.7" };
  const answer = await ask(sluice.url, "/example.com/deprecated/@v/v1.0.0.info", { headers });
  expect(answer.headers["x-request-id"]).toBe("workers-id-1");
  expect(Object.keys(answer.headers).filter((name) => name.startsWith("x-sluice-"))).toStrictEqual(["x-sluice-cache"]);
  await sluice.saw(/"id":"workers-id-1","client":"127\.0\.0\.1"/);
});

test("a client that goes away is no client of the engine any more", async () => {
  const path = "example.com/retracted/@v/v1.0.0.zip";
  const gate = Promise.withResolvers<void>();
  upstream.setFault(path, { kind: "delay", until: gate.promise });
  const gone = new AbortController();
  const asking = ask(sluice.url, `/${path}`, { signal: gone.signal, headers: { "x-request-id": "gone-away" } });
  await upstream.arrived(path);
  gone.abort();
  await expect(asking).rejects.toThrow("abort");
  await sluice.saw(/"id":"gone-away".*cancelled/);
  gate.resolve();
});

test("malformed requests, wrong methods and unknown modules have the answers that they always have", async () => {
  const answers = await Promise.all([
    ask(sluice.url, "/example.com/no-such/@v/list"),
    ask(sluice.url, "/example.com/leaf/@v/v1.0.0.zap"),
    ask(sluice.url, "/example.com/leaf/@v/list", { method: "DELETE" }),
    ask(sluice.url, "/cached-only/example.com/never/@v/list"),
    ask(sluice.url, "/healthz"),
    ask(sluice.url, "/readyz"),
    ask(sluice.url, "/-/status"),
  ]);
  expect(answers.map(({ status }) => status)).toStrictEqual([404, 404, 405, 404, 200, 200, 401]);
});

test("ranges, conditions and HEAD are answered from the store by a front", async () => {
  const path = "example.com/big/@v/v1.0.0.zip";
  const { body: whole } = await ask(sluice.url, `/${path}`);
  const { headers } = await ask(sluice.url, `/${path}`, { method: "HEAD" });
  const part = await ask(sluice.url, `/${path}`, { headers: { range: "bytes=100-299" } });
  const same = await ask(sluice.url, `/${path}`, { headers: { "if-none-match": String(headers.etag) } });
  expect(headers["content-length"]).toBe(String(whole.length));
  expect([part.status, part.body.equals(whole.subarray(100, 300)), same.status]).toStrictEqual([206, true, 304]);
});

test("a purge reaches what all fronts remember", async () => {
  const path = "example.com/versioned/@v/list";
  const lists = async (): Promise<string[]> => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(sluice.url, `/${path}`)));
    return answers.map(({ body }) => body.toString());
  };
  const [old = ""] = await lists();
  upstream.setFault(path, { kind: "bytes", bytes: `${old}v1.99.0\n` });
  expect(new Set(await lists())).toStrictEqual(new Set([old]));
  await operate("purge", { module: "example.com/versioned" });
  await vi.waitUntil(async () => (await lists()).every((list) => list.endsWith("v1.99.0\n")), patience);
  upstream.clearFaults();
});

const statusSchema = z.object({ incidents: z.object({ ended: z.array(z.custom<EndedIncident>()) }) });

async function endedIncidents(): Promise<EndedIncident[]> {
  const token = (await readFile(join(sluice.dataDir, "admin.token"), "utf8")).trim();
  const { body } = await ask(sluice.url, "/-/status", { headers: { authorization: `Bearer ${token}` } });
  return statusSchema.parse(JSON.parse(body.toString())).incidents.ended;
}

/** The loss of that process was an incident, from when the primary noticed it until the next one answered. */
async function healedLoss(pid: number): Promise<EndedIncident | undefined> {
  await sluice.saw(new RegExp(`"event":"incident_ended".*"rule":"process-lost".*"seen":"process ${pid}: SIGKILL"`));
  // It is written behind what it tells of.
  await vi.waitFor(async () => {
    const audit = (await readFile(join(sluice.dataDir, "audit.log"), "utf8")).trim().split("\n");
    const records = audit.filter((line) => line.includes(`process ${pid}: SIGKILL`));
    expect(records.map((line) => /"event":"(\w+)"/.exec(line)?.[1])).toStrictEqual([
      "incident_opened",
      "incident_ended",
    ]);
  }, patience);
  const metrics = (await ask(sluice.url, "/metrics")).body.toString();
  expect(metrics).toMatch(/^sluice_incidents_open\{rule="process-lost"\} 0$/m);
  expect(metrics).toMatch(/^sluice_recovery_seconds_count\{rule="process-lost"\} [1-9]/m);
  return (await endedIncidents()).find(({ seen }) => seen === `process ${pid}: SIGKILL`);
}

describe("processes that end", () => {
  // Without what is written anew, what takes long, and what other tests change or want cold.
  const paths = [...files.keys()].filter((path) => !/\/(oddinfo|big|nested\/a|versioned)\//.test(path));

  test("an engine that is killed costs no request, cold or stored, and another one takes its place", async () => {
    const clients = startClients(8, paths);
    for (let round = 0; round < 2; round += 1) {
      const killed = engine();
      await vi.waitUntil(() => clients.answers() > 100 * (round + 1), patience);
      process.kill(killed, "SIGKILL");
      await vi.waitUntil(() => processes("engine").some(({ pid }) => pid !== killed), patience);
      // Something only an engine answers.
      expect((await ask(sluice.url, "/metrics")).status).toBe(200);
    }
    expect(await clients.end()).toStrictEqual([]);
    expect(sluice.output()).toMatch(
      /"event":"process_lost","role":"engine","process":"engine","pid":\d+,"how":"SIGKILL"/,
    );
  });

  test("a loss is an incident until the next one answers, also of the engine that follows incidents", async () => {
    const [front = 0] = processes("front").map(({ pid }) => pid);
    process.kill(front, "SIGKILL");
    const how = expect.stringMatching(/^process \d+ answers$/);
    expect(await healedLoss(front)).toMatchObject({ subject: expect.stringMatching(/^front [12]$/), how });
    const killed = engine();
    process.kill(killed, "SIGKILL");
    expect(await healedLoss(killed)).toMatchObject({ subject: "engine", outcome: "healed", how });
  });

  test("a body that an engine was sending when it was killed goes on where it was", async () => {
    const cold = await startFixtureUpstream();
    onTestFinished(() => cold.close());
    const path = "example.com/big/@v/v1.0.0.zip";
    const other = await startSluiceProcess({ upstream: cold.url, args: ["--workers", "2"] });
    onTestFinished(async () => void (await other.stop()));
    cold.setFault(path, { kind: "stall", afterBytes: 3 * 1024 * 1024, times: 1 });
    const response = await fetch(`${other.url}/${path}`);
    const reader = response.body?.getReader();
    const parts: Uint8Array[] = [(await reader?.read())?.value ?? new Uint8Array()];
    const victim = childrenOf(other.pid).find(({ title }) => title === "sluice engine");
    process.kill(victim?.pid ?? 0, "SIGKILL");
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) parts.push(next.value);
    expect(Buffer.concat(parts).equals(files.get(path) ?? Buffer.of())).toBe(true);
    expect(cold.requestsFor(path)).toHaveLength(2);
  });

  test.each(["front", "engine"] as const)("a %s that is asked to end costs no request", async (role) => {
    const clients = startClients(8, paths);
    await vi.waitUntil(() => clients.answers() > 50, patience);
    const before = processes(role).map(({ pid }) => pid);
    const [asked = 0] = before;
    process.kill(asked, "SIGTERM");
    await vi.waitUntil(() => !isAlive(asked), patience);
    await vi.waitUntil(() => processes(role).length === before.length, patience);
    const seen = clients.answers();
    await vi.waitUntil(() => clients.answers() > seen + 50, patience);
    expect(await clients.end()).toStrictEqual([]);
  });

  test("what an operator said counts for the next engine: it stays offline", async () => {
    await operate("offline", { offline: true });
    onTestFinished(() => operate("offline", { offline: false }));
    const killed = engine();
    process.kill(killed, "SIGKILL");
    await vi.waitUntil(() => processes("engine").some(({ pid }) => pid !== killed), patience);
    const { status, body } = await ask(sluice.url, "/example.com/unheard/@v/v1.0.0.info");
    expect([status, body.toString()]).toStrictEqual([503, expect.stringContaining("this Sluice is offline")]);
    expect(upstream.requests).toStrictEqual([]);
  });

  test("a connection that was given to a front which stands still is answered when that one is killed", async () => {
    const [killed = 0] = processes("front").map(({ pid }) => pid);
    process.kill(killed, "SIGSTOP");
    const asking = Array.from({ length: 6 }, () => ask(sluice.url, "/healthz"));
    // One of them waits in the front that stands still; the others are answered by the other one.
    await Promise.any(asking);
    process.kill(killed, "SIGKILL");
    expect((await Promise.all(asking)).map(({ status }) => status)).toStrictEqual(asking.map(() => 200));
    await healedLoss(killed);
  });

  test("no connection is left open without anybody who answers when all fronts are killed", async () => {
    const listen = `127.0.0.1:${await closedPort()}`;
    const other = await startSluiceProcess({ upstream: "off", args: ["--workers", "2", "--listen", listen] });
    onTestFinished(async () => void (await other.stop()));
    const fronts = childrenOf(other.pid).filter(({ title }) => title === "sluice front");
    expect(fronts).toHaveLength(2);
    for (const { pid } of fronts) process.kill(pid, "SIGSTOP");
    const held = openHandles(other.pid);
    const asking = Array.from({ length: 4 }, () => ask(other.url, "/healthz"));
    // Two are handed to the fronts, and two wait, all of them in the primary's hands.
    await vi.waitUntil(() => openHandles(other.pid) >= held + asking.length, patience);
    for (const { pid } of fronts) process.kill(pid, "SIGKILL");
    // Answered by the next ones, or broken off so that the client asks again.
    expect(await Promise.allSettled(asking)).toHaveLength(asking.length);
    await vi.waitFor(async () => expect((await ask(other.url, "/healthz")).status).toBe(200), patience);
  });

  test("a front that is killed is replaced", async () => {
    const [killed = 0] = processes("front").map(({ pid }) => pid);
    process.kill(killed, "SIGKILL");
    await vi.waitUntil(
      () => processes("front").length === 2 && processes("front").every(({ pid }) => pid !== killed),
      patience,
    );
    expect((await ask(sluice.url, "/healthz")).status).toBe(200);
  });
});

async function reload(): Promise<unknown> {
  const token = (await readFile(join(sluice.dataDir, "admin.token"), "utf8")).trim();
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${sluice.url}/-/reload`, { method: "POST", headers })).json();
}

test("another configuration counts in all processes, without a lost request; a wrong one in none", async () => {
  const second = await startFixtureUpstream();
  onTestFinished(() => second.close());
  const clients = startClients(6, ["example.com/leaf/@v/v1.0.0.mod", "example.com/leaf/@v/list"]);
  const fronts = processes("front").map(({ pid }) => pid);

  writeFileSync(configFile, configOf("[server]\nlisen = 1\n"));
  process.kill(sluice.pid, "SIGHUP");
  await sluice.saw(/"event":"config_refused","error":"[^"]*\[server\] has no lisen/);
  expect(await reload()).toMatchObject({
    outcome: "refused",
    reason: expect.stringContaining("[server] has no lisen"),
  });
  writeFileSync(configFile, `[upstream]\nchain = "${second.url}"\n[store]\nmemory = "1MiB"\n`);
  expect(await reload()).toStrictEqual({ outcome: "applied", needRestart: ["store.memory"] });
  await vi.waitUntil(() => fronts.every((pid) => !isAlive(pid)) && processes("front").length === 2, patience);

  expect(await clients.end()).toStrictEqual([]);
  expect((await ask(sluice.url, "/example.com/nested/a/@v/v1.0.0.zip")).status).toBe(200);
  expect(second.requestsFor(/nested\/a.*zip$/)).toHaveLength(1);
  expect(upstream.requestsFor(/nested\/a.*zip$/)).toHaveLength(0);
});

describe("the end of all", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)("no process outlives the first one (%s)", async (signal) => {
    const other = await startSluiceProcess({ upstream: "off", args: ["--workers", "2"], env: { TMPDIR: folder } });
    const pids = childrenOf(other.pid).map(({ pid }) => pid);
    expect(pids).toHaveLength(3);
    expect(engineFolders()).toHaveLength(1);
    expect(await other.stop(signal)).toBe(signal === "SIGTERM" ? 0 : null);
    await vi.waitUntil(() => !pids.some(isAlive), patience);
    expect(engineFolders()).toHaveLength(0);
  });

  test("a port in use is one sentence, and nothing is left running", async () => {
    const { port } = new URL(sluice.url);
    await expect(
      startSluiceProcess({ upstream: "off", args: ["--workers", "2", "--listen", `127.0.0.1:${port}`] }),
    ).rejects.toThrow(
      new RegExp(`sluice ended with 2 .*\\n(.*\\n)*sluice: cannot listen on 127\\.0\\.0\\.1:${port}, which another`),
    );
  });
});
