import { randomUUID } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import type { DrillReport, DrillStatus } from "../../src/core/drill.ts";
import { drills } from "../../src/ops/drills.ts";
import { runCli } from "../support/cli.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacksPostgres, startPostgresServer } from "../support/postgres-server.ts";
import { ask } from "../support/raw-http.ts";
import { lacksRedis, startRedis } from "../support/redis-server.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { startS3Server } from "../support/s3-server.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const modules = new Map(fixtureFiles());
const stored = "/example.com/leaf/@v/v1.0.0.zip";
/** Of other versions: with a zip come the other files of its own. */
const cold = [...modules.keys()]
  .filter((path) => path.endsWith(".mod") && !path.includes("leaf/@v/v1.0.0."))
  .map((path) => `/${path.replace(/^\//, "")}`);
const statusOfDrills = z.custom<DrillStatus>();
const patience = { timeout: 60_000, interval: 100 };
// Each has processes of its own, and waits for what these notice.
vi.setConfig({ testTimeout: 150_000 });
const minio = s3Programs.find(({ name }) => name === "minio");
if (minio === undefined) throw new Error("there is no MinIO among the S3 programs");

let upstream: FixtureUpstream;
beforeAll(async () => {
  upstream = await startFixtureUpstream({ modules });
});
afterAll(() => upstream.close());

/** A Sluice in which drills may be started, and that has stored one file. */
async function start(env: Readonly<Record<string, string>> = {}): Promise<RunningSluice> {
  const sluice = await startSluiceProcess({ upstream: upstream.url, env: { SLUICE_DRILL_ENABLED: "true", ...env } });
  onTestFinished(() => sluice.stop().then(() => undefined));
  for (const kind of ["zip", "mod", "info"]) {
    expect((await ask(sluice.url, stored.replace(/zip$/, kind))).status).toBe(200);
  }
  return sluice;
}

