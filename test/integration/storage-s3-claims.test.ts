import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ListMultipartUploadsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Clock } from "../../src/core/ports.ts";
import { createS3BlobStore, openS3BlobStore, type S3BlobStoreOptions } from "../../src/storage/blob/s3.ts";
import { S3Bucket } from "../../src/storage/blob/s3-bucket.ts";
import { claimLifetimeMs, createOwnClaims, type WriteClaims } from "../../src/storage/blob/write-claims.ts";
import { createSharedClaims } from "../../src/storage/postgres/write-claims.ts";
import { databaseAt, lacksPostgres, type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { startUnconditionalStore, type UnconditionalStore } from "../support/unconditional-store.ts";
import { blobStoreSuite, readKey } from "../suites/blob-store.ts";

const partBytes = 5 * 1024 * 1024;
const [minio] = s3Programs;
const lacksParts = minio === undefined || lacksS3Server(minio) || lacksPostgres();

describe.skipIf(lacksParts)("a bucket without conditional writes", () => {
  let server: S3Server;
  let postgres: PostgresServer;
  let url: string;
  let stores: Record<"ignores" | "refuses", UnconditionalStore>;
  let slow: UnconditionalStore;
  let prefixes = 0;

  beforeAll(async () => {
    if (minio === undefined) return;
    [server, postgres] = await Promise.all([startS3Server(minio), startPostgresServer()]);
    url = await postgres.createDatabase();
    stores = {
      ignores: await startUnconditionalStore(server, { manner: "ignores" }),
      refuses: await startUnconditionalStore(server, { manner: "refuses" }),
    };
    slow = await startUnconditionalStore(server, { manner: "ignores", writesTakeMs: 200 });
  });

  afterAll(async () => {
    for (const proxy of [stores.ignores, stores.refuses, slow]) await proxy[Symbol.asyncDispose]();
    await Promise.all([server.stop(), postgres.stop()]);
  });

  /** As a node of its own has it. */
  async function sharedClaims(): Promise<WriteClaims> {
    const { database } = databaseAt(url);
    await database.open();
    return createSharedClaims(database);
  }

  const deciders = [
    ["PostgreSQL", "ignores", sharedClaims],
    ["its only writer", "refuses", () => Promise.resolve(createOwnClaims(Date))],
  ] as const;

  for (const [decider, manner, claimsOf] of deciders) {
    describe(`that ${manner} them, where ${decider} decides,`, () => {
      blobStoreSuite("", async () => {
        const options = { ...stores[manner].options(), prefix: nextPrefix(), partBytes };
        const store = await openS3BlobStore({ ...options, claims: await claimsOf(), events: recordEvents() });
        return { store, leftovers: () => leftoversOf(options), remove: () => Promise.resolve() };
      });
    });
  }

  it("is refused in words where nothing decides", async () => {
    for (const store of Object.values(stores)) {
      const refused = openS3BlobStore({ ...store.options(), prefix: nextPrefix(), events: recordEvents() });
      await expect(refused).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringMatching(/If-None-Match.*\[database\].*only_writer/),
      });
    }
  });

  it.each([
    ["small files", 1000],
    ["files in parts", partBytes + 1000],
  ])("keeps the %s of one of many writers on three nodes, and none is overwritten later", async (_, size) => {
    const prefix = nextPrefix();
    const nodes = await Promise.all(
      [1, 2, 3].map(async () => open({ ...slow.options(), prefix, partBytes, claims: await sharedClaims() })),
    );
    const reader = open({ ...server.options(), prefix });
    const folder = await mkdtemp(path.join(tmpdir(), "sluice-claims-"));
    try {
      const contents = Array.from({ length: 6 }, () => randomBytes(size));
      for (const key of ["a.zip", "b.zip", "c.zip"]) {
        const outcomes = await Promise.all(
          contents.map(async (content, index) => {
            const file = path.join(folder, `${key}-${index}`);
            await writeFile(file, content);
            const outcome = await nodes[index % nodes.length]?.create(key, { file, size });
            // From the first answer on it is what it stays.
            return [outcome, sha256(await readKey(reader, key))] as const;
          }),
        );
        const winner = outcomes.findIndex(([outcome]) => outcome === "created");
        expect(outcomes.filter(([outcome]) => outcome === "created")).toHaveLength(1);
        expect(outcomes.filter(([outcome]) => outcome === "exists")).toHaveLength(5);
        expect(new Set(outcomes.map(([, found]) => found))).toEqual(new Set([sha256(contents[winner] ?? "")]));
      }
    } finally {
      for (const store of [...nodes, reader]) await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("is left alone for as long as the claim of a writer that died stands, and no longer", async () => {
    const prefix = nextPrefix();
    const claims = await sharedClaims();
    const key = `s3://${server.bucket}/${prefix}/modules/a`;
    expect(await claims.claim(key, "dead")).toBe(true);
    const store = open({ ...stores.ignores.options(), prefix, claims, clock: hastyClock() });
    await expect(store.create("a", { bytes: Buffer.from("another") })).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(/another writer was about to create .* its claim ends after 5 minutes/),
    });
    expect(await store.stat("a")).toBeUndefined();

    const sql = postgres.sql(url);
    const age = `${claimLifetimeMs + 1000} milliseconds`;
    await sql`UPDATE sluice_write_claims SET claimed_at = claimed_at - ${age}::interval WHERE object = ${key}`;
    await sql.end();
    expect(await store.create("a", { bytes: Buffer.from("another") })).toBe("created");
    expect(String(await readKey(store, "a"))).toBe("another");
    await store.close();
  });

  it("has its claim for a while after an attempt without an answer, which may still arrive", async () => {
    const prefix = nextPrefix();
    const claims = await sharedClaims();
    let lost = 0;
    const loseFirst = stores.ignores.options((handler) => ({
      ...handler,
      async handle(request, options) {
        const answer = await handler.handle(request, options);
        if (request.method !== "PUT" || !request.path.endsWith("/a") || lost++ > 0) return answer;
        answer.response.body.resume();
        throw Object.assign(new Error("lost"), { code: "ECONNRESET" });
      },
    }));
    const store = open({ ...loseFirst, prefix, claims });
    expect(await store.create("a", { bytes: Buffer.from("x") })).toBe("created");
    expect(await claims.claim(`s3://${server.bucket}/${prefix}/modules/a`, "another")).toBe(false);
    expect(await store.create("b", { bytes: Buffer.from("x") })).toBe("created");
    expect(await claims.claim(`s3://${server.bucket}/${prefix}/modules/b`, "another")).toBe(true);
    await store.close();
  });

  it("takes nothing while the database that decides is gone", async () => {
    const { database } = databaseAt(await postgres.createDatabase(), { timeoutMs: 200 });
    await database.open();
    const prefix = nextPrefix();
    const store = open({ ...stores.ignores.options(), prefix, claims: createSharedClaims(database) });
    await store.create("a", { bytes: Buffer.from("x") });
    await database.close();
    // Which says nothing of the bucket: a guard does not count it.
    await expect(store.create("b", { bytes: Buffer.from("x") })).rejects.toMatchObject({
      code: "storage_failed",
      details: { refused: "claim" },
    });
    expect(await store.stat("b")).toBeUndefined();
    expect(String(await readKey(store, "a"))).toBe("x");
    await store.close();
  });

  it("has one only writer, also after a restart, and refuses a second one", async () => {
    const prefix = nextPrefix();
    const prepareAs = async (id: string): Promise<void> => {
      const place = { ...stores.ignores.options(), prefix };
      const store = open({ ...place, claims: createOwnClaims(Date), soleWriter: () => Promise.resolve(id) });
      try {
        await store.prepare();
      } finally {
        await store.close();
      }
    };
    await prepareAs("one");
    await prepareAs("one");
    await expect(prepareAs("two")).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(
        /another Sluice, whose data folder has the store-id one, .*\[database\].*writer"$/,
      ),
    });
  });

  it("is not written to by a second only writer whose start could not reach it", async () => {
    const place = { ...stores.ignores.options(), prefix: nextPrefix(), claims: createOwnClaims(Date) };
    const [one, two] = ["one", "two"].map((id) => open({ ...place, soleWriter: () => Promise.resolve(id) }));
    expect(await one?.create("a", { bytes: Buffer.from("x") })).toBe("created");
    await expect(two?.create("b", { bytes: Buffer.from("x") })).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("store-id one"),
    });
    expect(await two?.stat("b")).toBeUndefined();
    await Promise.all([one?.close(), two?.close()]);
  });

  it("has no claim left of a writer that could not look whether there is an object, and sent nothing", async () => {
    const claims = createOwnClaims(Date);
    let looks = 0;
    const place = stores.ignores.options((handler) => ({
      ...handler,
      handle(request, options) {
        // The first is the one before the claim.
        const isLost = request.method === "HEAD" && ++looks > 1 && looks <= 5;
        if (isLost) return Promise.reject(Object.assign(new Error("lost"), { code: "ECONNRESET" }));
        return handler.handle(request, options);
      },
    }));
    const store = open({ ...place, prefix: nextPrefix(), claims, clock: hastyClock() });
    await expect(store.create("a", { bytes: Buffer.from("x") })).rejects.toMatchObject({ code: "storage_failed" });
    expect(await store.create("a", { bytes: Buffer.from("x") })).toBe("created");
    await store.close();
  });

  function nextPrefix(): string {
    return `prefix-${++prefixes}`;
  }

  async function leftoversOf(options: S3BlobStoreOptions): Promise<readonly string[]> {
    const bucket = new S3Bucket({ ...server.options(), prefix: options.prefix });
    try {
      const { prefix } = options;
      const uploads = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: `${prefix}/modules/a.zip` });
      const objects = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: `${prefix}/` });
      const { Uploads = [] } = await bucket.call((client) => client.send(uploads));
      const { Contents = [] } = await bucket.call((client) => client.send(objects));
      const strangers = Contents.map(({ Key = "" }) => Key.slice(prefix.length + 1));
      return [
        ...Uploads.map(({ UploadId = "" }) => UploadId),
        ...strangers.filter((key) => !/^(modules|quarantine)\//.test(key)),
      ];
    } finally {
      bucket.close();
    }
  }
});

function open(options: S3BlobStoreOptions) {
  return createS3BlobStore(options);
}

/** Whoever sleeps has slept. */
function hastyClock(): Clock {
  let now = Date.now();
  return { now: () => now, sleep: (ms) => Promise.resolve(void (now += ms)) };
}

function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}
