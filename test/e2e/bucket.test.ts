import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { runCli } from "../support/cli.ts";
import { fixtureConsumer } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { startUnconditionalStore } from "../support/unconditional-store.ts";

const minio = s3Programs.find(({ name }) => name === "minio");
if (minio === undefined) throw new Error("there is no MinIO among the S3 programs");

describe.skipIf(lacks("go", ["version"]) || lacksS3Server(minio))("the real go command and a bucket", () => {
  let upstream: FixtureUpstream;
  let server: S3Server;
  let env: Record<string, string>;

  beforeAll(async () => {
    server = await startS3Server(minio);
    upstream = await startFixtureUpstream();
  });

  afterAll(async () => {
    await upstream.close();
    await server.stop();
  });

  beforeEach(async () => {
    await server.startAgain();
    env = { ...server.env, SLUICE_BUCKET_URL: `s3://${server.bucket}/${randomUUID()}` };
  });

  async function start(chain: string, dataDir?: string): Promise<RunningSluice> {
    const sluice = await startSluiceProcess({ upstream: chain, env, ...(dataDir !== undefined && { dataDir }) });
    onTestFinished(async () => void (await sluice.stop()));
    return sluice;
  }

  test("a node with an empty disk and no upstream serves what another node fetched", async () => {
    const a = await start(upstream.url);
    await build(a, { tidy: true });
    await untilSent(a);
    const b = await start("off");
    await build(b, { tidy: false });
    expect(await outcomes(b)).toEqual([]);
  });

  test("a build passes while the bucket is down, and what it needed is in the bucket later", async () => {
    const dataDir = await folder();
    const first = await start(upstream.url, dataDir);
    await server.kill();
    await build(first, { tidy: true });
    expect(await metric(first, "sluice_bucket_up")).toBe(0);
    expect(await metric(first, "sluice_outbox_files")).toBeGreaterThan(0);
    // It starts without the bucket, too, as it has known it.
    await first.stop();
    const again = await start("off", dataDir);
    await build(again, { tidy: false });
    await server.startAgain();
    await untilSent(again);
    await build(await start("off"), { tidy: false });
  });

  test("large zips come from the bucket itself, and from Sluice while that is down", async () => {
    env = { ...env, SLUICE_BUCKET_REDIRECT_FROM: "1MiB" };
    const sluice = await start(upstream.url);
    await build(sluice, { tidy: true });
    await untilSent(sluice);
    expect(await redirects(sluice)).toBe(0);
    await build(sluice, { tidy: false });
    expect(await redirects(sluice)).toBe(1);

    const big = new URL("/example.com/big/@v/v1.0.0.zip", sluice.url);
    const asked = await fetch(big, { redirect: "manual" });
    expect(asked.status).toBe(307);
    expect(asked.headers.get("cache-control")).toBe("private, no-store");
    const location = asked.headers.get("location") ?? "";
    expect(new URL(location).origin).toBe(new URL(server.endpoint).origin);
    expect(new URL(location).searchParams.get("X-Amz-Expires")).toBe("300");
    const head = await fetch(big, { method: "HEAD", redirect: "manual" });
    const part = await fetch(big, { headers: { range: "bytes=0-9" }, redirect: "manual" });
    const known = await fetch(big, {
      headers: { "if-none-match": head.headers.get("etag") ?? "" },
      redirect: "manual",
    });
    const small = await fetch(new URL("/example.com/leaf/@v/v1.2.0.zip", sluice.url), { redirect: "manual" });
    expect([head.status, part.status, known.status, small.status]).toEqual([200, 206, 304, 200]);
    const theirs = Buffer.from(await (await fetch(location)).arrayBuffer());
    expect(`"${createHash("sha256").update(theirs).digest("hex")}"`).toBe(head.headers.get("etag"));
    expect(sluice.output()).not.toContain("X-Amz-Signature");

    server.pause();
    onTestFinished(() => server.resume());
    await build(sluice, { tidy: false });
  });

  test("a zip that was sent from memory once is redirected from then on", async () => {
    env = { ...env, SLUICE_BUCKET_REDIRECT_FROM: "1B" };
    const sluice = await start(upstream.url);
    // With few headers, as go: others are not answered from memory.
    const zip = (): Promise<RawAnswer> => ask(sluice.url, "/example.com/leaf/@v/v1.2.0.zip");
    expect(await zip()).toMatchObject({ status: 200, broken: false });
    await untilSent(sluice);
    expect((await zip()).status).toBe(307);
  });

  test("private zips are not redirected, and several workers redirect the others", async () => {
    env = { ...env, SLUICE_BUCKET_REDIRECT_FROM: "1MiB" };
    const dataDir = await folder();
    const first = await start(upstream.url, dataDir);
    await build(first, { tidy: true });
    await untilSent(first);
    await first.stop();
    const path = "/example.com/big/@v/v1.0.0.zip";
    for (const [more, status] of [
      [{ GOPRIVATE: "example.com" }, 200],
      [{ SLUICE_WORKERS: "1" }, 307],
    ] as const) {
      const sluice = await startSluiceProcess({ upstream: upstream.url, env: { ...env, ...more }, dataDir });
      onTestFinished(async () => void (await sluice.stop()));
      // The newest files are compared with the bucket after a start, and come from Sluice until then.
      await vi.waitFor(async () => {
        const answer = await fetch(new URL(path, sluice.url), { redirect: "manual" });
        await answer.arrayBuffer();
        expect(answer.status).toBe(status);
      }, 20_000);
      await sluice.stop();
    }
  });

  test("a bucket that is not there stops the start, and `config check --connect` says the same", async () => {
    env = { ...env, SLUICE_BUCKET_URL: "s3://no-such-bucket" };
    const sentence =
      /the bucket s3:\/\/no-such-bucket cannot be used: .*there is no such bucket: make it, or correct its name/;
    await expect(startSluiceProcess({ upstream: "off", env })).rejects.toThrow(sentence);
    const checked = await runCli(["config", "check", "--connect"], { cwd: tmpdir(), env: { ...env, GOPROXY: "off" } });
    expect(checked).toMatchObject({ code: 2, stderr: expect.stringMatching(sentence) });
    expect(checked.stderr).not.toContain(server.env["AWS_SECRET_ACCESS_KEY"]);
  });

  test("a bucket without conditional writes is for one node, or for nodes with a database, and refused else", async () => {
    const bucket = await startUnconditionalStore(server, { manner: "ignores" });
    onTestFinished(() => bucket[Symbol.asyncDispose]());
    env = { ...env, SLUICE_BUCKET_ENDPOINT: bucket.endpoint };
    const sentence = /does not heed If-None-Match when it writes.*set \[database\].*only_writer in \[bucket\]/;
    await expect(startSluiceProcess({ upstream: "off", env })).rejects.toThrow(sentence);

    env = { ...env, SLUICE_BUCKET_ONLY_WRITER: "true" };
    const checked = await runCli(["config", "check", "--connect"], { cwd: tmpdir(), env: { ...env, GOPROXY: "off" } });
    expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining("can be read and written") });
    const dataDir = await folder();
    const only = await start(upstream.url, dataDir);
    await build(only, { tidy: true });
    await untilSent(only);
    await expect(startSluiceProcess({ upstream: "off", env })).rejects.toThrow(
      /another Sluice, whose data folder has the store-id .*, is the only one that writes there/,
    );
    await only.stop();
    // The disk is a cache: what is in the bucket is enough.
    await rm(path.join(dataDir, "modules"), { recursive: true });
    await build(await start("off", dataDir), { tidy: false });
  });

  test("a wrong key stops the start, and `config check --connect` finds a good one fine", async () => {
    const good = await runCli(["config", "check", "--connect"], { cwd: tmpdir(), env: { ...env, GOPROXY: "off" } });
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining("can be read and written") });
    env = { ...env, AWS_SECRET_ACCESS_KEY: "hunter2-hunter2" };
    const failure = await startSluiceProcess({ upstream: "off", env }).catch((error: unknown) => String(error));
    expect(failure).toMatch(/the secret key is not the right one: check the credentials/);
    expect(failure).not.toContain("hunter2");
  });
});