async function api(sluice: RunningSluice, method: string, path: string, body?: object): Promise<Response> {
  const token = (await readFile(join(sluice.dataDir, "admin.token"), "utf8")).trim();
  return fetch(`${sluice.url}/-/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? null : JSON.stringify(body),
  });
}

async function statusOf(sluice: RunningSluice): Promise<DrillStatus> {
  return statusOfDrills.parse(await (await api(sluice, "GET", "drill")).json());
}

async function untilOpen(sluice: RunningSluice, rule: string): Promise<void> {
  await vi.waitFor(async () => {
    const status = await (await api(sluice, "GET", "status")).json();
    expect(status).toMatchObject({ incidents: { open: expect.arrayContaining([expect.objectContaining({ rule })]) } });
  }, patience);
}

async function metric(sluice: RunningSluice, line: string): Promise<number> {
  const text = (await ask(sluice.url, "/metrics")).body.toString();
  return Number(
    text
      .split("\n")
      .find((candidate) => candidate.startsWith(`${line} `))
      ?.slice(line.length + 1) ?? 0,
  );
}

/** Does `work` while the fault is in, and ends it then. */
async function during(sluice: RunningSluice, name: string, work: () => Promise<void>): Promise<DrillReport> {
  const started = await api(sluice, "POST", "drill", { name, seconds: 45 });
  expect(started.status).toBe(200);
  await vi.waitFor(async () => expect((await statusOf(sluice)).running?.phase).toBe("fault"), patience);
  await work();
  expect((await api(sluice, "DELETE", "drill")).status).toBe(200);
  return vi.waitFor(async () => {
    const { report, running } = await statusOf(sluice);
    if (report === undefined || running !== undefined) throw new Error(`${name} still runs`);
    expect(report).toMatchObject({ drill: name, endedBy: "operator", recoveryMs: expect.any(Number) });
    return report;
  }, patience);
}

function statuses(report: DrillReport): Set<string | undefined> {
  const { before, during, after } = report.requests;
  const outcomes = [before, during, after].flatMap((counts) => Object.keys(counts));
  return new Set(outcomes.map((outcome) => outcome.split(" ")[0]));
}

describe("a drill of upstreams", () => {
  test.each(["upstream-down", "upstream-503"])("%s is noticed, and stored files are served", async (name) => {
    const sluice = await start();
    await api(sluice, "POST", "drill", { name, seconds: 45 });
    await vi.waitFor(async () => expect((await statusOf(sluice)).running?.phase).toBe("fault"), patience);
    const waiting = Promise.all(cold.slice(0, 30).map(async (path) => (await ask(sluice.url, path)).status));
    expect((await ask(sluice.url, stored)).status).toBe(200);
    await untilOpen(sluice, "upstream-unwell");
    await api(sluice, "DELETE", "drill");
    expect(await waiting).not.toContain(404);
    expect((await ask(sluice.url, cold[0] ?? "")).status).toBe(200);
    const audit = await readFile(join(sluice.dataDir, "audit.log"), "utf8");
    expect(audit).toContain('"event":"drill_started"');
    expect(audit).toContain('"rule":"upstream-unwell"');
  });

  test("upstream-slow has all answers come late", async () => {
    const sluice = await start();
    const early = `sluice_upstream_first_byte_seconds_bucket{le="2.5",upstream="${upstream.url}"}`;
    const before = await metric(sluice, early);
    await during(sluice, "upstream-slow", async () => {
      expect((await ask(sluice.url, cold[0] ?? "")).status).toBe(200);
      expect(await metric(sluice, early)).toBe(before);
    });
    expect((await ask(sluice.url, cold[1] ?? "")).status).toBe(200);
    expect(await metric(sluice, early)).toBeGreaterThan(before);
  });

  test("upstream-cut breaks bodies off, and what was cut is neither served nor kept", async () => {
    const sluice = await start();
    const zip = "/example.com/nested/@v/v1.0.0.zip";
    const path = modules.has(zip.slice(1)) ? zip : (cold[0] ?? "");
    await during(sluice, "upstream-cut", async () => {
      const asked = ask(sluice.url, path);
      await vi.waitFor(
        async () =>
          expect(
            await metric(
              sluice,
              `sluice_upstream_attempts_total{upstream="${upstream.url}",outcome="upstream_failed"}`,
            ),
          ).toBeGreaterThan(0),
        patience,
      );
      await api(sluice, "DELETE", "drill");
      expect((await asked).status).not.toBe(404);
    });
    const whole = await ask(sluice.url, path);
    expect(whole.status).toBe(200);
    expect(whole.body).toStrictEqual(Buffer.from(modules.get(path.slice(1)) ?? ""));
  });
});

describe("a drill of the data folder", () => {
  test("disk-full has nothing kept and everything served", async () => {
    const sluice = await start();
    const path = cold.find((candidate) => !candidate.includes("/leaf/")) ?? "";
    const file = join(sluice.dataDir, "modules", path);
    const report = await during(sluice, "disk-full", async () => {
      expect((await ask(sluice.url, path)).status).toBe(200);
      expect((await ask(sluice.url, stored)).status).toBe(200);
      await expect(access(file)).rejects.toThrow("ENOENT");
      expect((await ask(sluice.url, "/readyz")).status).toBe(503);
      await untilOpen(sluice, "disk-full");
    });
    expect(report.incidents).toMatchObject([{ rule: "disk-full", outcome: "healed" }]);
    expect(report.parts.map(({ part }) => part)).toContain(`store ${sluice.dataDir}`);
    expect((await ask(sluice.url, "/readyz")).status).toBe(200);
  });

  test("corrupt-file has the file set aside and fetched again", async () => {
    const sluice = await start();
    await api(sluice, "POST", "drill", { name: "corrupt-file", seconds: 5 });
    const report = await vi.waitFor(async () => {
      const { report } = await statusOf(sluice);
      if (report === undefined) throw new Error("still runs");
      return report;
    }, patience);
    expect(report.problem).toBeUndefined();
    expect(report.incidents).toMatchObject([{ rule: "corrupt-file", outcome: "healed" }]);
    const key = report.incidents[0]?.subject ?? "";
    expect(await readFile(join(sluice.dataDir, "modules", key))).toStrictEqual(Buffer.from(modules.get(key) ?? ""));
    expect(await metric(sluice, "sluice_corrupt_files_total")).toBe(1);
  });
});

describe.skipIf(lacksS3Server(minio))("a drill of the bucket", () => {
  test("bucket-down has new files wait in the outbox, and bucket-slow costs no answer", async () => {
    const server = await startS3Server(minio);
    onTestFinished(() => server.stop());
    const sluice = await start({ ...server.env, SLUICE_BUCKET_URL: `s3://${server.bucket}/${randomUUID()}` });
    const down = await during(sluice, "bucket-down", async () => {
      for (const path of cold.slice(0, 4)) expect((await ask(sluice.url, path)).status).toBe(200);
      expect((await ask(sluice.url, stored)).status).toBe(200);
      await untilOpen(sluice, "bucket-down");
      expect(await metric(sluice, "sluice_outbox_files")).toBeGreaterThan(0);
    });
    expect(down.incidents).toContainEqual(expect.objectContaining({ rule: "bucket-down", outcome: "healed" }));
    await vi.waitFor(async () => expect(await metric(sluice, "sluice_outbox_files")).toBe(0), patience);

    const slow = await during(sluice, "bucket-slow", async () => {
      expect((await ask(sluice.url, stored)).status).toBe(200);
      expect((await ask(sluice.url, cold[5] ?? "")).status).toBe(200);
    });
    expect(statuses(slow)).toStrictEqual(new Set(["200"]));
  });
});

