import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { runCli } from "../support/cli.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacksRedis, type RedisServer, startRedis } from "../support/redis-server.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const immutable = [...fixtureFiles().keys()].filter((key) => {
  const { kind } = parseRequest(`/${key}`);
  return kind === "info" || kind === "mod" || kind === "zip";
});

/** Other processes are told, or notice, on a machine that is busy. */
const patience = { timeout: 20_000 };

describe.skipIf(lacksRedis())("Sluices with one store and one Redis", { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let upstream: FixtureUpstream;
  let modules: Map<string, Uint8Array>;
  let dataDir: string;
  let nodes: RunningSluice[];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.remove());

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "sluice-nodes-"));
    modules = new Map(fixtureFiles());
    upstream = await startFixtureUpstream({ modules });
    nodes = [await start(), await start()];
  });
  afterEach(async () => {
    for (const node of nodes) await node.stop();
    await upstream.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  test("fetch each cold file once, and so do three, however many clients ask all of them at once", async () => {
    nodes.push(await start());
    const answers = await Promise.all(
      immutable.flatMap((key) => [...nodes, ...nodes].map(async (node) => [key, await get(node, key)] as const)),
    );
    for (const [key, answer] of answers) expect(answer, key).toEqual({ status: 200, body: contentOf(key) });
    const asked = upstream.requests.map(({ path }) => path).filter((path) => immutable.includes(path));
    expect(asked.toSorted()).toEqual(immutable.toSorted());
    const outcomes = await Promise.all(nodes.map(leaseOutcomes));
    expect(sum(outcomes, "worked")).toBe(immutable.length);
    expect(sum(outcomes, "alone") + sum(outcomes, "overdue") + sum(outcomes, "failed")).toBe(0);
  });

  test("hear of what is new, of purges, and go on by themselves while Redis is down", async () => {
    const [one, other] = pair();
    const info = "example.com/leaf/@v/v1.9.0.info";
    const list = "example.com/leaf/@v/list";
    expect((await get(one, info)).status).toBe(404);
    expect((await get(other, info)).status).toBe(404);
    for (const node of nodes) expect((await get(node, list)).status).toBe(200);
    modules.set(info, Buffer.from('{"Version":"v1.9.0","Time":"2024-01-02T03:04:05Z"}'));
    expect((await get(other, info)).status).toBe(404);

    await purge(one, "example.com/leaf");
    await expect.poll(async () => (await get(other, info)).status, patience).toBe(200);
    upstream.requests.length = 0;
    await expect.poll(() => get(other, list), patience).toMatchObject({ status: 200 });

    await redis.kill();
    const cold = immutable.filter((key) => key.startsWith("example.com/pseudo/"));
    expect(cold.length).toBeGreaterThan(0);
    for (const key of cold) {
      const both = await Promise.all(nodes.map((node) => get(node, key)));
      expect(both).toEqual(nodes.map(() => ({ status: 200, body: contentOf(key) })));
    }
    await expect
      .poll(async () => (await get(one, "readyz?verbose")).body.toString(), patience)
      .toMatch(/redis redis:.*goes on by itself/);
    expect((await get(one, "readyz")).status).toBe(200);
    await redis.restart();
    await expect
      .poll(async () => (await get(one, "readyz?verbose")).body.toString(), patience)
      .toMatch(/redis redis:.*connected/);
  });

  test("a node that is killed in the middle of a fetch holds the other one up for some seconds only", async () => {
    const [one, other] = pair();
    const key = "example.com/leaf/@v/v1.0.0.zip";
    upstream.setFault(key, { kind: "hang", times: 1 });
    const cut = get(one, key).catch(() => "cut");
    await upstream.arrived(key);
    const waiting = get(other, key);
    await one.stop("SIGKILL");
    expect(await cut).toBe("cut");
    expect(await waiting).toEqual({ status: 200, body: contentOf(key) });
    expect((await leaseOutcomes(other)).get("overdue") ?? 0).toBe(0);
    nodes = [other];
  });

  test("are put offline together, but one that joins later is as its configuration says, and the command tells so", async () => {
    const [one, other] = pair();
    const turn = (state: "on" | "off") =>
      runCli(["offline", state, "--url", one.url, "--data-dir", dataDir], { cwd: dataDir });
    const key = "example.com/pseudo/@v/list";
    const { stdout } = await turn("on");
    expect(stdout).toContain(
      "Sluice is now offline: it serves what is stored, and asks nobody.\nThe nodes that are connected to its Redis now were told, too. One that starts or connects later",
    );
    await expect.poll(async () => (await get(other, key)).status, patience).toBe(503);
    expect((await get(one, key)).status).toBe(503);
    const late = await start();
    nodes.push(late);
    expect((await get(late, key)).status).toBe(200);

    await redis.kill();
    await expect
      .poll(async () => (await get(one, "readyz?verbose")).body.toString(), patience)
      .toMatch(/redis redis:.*goes on by itself/);
    expect((await turn("off")).stdout).toContain("Its Redis is away, so other nodes were not told");
    await redis.restart();
  });

  function start(): Promise<RunningSluice> {
    return startSluiceProcess({
      upstream: upstream.url,
      dataDir,
      env: { SLUICE_REDIS_URL: redis.url, SLUICE_REDIS_LEASE_WAIT: "5m" },
    });
  }

  function pair(): [RunningSluice, RunningSluice] {
    const [one, other] = nodes;
    if (one === undefined || other === undefined) throw new Error("there are not two nodes");
    return [one, other];
  }

  async function purge({ url }: RunningSluice, module: string): Promise<void> {
    const token = (await readFile(join(dataDir, "admin.token"), "utf8")).trim();
    const response = await fetch(`${url}/-/purge`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ module }),
    });
    expect(response.status).toBe(200);
  }
});

async function get({ url }: RunningSluice, path: string): Promise<{ status: number; body: Buffer }> {
  const response = await fetch(`${url}/${path}`);
  return { status: response.status, body: comparable(path, await response.arrayBuffer()) };
}

async function leaseOutcomes(node: RunningSluice): Promise<Map<string, number>> {
  const metrics = (await get(node, "metrics")).body.toString();
  const counted = metrics.matchAll(/^sluice_leases_total\{outcome="(\w+)"\} (\d+)$/gm);
  return new Map([...counted].map(([, outcome = "", count]) => [outcome, Number(count)]));
}

function sum(outcomes: readonly ReadonlyMap<string, number>[], outcome: string): number {
  return outcomes.reduce((total, counts) => total + (counts.get(outcome) ?? 0), 0);
}

function contentOf(key: string): Buffer {
  return comparable(key, fixtureFiles().get(key) ?? new Uint8Array());
}

/** An .info is written anew, with the same meaning. */
function comparable(path: string, bytes: ArrayBuffer | Uint8Array): Buffer {
  return Buffer.from(path.endsWith(".info") ? new Uint8Array() : new Uint8Array(bytes));
}