async function folder(): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), "sluice-bucket-e2e-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** All modules of a project, on a machine that has none. Without `tidy` the go.sum is made anew all the same. */
async function build({ url }: RunningSluice, { tidy }: { readonly tidy: boolean }): Promise<void> {
  const machine = await createGoMachine({ GOPROXY: url });
  onTestFinished(() => machine.remove());
  for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(path.join(machine.dir, name), content);
  if (tidy) await goOk(machine, "mod", "tidy");
  await goOk(machine, "mod", "download", "all");
  expect(await goOk(machine, "mod", "verify")).toBe("all modules verified");
  expect(await goOk(machine, "list", "-m", "-versions", "example.com/leaf")).toContain("v1.3.0-rc.1");
}

async function goOk(machine: GoMachine, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await machine.go(args);
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

async function metrics({ url }: RunningSluice): Promise<readonly string[]> {
  const answer = await fetch(new URL("/metrics", url));
  return (await answer.text()).split("\n");
}

async function metric(sluice: RunningSluice, name: string): Promise<number> {
  const line = (await metrics(sluice)).find((text) => text.startsWith(name));
  return Number(line?.slice(line.lastIndexOf(" ")));
}

/** Of fetches from sources that did not fail because there was none. */
async function outcomes(sluice: RunningSluice): Promise<readonly string[]> {
  const lines = (await metrics(sluice)).filter((line) => line.startsWith("sluice_fetches_total"));
  return lines.filter((line) => line.includes('outcome="ok"'));
}

async function redirects(sluice: RunningSluice): Promise<number> {
  const answered = (await metrics(sluice)).filter((line) => line.includes('status="307"'));
  return answered.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function untilSent(sluice: RunningSluice): Promise<void> {
  await vi.waitFor(
    async () => {
      expect(await metric(sluice, "sluice_bucket_up")).toBe(1);
      expect(await metric(sluice, "sluice_outbox_files")).toBe(0);
    },
    { timeout: 30_000, interval: 50 },
  );
}
