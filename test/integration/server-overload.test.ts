import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const maxFetches = 40;
const stored = "/example.com/leaf/@v/v1.0.0.zip";
const record = "/example.com/leaf/@v/list";
/** It takes the ordinary way, past the answers that are ready in memory. */
const ordinary = { headers: { "x-any": "1" } };

async function scene(): Promise<{ readonly upstream: FixtureUpstream; readonly sluice: RunningSluice }> {
  const upstream = await startFixtureUpstream({ modules: new Map(fixtureFiles()) });
  onTestFinished(() => upstream.close());
  const sluice = await startSluiceProcess({
    upstream: upstream.url,
    env: {
      SLUICE_LIMITS_MAX_FETCHES: String(maxFetches),
      // One fetch for each request.
      SLUICE_UPSTREAM_GO_MOD_AHEAD: "false",
      // What is old is asked for by the next one who wants it, who does not wait.
      SLUICE_FRESHNESS_TTL: "0s",
      SLUICE_SERVER_SHUTDOWN_TIMEOUT: "100ms",
    },
  });
  onTestFinished(async () => void (await sluice.stop()));
  return { upstream, sluice };
}

/** What is late is asked for more than once. */
function pathsOf({ requests }: FixtureUpstream): Set<string> {
  return new Set(requests.map(({ path }) => path));
}

/** Resolves when so many files were asked for. */
async function begun(upstream: FixtureUpstream, files: number): Promise<void> {
  while (pathsOf(upstream).size < files) await upstream.arrived(/./, upstream.requests.length + 1);
}

async function memoryOf(sluice: RunningSluice): Promise<number> {
  const metrics = (await ask(sluice.url, "/metrics")).body.toString();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1]);
}

describe("with more to fetch than it can", () => {
  test("a node refuses what is cold, answers what it has, asks nobody else, and does not grow", async () => {
    const { upstream, sluice } = await scene();
    // The whole version, so that nothing is left to be fetched with its zip.
    const version = ["mod", "info"].map((kind) => stored.replace(/zip$/, kind));
    for (const path of [stored, ...version, record]) expect((await ask(sluice.url, path)).status).toBe(200);
    upstream.requests.length = 0;
    upstream.setFault(/.*/, { kind: "hang" });

    // Those that wait for the upstream never end.
    const waiting = new AbortController();
    onTestFinished(() => waiting.abort());
    const early = Array.from({ length: maxFetches }, (_, index) =>
      ask(sluice.url, `/example.com/cold${index}/@v/v1.0.0.info`, { signal: waiting.signal }).catch(() => undefined),
    );
    const refusals: RawAnswer[] = [];
    for (const answer of early) {
      void answer.then((refused) => refused !== undefined && refusals.push(refused));
    }
    await begun(upstream, maxFetches * 0.9);
    const before = await memoryOf(sluice);
    const late: RawAnswer[] = [];
    for (let round = 0; round < 40; round++) {
      const paths = Array.from({ length: 50 }, (_, index) => `/example.com/late${round}/m${index}/@v/v1.0.0.zip`);
      late.push(...(await Promise.all(paths.map((path) => ask(sluice.url, path)))));
      for (const options of [{}, ordinary]) expect((await ask(sluice.url, stored, options)).status).toBe(200);
      const old = await ask(sluice.url, record);
      expect([old.status, old.headers["x-sluice-cache"]]).toStrictEqual([200, "stale"]);
    }
    const growth = (await memoryOf(sluice)) - before;

    for (const { status, headers, body } of [...late, ...refusals]) {
      expect([status, headers["retry-after"]]).toStrictEqual([503, "5"]);
      expect(body.toString()).toMatch(
        /^this Sluice has too much to do \(36 of 40 fetches are under way\), so what is not stored must wait; ask again in 5 s\n\(overloaded, /,
      );
    }
    expect(late).toHaveLength(2000);
    expect(refusals).toHaveLength(maxFetches * 0.1);
    expect(pathsOf(upstream).size).toBe(maxFetches * 0.9);
    // The garbage of some thousand requests, but not what they would have taken.
    expect(growth).toBeLessThan(128 * 2 ** 20);

    const metrics = (await ask(sluice.url, "/metrics")).body.toString();
    const shed = (work: string): number =>
      Number(new RegExp(`work_shed_total\\{class="${work}"\\} (\\d+)`).exec(metrics)?.[1]);
    expect(shed("cold_file")).toBe(2000 + refusals.length);
    expect(shed("background")).toBeGreaterThan(0);
    expect(metrics).not.toContain('work_shed_total{class="hit"}');
    expect((await ask(sluice.url, "/readyz?verbose")).body.toString()).toContain(
      "[degraded] load: 36 of 40 fetches are under way; given up: background, cold_git, cold_file\n",
    );
  });

  test("lists are given up behind files, and all is fetched again when there is room", async () => {
    const { upstream, sluice } = await scene();
    const gate = Promise.withResolvers<void>();
    upstream.setFault(/cold/, { kind: "delay", until: gate.promise });
    const waiting: Promise<RawAnswer>[] = [];
    const wait = (path: string): void => void waiting.push(ask(sluice.url, path));
    for (let index = 0; index < maxFetches * 0.9; index++) wait(`/example.com/cold${index}/@v/v1.0.0.info`);
    await begun(upstream, maxFetches * 0.9);
    expect((await ask(sluice.url, "/example.com/leaf/@v/v1.1.0.info")).status).toBe(503);
    for (let index = 0; index < maxFetches * 0.05; index++) wait(`/example.com/cold${index}/@v/list`);
    await begun(upstream, maxFetches * 0.95);
    const refused = await ask(sluice.url, record);
    expect([refused.status, refused.body.toString()]).toStrictEqual([
      503,
      expect.stringContaining("so lists and queries that are not stored must wait"),
    ]);
    const token = (await readFile(join(sluice.dataDir, "admin.token"), "utf8")).trim();
    const status = await ask(sluice.url, "/-/status", { headers: { authorization: `Bearer ${token}` } });
    expect(JSON.parse(status.body.toString())).toMatchObject({ fetching: maxFetches * 0.95 });
    gate.resolve();
    for (const { status } of await Promise.all(waiting)) expect(status).toBe(404);
    for (const path of [record, "/example.com/leaf/@v/v1.1.0.info"])
      expect((await ask(sluice.url, path)).status).toBe(200);
  });
});
