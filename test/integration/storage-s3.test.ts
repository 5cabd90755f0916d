import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { BlobStore } from "../../src/core/ports.ts";
import type { SdkHandler, SdkRequest, SdkResponse } from "../../src/net/sdk-handler.ts";
import { openS3BlobStore } from "../../src/storage/blob/s3.ts";
import { S3Bucket } from "../../src/storage/blob/s3-bucket.ts";
import { openTestStore } from "../support/module-stores.ts";
import { recordEvents } from "../support/recorded-events.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { moduleStoreSuite } from "../suites/module-store.ts";
import { blobStoreSuite, failingBlobStoreSuite, keysOf, readKey } from "../suites/blob-store.ts";

const partBytes = 5 * 1024 * 1024;

for (const program of s3Programs) {
  describe.skipIf(lacksS3Server(program))(`on ${program.name}`, () => {
    let server: S3Server;
    let prefixes = 0;

    beforeAll(async () => {
      server = await startS3Server(program);
    });

    afterAll(async () => {
      await server.stop();
    });

    blobStoreSuite(program.name, () => openEmpty());

    failingBlobStoreSuite(program.name, async () => {
      let isFailing = false;
      const subject = await openEmpty((request) => (isFailing ? refuseWrites(request) : undefined));
      const failWrites = (): Promise<void> => {
        isFailing = true;
        return Promise.resolve();
      };
      return { ...subject, failWrites };
    });

    moduleStoreSuite(program.name, () =>
      openTestStore({
        blobs: ({ folder, events }) => openS3BlobStore({ ...server.options(), prefix: path.basename(folder), events }),
      }),
    );

    it("keeps a large file in parts, and leaves none of an upload that came too late", async () => {
      const sent: string[] = [];
      const { store, leftovers } = await openEmpty((request) => {
        sent.push(`${request.method} ${Object.keys(request.query ?? {}).join(" ")}`);
        return undefined;
      });
      const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
      try {
        const contents = [1, 2, 3].map(() => randomBytes(2 * partBytes + 12_345));
        const outcomes = await Promise.all(
          contents.map(async (content, index) => {
            const file = path.join(folder, String(index));
            await writeFile(file, content);
            return store.create("a.zip", { file, size: content.length });
          }),
        );
        expect(outcomes.toSorted()).toEqual(["created", "exists", "exists"]);
        expect(sent.filter((line) => line.includes("partNumber")).length).toBeGreaterThanOrEqual(3);
        const winner = contents[outcomes.indexOf("created")] ?? Buffer.alloc(0);
        expect(Buffer.compare(await readKey(store, "a.zip"), winner)).toBe(0);
        const part = (await store.get("a.zip"))?.stream({ start: partBytes - 7, end: 2 * partBytes + 7 });
        expect(part && Buffer.compare(await buffer(part), winner.subarray(partBytes - 7, 2 * partBytes + 7))).toBe(0);
        await expect(readFile(path.join(folder, String(outcomes.indexOf("exists"))))).resolves.toHaveLength(
          2 * partBytes + 12_345,
        );
        expect(await leftovers()).toEqual([]);
      } finally {
        await rm(folder, { recursive: true, force: true });
        await store.close();
      }
    });

    it("sends a large file in one request where uploads in parts are not write-once", async () => {
      const puts: (string | undefined)[] = [];
      const { store } = await openEmpty(({ method, path: name, query, headers }) => {
        if (method === "PUT" && name.endsWith("/a.zip")) puts.push(headers["content-length"]);
        const isProbe = method === "POST" && name.includes("/probe/") && "uploadId" in (query ?? {});
        return isProbe ? answerOf(200, "<CompleteMultipartUploadResult/>") : undefined;
      });
      const content = randomBytes(partBytes + 12_345);
      const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
      try {
        const file = path.join(folder, "a.zip");
        await writeFile(file, content);
        expect(await store.create("a.zip", { file, size: content.length })).toBe("created");
        expect(puts).toEqual([String(content.length)]);
        expect(Buffer.compare(await readKey(store, "a.zip"), content)).toBe(0);
      } finally {
        await rm(folder, { recursive: true, force: true });
        await store.close();
      }
    });

    it.each([
      ["a small file", 1000, "PUT"],
      ["a file in parts", partBytes + 1000, "POST"],
    ])("knows its own object when the answer to its last request got lost: %s", async (_, size, lastMethod) => {
      let lost = 0;
      const { store, leftovers } = await openEmpty(undefined, async (request, response) => {
        const isLast = request.method === lastMethod && !("uploads" in (request.query ?? {}));
        if (lost > 0 || !isLast || !request.path.endsWith("/a.zip")) return response;
        lost++;
        await buffer(response.body);
        throw Object.assign(new Error("lost"), { code: "ECONNRESET" });
      });
      const content = randomBytes(size);
      const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
      try {
        const file = path.join(folder, "a.zip");
        await writeFile(file, content);
        expect(await store.create("a.zip", { file, size })).toBe("created");
        expect(lost).toBe(1);
        expect(Buffer.compare(await readKey(store, "a.zip"), content)).toBe(0);
        expect(await leftovers()).toEqual([]);
      } finally {
        await rm(folder, { recursive: true, force: true });
        await store.close();
      }
    });

    it("goes on where a body broke off", async () => {
      const ranges: string[] = [];
      const { store } = await openEmpty(undefined, async (request, response) => {
        if (request.method !== "GET" || !request.path.endsWith("/a")) return response;
        ranges.push(request.headers["range"] ?? "");
        return { ...response, body: Readable.from(cutAfter(response.body, 1_500_000), { objectMode: false }) };
      });
      const content = randomBytes(4_000_000);
      await store.create("a", { bytes: content });
      expect(Buffer.compare(await readKey(store, "a"), content)).toBe(0);
      expect(ranges).toEqual(["", "bytes=1500000-3999999", "bytes=3000000-3999999"]);
      await store.close();
    });

    it("fails a stream whose object was replaced, when it would have to go on with the new one", async () => {
      const { store } = await openEmpty(undefined, async (request, response) => {
        if (request.method !== "GET" || !request.path.endsWith("/a")) return response;
        return { ...response, body: Readable.from(cutAfter(response.body, 1_500_000), { objectMode: false }) };
      });
      await store.replace("a", randomBytes(4_000_000));
      const blob = await store.get("a");
      await store.replace("a", randomBytes(4_000_000));
      await expect(blob?.read()).rejects.toMatchObject({ code: "storage_failed" });
      await store.close();
    });

    it("sets aside into the quarantine, under the key", async () => {
      const { store, keys } = await openEmpty();
      await store.create("a b/ü+.zip", { bytes: Buffer.from("broken") });
      expect(await store.setAside("a b/ü+.zip")).toBe(true);
      expect(await keys()).toEqual([expect.stringMatching(/^quarantine\/\d{4}-[^/]*\/a b\/ü\+\.zip$/)]);
      await store.close();
    });

    it("lists more than one page", async () => {
      const { store } = await openEmpty();
      const names = Array.from({ length: 1010 }, (_, index) => `a/${index}`);
      for (let at = 0; at < names.length; at += 100) {
        await Promise.all(names.slice(at, at + 100).map((key) => store.replace(key, Buffer.from("x"))));
      }
      expect(await keysOf(store, "a")).toEqual(names.toSorted());
      await store.close();
    });

    it("ends uploads that were never completed, but none that may still be under way", async () => {
      const prefix = nextPrefix();
      const bucket = new S3Bucket({ ...server.options(), prefix });
      const key = `${prefix}/modules/a.zip`;
      await bucket.call((client) => client.send(new CreateMultipartUploadCommand({ Bucket: bucket.name, Key: key })));
      const uploads = async (): Promise<number> => {
        const list = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: key });
        return (await bucket.call((client) => client.send(list))).Uploads?.length ?? 0;
      };
      await (await open({ ...server.options(), prefix })).close();
      expect(await uploads()).toBe(1);
      const tomorrow = { ...systemClock, now: () => Date.now() + 25 * 3_600_000 };
      await (await open({ ...server.options(), prefix, clock: tomorrow })).close();
      // MinIO lists uploads of one object only, and ends old ones by itself.
      expect(await uploads()).toBe(program.name === "minio" ? 1 : 0);
      bucket.close();
    });

    it("fails while the server is away, and goes on by itself when it is back", async () => {
      const { store } = await openEmpty();
      await store.create("a", { bytes: Buffer.from("content") });
      await server.kill();
      const failure = {
        code: "storage_failed",
        message: expect.stringMatching(/^cannot read .*refused the connection/),
      };
      await expect(store.get("a")).rejects.toMatchObject(failure);
      await expect(store.create("b", { bytes: Buffer.from("x") })).rejects.toMatchObject({ code: "storage_failed" });
      await server.startAgain();
      expect(String(await readKey(store, "a"))).toBe("content");
      expect(await store.create("b", { bytes: Buffer.from("x") })).toBe("created");
      await store.close();
    });

    it("says what to do when the credentials are wrong, and starts all the same", async () => {
      const events = recordEvents();
      const credentials = { accessKeyId: "sluice-test", secretAccessKey: "another" };
      const options = { ...server.options(), credentials, prefix: nextPrefix(), events };
      const store = await openS3BlobStore(options);
      expect(events.of("store_failed")).toHaveLength(1);
      await expect(store.check()).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringMatching(/^cannot write "s3:\/\/modules\/.*": the secret key is not the right one/),
      });
      await store.close();
    });

    async function openEmpty(refuse?: Refuse, answer?: Answer) {
      const prefix = nextPrefix();
      const store = await open({ ...server.options((handler) => intercept(handler, refuse, answer)), prefix });
      const bucket = new S3Bucket({ ...server.options(), prefix });
      const keys = async (): Promise<string[]> => {
        const list = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: `${prefix}/` });
        const { Contents = [] } = await bucket.call((client) => client.send(list));
        return Contents.map(({ Key = "" }) => Key.slice(prefix.length + 1));
      };
      const leftovers = async (): Promise<string[]> => {
        const list = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: `${prefix}/modules/a.zip` });
        const { Uploads = [] } = await bucket.call((client) => client.send(list));
        const strangers = (await keys()).filter((key) => !/^(modules|quarantine)\//.test(key));
        return [...Uploads.map(({ UploadId = "" }) => UploadId), ...strangers];
      };
      const remove = (): Promise<void> => {
        bucket.close();
        return Promise.resolve();
      };
      return { store, keys, leftovers, remove };
    }

    function nextPrefix(): string {
      return `some/prefix-${++prefixes}`;
    }
  });
}