describe.skipIf(lacksPostgres())("a drill of PostgreSQL", () => {
  test("database-down is noticed, costs no answer, and what waited is written", async () => {
    const server = await startPostgresServer();
    onTestFinished(() => server.stop());
    const sluice = await start({ SLUICE_DATABASE_URL: await server.createDatabase() });
    const report = await during(sluice, "database-down", async () => {
      for (const path of cold.slice(0, 4)) expect((await ask(sluice.url, path)).status).toBe(200);
      await untilOpen(sluice, "database-down");
    });
    expect(report.incidents).toContainEqual(expect.objectContaining({ rule: "database-down", outcome: "healed" }));
    expect(statuses(report)).toStrictEqual(new Set(["200"]));
  });
});

describe.skipIf(lacksRedis())("a drill of Redis", () => {
  test("redis-down is noticed and costs no answer", async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.remove());
    const sluice = await start({ SLUICE_REDIS_URL: redis.url });
    const report = await during(sluice, "redis-down", async () => {
      for (const path of cold.slice(0, 4)) expect((await ask(sluice.url, path)).status).toBe(200);
      await untilOpen(sluice, "redis-down");
    });
    expect(report.incidents).toContainEqual(expect.objectContaining({ rule: "redis-down", outcome: "healed" }));
    expect(statuses(report)).toStrictEqual(new Set(["200"]));
  });
});

describe("a drill with several processes", () => {
  const workers = { SLUICE_WORKERS: "2" };

  test("breaks what the engine uses, and counts the answers of all fronts", async () => {
    const sluice = await start(workers);
    const report = await during(sluice, "disk-full", async () => {
      for (let count = 0; count < 9; count += 1) expect((await ask(sluice.url, stored)).status).toBe(200);
      expect((await ask(sluice.url, cold[0] ?? "")).status).toBe(200);
      await expect(access(join(sluice.dataDir, "modules", cold[0] ?? ""))).rejects.toThrow("ENOENT");
      await untilOpen(sluice, "disk-full");
    });
    expect(report.requests.during["200 hit"]).toBe(9);
    expect(report.incidents).toMatchObject([{ rule: "disk-full", outcome: "healed" }]);
  });

  test("corrupt-file has no front serve the broken file, though all have served it before", async () => {
    const sluice = await start(workers);
    for (let count = 0; count < 6; count += 1) expect((await ask(sluice.url, stored)).status).toBe(200);
    await api(sluice, "POST", "drill", { name: "corrupt-file", seconds: 5 });
    const report = await vi.waitFor(async () => {
      const { body } = await ask(sluice.url, stored);
      expect(body).toStrictEqual(Buffer.from(modules.get(stored.slice(1)) ?? ""));
      const { report } = await statusOf(sluice);
      if (report === undefined) throw new Error("still runs");
      return report;
    }, patience);
    expect(report.problem).toBeUndefined();
    expect(report.incidents).toMatchObject([{ rule: "corrupt-file", outcome: "healed" }]);
  });
});

test("drills are refused where the configuration does not allow them", async () => {
  const sluice = await start({ SLUICE_DRILL_ENABLED: "false" });
  const response = await api(sluice, "POST", "drill", { name: "upstream-down" });
  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({
    error: { code: "drill_refused", message: expect.stringContaining("set enabled = true in [drill]") },
  });
  expect(await statusOf(sluice)).toMatchObject({ isEnabled: false });
});

test("the command lists drills, runs one until its time is over, and prints the report", async () => {
  const sluice = await start();
  const where = ["--url", sluice.url, "--data-dir", sluice.dataDir];
  const list = await runCli(["drill", "list", ...where], { cwd: sluice.dataDir });
  for (const { name } of drills) expect(list.stdout).toContain(name);
  const run = runCli(["drill", "upstream-down", "--seconds", "5", ...where], { cwd: sluice.dataDir });
  await vi.waitFor(async () => expect((await statusOf(sluice)).running?.phase).toBe("fault"), patience);
  expect((await api(sluice, "POST", "drill", { name: "redis-down" })).status).toBe(409);
  const { stdout, code } = await run;
  expect(code).toBe(0);
  expect(stdout).toContain("Drill upstream-down: no upstream can be connected to, for");
  expect(stdout).toContain("(ended by time)");
  expect(stdout).toContain("Recovered");
});
