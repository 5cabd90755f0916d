import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { openS3BlobStore } from "../../src/storage/blob/s3.ts";
import type { BlobStore } from "../../src/core/ports.ts";
import { buildModules, type FixtureFiles } from "../support/fixture-modules.ts";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { lacksPostgres, type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { ask } from "../support/raw-http.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { sha256 } from "../suites/module-store.ts";

const version = "example.com/leaf/@v/v1.0.0";
const files = ["info", "mod", "zip"].map((kind) => `${version}.${kind}`);
const minio = s3Programs.find(({ name }) => name === "minio");
if (minio === undefined) throw new Error("there is no MinIO among the S3 programs");

interface Node {
  readonly sluice: RunningSluice;
  readonly bucketLink: FaultProxy;
  readonly databaseLink: FaultProxy;
}

describe.skipIf(lacksS3Server(minio) || lacksPostgres())("two nodes with one bucket and one database", () => {
  let s3: S3Server;
  let postgres: PostgresServer;
  let databaseUrl: string;
  let prefix: string;
  let bucket: BlobStore;
  let count = 0;

  beforeAll(async () => {
    [s3, postgres] = await Promise.all([startS3Server(minio), startPostgresServer()]);
  });

  beforeEach(async () => {
    databaseUrl = await postgres.createDatabase();
    prefix = `conflict-${++count}`;
    bucket = await openS3BlobStore({ ...s3.options(), prefix, events: recordEvents() });
  });

  afterEach(() => bucket.close());

  afterAll(async () => {
    await s3.stop();
    await postgres.stop();
  });

  it.each([
    { bucketFirst: 0, databaseFirst: 0 },
    { bucketFirst: 0, databaseFirst: 1 },
  ])(
    "agree on one of two contents that they made apart: %j",
    async ({ bucketFirst, databaseFirst }) => {
      const contents = ["one", "other"].map(leafOf);
      const nodes = await Promise.all(contents.map(startNode));
      for (const { bucketLink, databaseLink } of nodes) {
        await bucketLink.setFault({ kind: "refuse" });
        await databaseLink.setFault({ kind: "refuse" });
      }
      for (const [at, { sluice }] of nodes.entries()) {
        for (const file of files) expect(await answerOf(sluice, file)).toEqual([200, hashIn(contents[at], file)]);
      }

      await nodes[bucketFirst]?.bucketLink.setFault(undefined);
      await vi.waitFor(async () => expect(await hashInBucket(`${version}.zip`)).toBeDefined(), patience);
      await nodes[databaseFirst]?.databaseLink.setFault(undefined);
      await vi.waitFor(async () => expect(await recordedHash()).toBeDefined(), patience);
      for (const { bucketLink, databaseLink } of nodes) {
        await bucketLink.setFault(undefined);
        await databaseLink.setFault(undefined);
      }

      await vi.waitFor(async () => {
        const answers = await Promise.all(
          nodes.map(({ sluice }) => Promise.all(files.map((file) => answerOf(sluice, file)))),
        );
        expect(answers[0]?.map(([status]) => status)).toEqual([200, 200, 200]);
        expect(answers[1]).toEqual(answers[0]);
        // Of one and the same node, and the same wherever it stands.
        const made = contents.map((content) => files.map((file) => hashIn(content, file)));
        const served = answers[0]?.map(([, hash]) => hash);
        expect(made).toContainEqual(served);
        expect(await Promise.all(files.map(hashInBucket))).toEqual(served);
        expect(await recordedHash()).toBe(served?.[2]);
        for (const { sluice } of nodes) {
          const parts = String((await ask(sluice.url, "/readyz?verbose")).body);
          expect(parts).toMatch(/outbox.*empty/);
        }
      }, patience);
    },
    180_000,
  );

  async function startNode(content: FixtureFiles): Promise<Node> {
    const upstream = await startFixtureUpstream({ modules: content });
    const bucketLink = await startFaultProxy(Number(new URL(s3.endpoint).port));
    const databaseLink = await startFaultProxy(postgres.port);
    const database = new URL(databaseUrl);
    database.port = String(databaseLink.port);
    const sluice = await startSluiceProcess({
      upstream: upstream.url,
      env: {
        ...s3.env,
        SLUICE_BUCKET_URL: `s3://${s3.bucket}/${prefix}`,
        SLUICE_BUCKET_ENDPOINT: `http://127.0.0.1:${bucketLink.port}`,
        SLUICE_DATABASE_URL: database.href,
      },
    });
    onTestFinished(async () => {
      await sluice.stop();
      for (const part of [bucketLink, databaseLink, upstream]) await part.close();
    });
    return { sluice, bucketLink, databaseLink };
  }

  async function hashInBucket(key: string): Promise<string | undefined> {
    const found = await bucket.get(key);
    return found && sha256(Buffer.from(await found.read()));
  }

  async function recordedHash(): Promise<string | undefined> {
    const sql = postgres.sql(databaseUrl);
    try {
      const rows = await sql.unsafe(`SELECT sha256 FROM sluice_facts WHERE key = '${version}.zip'`);
      const found: unknown = rows[0]?.["sha256"];
      return Buffer.isBuffer(found) ? found.toString("hex") : typeof found === "string" ? found : undefined;
    } finally {
      await sql.end();
    }
  }
});

const patience = { timeout: 70_000, interval: 500 };

function leafOf(text: string): FixtureFiles {
  const files = { "leaf.go": `package ${text}\n` };
  const goMod = `module example.com/leaf\n\n// ${text}\n`;
  return buildModules([{ path: "example.com/leaf", version: "v1.0.0", files, goMod }]);
}

function hashIn(content: FixtureFiles | undefined, file: string): string {
  return sha256(content?.get(file) ?? Buffer.alloc(0));
}

async function answerOf({ url }: RunningSluice, file: string): Promise<[status: number, sha256: string]> {
  const { status, body } = await ask(url, `/${file}`);
  return [status, sha256(body)];
}