type Refuse = (request: SdkRequest) => SdkResponse | undefined;
type Answer = (request: SdkRequest, response: SdkResponse) => Promise<SdkResponse>;

function open(options: Omit<Parameters<typeof openS3BlobStore>[0], "events">): Promise<BlobStore> {
  return openS3BlobStore({ partBytes, events: { emit: () => undefined }, ...options });
}

function intercept(handler: SdkHandler, refuse?: Refuse, answer?: Answer): SdkHandler {
  return {
    ...handler,
    async handle(request, options) {
      const refusal = refuse?.(request);
      if (refusal !== undefined) return { response: refusal };
      const { response } = await handler.handle(request, options);
      return { response: answer === undefined ? response : await answer(request, response) };
    },
  };
}

function refuseWrites({ method }: SdkRequest): SdkResponse | undefined {
  if (method === "GET" || method === "HEAD") return undefined;
  return answerOf(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
}

function answerOf(statusCode: number, xml: string): SdkResponse {
  return { statusCode, headers: { "content-type": "application/xml" }, body: Readable.from([Buffer.from(xml)]) };
}

async function* cutAfter(body: Readable, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (chunk.length > left) {
      yield chunk.subarray(0, left);
      throw Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" });
    }
    left -= chunk.length;
    yield chunk;
  }
}
