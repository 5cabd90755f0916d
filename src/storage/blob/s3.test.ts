import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { recordEvents } from "../../../test/support/recorded-events.ts";
import type { BlobStore } from "../../core/ports.ts";
import { openS3BlobStore } from "./s3.ts";

interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Stands for a server: the status of each request. */
type Answer = (request: Request) => number;

const refusal = { code: "storage_failed", message: expect.stringMatching(/does not heed If-None-Match/) };

describe("a bucket without write-once", () => {
  it("is refused at start, in words, when it takes every conditional write", async () => {
    await expect(open(() => 200).store).rejects.toMatchObject(refusal);
  });

  it("is refused at start, in words, when it says that it does not know them", async () => {
    await expect(open(({ method }) => (method === "PUT" ? 501 : 200)).store).rejects.toMatchObject(refusal);
  });

  it("is refused at the first write when it could not be reached at start", async () => {
    let isUp = false;
    const { store, events } = open(({ method }) => (!isUp ? 403 : method === "HEAD" ? 404 : 200));
    const opened = await store;
    expect(events.of("store_failed")).toHaveLength(1);
    isUp = true;
    await expect(opened.create("a", { bytes: Buffer.from("x") })).rejects.toMatchObject(refusal);
    await expect(opened.check()).rejects.toMatchObject(refusal);
    await opened.close();
  });
});

describe("a large file", () => {
  it.each([
    ["in parts to a bucket whose uploads in parts are write-once", 412, [1000, 1000, 500]],
    ["in one request to a bucket whose uploads in parts are not", 200, [2500]],
  ])("goes %s", async (_, completion, sizes) => {
    const { store, requests } = open(writeOnce({ completion }), { partBytes: 1000 });
    const opened = await store;
    requests.length = 0;
    await withFile(Buffer.alloc(2500, 7), (file) => opened.create("a", { file, size: 2500 }));
    const puts = requests.filter(({ method, path: name }) => method === "PUT" && name.endsWith("/modules/a"));
    const sent = puts.map(({ headers }) => Number(headers["content-length"]));
    expect(sent.toSorted((a, b) => b - a)).toEqual(sizes);
    await opened.close();
  });

  it("that went into a request and failed on the way is sent again whole", async () => {
    let failures = 2;
    const answer = writeOnce({ completion: 200 });
    const { store, bodies } = open(
      (request) =>
        request.path.endsWith("/modules/a") && request.method === "PUT" && failures-- > 0 ? 503 : answer(request),
      { partBytes: 1000 },
    );
    const opened = await store;
    bodies.length = 0;
    expect(await withFile(Buffer.alloc(2500, 7), (file) => opened.create("a", { file, size: 2500 }))).toBe("created");
    expect(bodies.map((body) => body.length).filter((size) => size > 0)).toEqual([2500, 2500, 2500]);
    await opened.close();
  });
});

describe("a failing bucket", () => {
  it("is asked four times, with growing pauses, where the failure may pass", async () => {
    const { opened, requests, pauses, answerAll } = await openThenAnswer(503);
    const failure = { code: "storage_failed", message: expect.stringMatching(/^cannot read "s3:\/\/b\/p\/a": .*503/) };
    answerAll();
    await expect(opened.stat("a")).rejects.toMatchObject(failure);
    expect(requests).toHaveLength(4);
    expect(pauses).toHaveLength(3);
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(50 * 2 ** index);
      expect(pause).toBeLessThanOrEqual(150 * 2 ** index);
    }
    await opened.close();
  });

  it("is asked once where it refuses", async () => {
    const { opened, requests, answerAll } = await openThenAnswer(403);
    answerAll();
    await expect(opened.stat("a")).rejects.toMatchObject({ message: expect.stringMatching(/access denied: let/) });
    expect(requests).toHaveLength(1);
    await opened.close();
  });
});

/** A good bucket that answers everything by this status from `answerAll` on. */
async function openThenAnswer(status: number) {
  let isFailing = false;
  const answer = writeOnce({ completion: 412 });
  const { store, requests, pauses } = open((request) => (isFailing ? status : answer(request)));
  const opened = await store;
  const answerAll = (): void => {
    isFailing = true;
    requests.length = 0;
    pauses.length = 0;
  };
  return { opened, requests, pauses, answerAll };
}

/** The first conditional put of a name wins; `completion` is what uploads in parts get where something is. */
function writeOnce({ completion }: { readonly completion: number }): Answer {
  const written = new Set<string>();
  return ({ method, path: name, query, headers }) => {
    if (method === "DELETE") return 204;
    if (method === "HEAD") return 404;
    if (method === "POST" && "uploadId" in query) return written.has(name) ? completion : 200;
    if (headers["if-none-match"] !== "*") return 200;
    if (written.has(name)) return 412;
    written.add(name);
    return 200;
  };
}

function open(answer: Answer, options: { readonly partBytes?: number } = {}) {
  const requests: Request[] = [];
  const bodies: Uint8Array[] = [];
  const pauses: number[] = [];
  const events = recordEvents();
  const handle = async (request: Request) => {
    requests.push(request);
    bodies.push(await bytesOf(request.body));
    const statusCode = answer(request);
    return { response: { statusCode, headers: {}, body: Readable.from([Buffer.from(bodyFor(statusCode))]) } };
  };
  const requestHandler = { handle, destroy: () => undefined };
  const store: Promise<BlobStore> = openS3BlobStore({
    bucket: "b",
    prefix: "p",
    region: "us-east-1",
    endpoint: "http://127.0.0.1:1",
    pathStyle: true,
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    requestHandler,
    clock: { now: () => 0, sleep: (ms) => Promise.resolve(void pauses.push(ms)) },
    events,
    ...options,
  });
  return { store, requests, bodies, pauses, events };
}

function bodyFor(status: number): string {
  if (status >= 300) return `<Error><Code>${status === 403 ? "AccessDenied" : `Status${status}`}</Code></Error>`;
  return "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
}

async function bytesOf(body: unknown): Promise<Uint8Array> {
  if (body instanceof Readable) return buffer(body);
  return body instanceof Uint8Array ? body : Buffer.from("");
}

async function withFile<T>(content: Uint8Array, work: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
  try {
    await writeFile(path.join(folder, "file"), content);
    return await work(path.join(folder, "file"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
