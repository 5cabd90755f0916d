import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isSluiceError } from "../../src/core/errors.ts";
import type { ModuleStore, ZipVerifier } from "../../src/core/ports.ts";
import { Resolver } from "../../src/core/resolve.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { parseChain } from "../../src/sources/chain-spec.ts";
import { createChain } from "../../src/sources/chain.ts";
import { createPrivateRules } from "../../src/sources/private.ts";
import { createFileSource } from "../../src/sources/upstream/file.ts";
import { createUpstreamSource } from "../../src/sources/upstream/http.ts";
import { openDataFolder } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { type CuttingUpstream, type Scene, startCuttingUpstream } from "../support/cutting-upstream.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { buildModules, incompressible } from "../support/fixture-modules.ts";
import { createRandom, type Random } from "../support/random.ts";
import { recordEvents, type RecordedEvents } from "../support/recorded-events.ts";

const path = "example.com/m/@v/v1.0.0.zip";
const contentBytes = 1_500_000;
const overlapBytes = 16 * 1024;

/** A zip of the module. Those with content of one length have one size, and no two bytes of them are alike for long. */
function zipOf(seed: number, bytes = contentBytes): Buffer {
  const content = incompressible(bytes + seed).subarray(seed);
  const version = { path: "example.com/m", version: "v1.0.0", files: { "m.go": "package m\n", "data.bin": content } };
  return Buffer.from(buildModules([version]).get(path) ?? []);
}

function damagedAt(zip: Buffer, position: number): Buffer {
  const damaged = Buffer.from(zip);
  damaged[position] = (damaged[position] ?? 0) ^ 1;
  return damaged;
}

const good = zipOf(0);
const other = zipOf(5);
const larger = zipOf(7, contentBytes + 50_000);
const goodTag = `"${createHash("sha256").update(good).digest("hex")}"`;
const zips = { good, other, larger };
const half = Math.floor(good.length / 2);

let verifier: ZipVerifier;
let dataDir: string;
let store: ModuleStore;
let events: RecordedEvents;
let upstreams: CuttingUpstream[];

beforeAll(() => {
  verifier = createZipVerifier();
});
afterAll(() => verifier.close());
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-resume-"));
  events = recordEvents();
  upstreams = [];
  store = await openStore();
});
afterEach(async () => {
  await store.close();
  await Promise.all(upstreams.map((upstream) => upstream[Symbol.asyncDispose]()));
  await rm(dataDir, { recursive: true, force: true });
});

function openStore(): Promise<ModuleStore> {
  const clock = createFakeClock();
  return openDataFolder({ dataDir, memoryBytes: 0, wholeFileLimitBytes: 8 << 20, verifier, clock, events });
}

async function serve(bytes: Uint8Array, play: (request: number) => Scene): Promise<CuttingUpstream> {
  const upstream = await startCuttingUpstream(bytes, play);
  upstreams.push(upstream);
  return upstream;
}

/** What a client has in the end. */
interface Download {
  readonly bytes: Buffer;
  /** Its transfer was broken off, or it got an error to begin with. */
  readonly isBroken: boolean;
}

interface FetchOptions {
  /** Zips above this size are followed while they come. */
  readonly streamFromBytes?: number;
  readonly attempts?: number;
  readonly clients?: number;
}

/** Some clients download the zip at once, through all `upstreams` with a `|` between them. */
async function download(options: FetchOptions = {}): Promise<Download[]> {
  const { streamFromBytes = 200_000, attempts = 3, clients = 3 } = options;
  const clock = createFakeClock();
  const http = createHttpClient({ ca: [], userAgent: "Sluice/test", instanceId: "test" });
  const source = createChain({
    entries: parseChain(upstreams.map(({ url }) => url).join("|")),
    privateRules: createPrivateRules(""),
    open: (entry) =>
      entry.kind === "http"
        ? createUpstreamSource({ ...entry, http, clock, events, retry: { attempts } })
        : createFileSource({ ...entry, clock, events }),
  });
  const resolver = new Resolver({
    store,
    source,
    verifier,
    clock,
    events,
    streamFromBytes,
    memoryFallbackBytes: 64 << 20,
    totalTimeoutMs: 60_000,
    clientWaitMs: 60_000,
    ttlMs: 60_000,
    staleWhileRevalidateMs: 60_000,
    notFoundTtlMs: 60_000,
  });
  const downloads = await Promise.all(Array.from({ length: clients }, () => follow(resolver)));
  await resolver.settled();
  await source.close();
  await http.close();
  return downloads;
}

async function follow(resolver: Resolver): Promise<Download> {
  const chunks: Uint8Array[] = [];
  let isBroken = false;
  try {
    const { signal } = new AbortController();
    const answer = await resolver.resolve(parseRequest(`/${path}`), { client: "test", cachedOnly: false, signal });
    for await (const chunk of answer.bytes === undefined ? answer.stream() : [answer.bytes]) chunks.push(chunk);
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    isBroken = true;
  }
  return { bytes: Buffer.concat(chunks), isBroken };
}

async function stored(): Promise<Buffer | undefined> {
  const file = await store.read(parseRequest(`/${path}`));
  if (file === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What clients and the store have in the end, each once: a zip, or nothing but a broken transfer. */
async function outcomesOf(downloads: readonly Download[]): Promise<string[]> {
  const kept = await stored();
  const clients = downloads.map(({ bytes, isBroken }) => (isBroken ? "broken" : nameOf(bytes)));
  return [...new Set([...clients, kept === undefined ? "broken" : nameOf(kept)])];
}

function nameOf(bytes: Buffer): string {
  const [name] = Object.entries(zips).find(([, zip]) => zip.equals(bytes)) ?? ["unknown"];
  return name;
}

/** Of the first byte that a `bytes=N-` asks for. */
function startOf(range: string | undefined): number {
  return Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]);
}

/** What was sent may not all have been read when the connection goes. */
function expectAbout(bytes: number, expected: number): void {
  expect(bytes).toBeLessThanOrEqual(expected);
  expect(bytes).toBeGreaterThan(expected - 300_000);
}

function resumedBytes(): number[] {
  return events.of("fetch_resumed").map(({ bytes }) => bytes);
}

describe("a zip through a network that cuts", () => {
  test("is sent about once, however often it is cut, and clients that follow it notice nothing", async () => {
    const upstream = await serve(good, () => ({ cutAfter: 200_000 }));
    expect(await outcomesOf(await download())).toEqual(["good"]);
    const { requests } = upstream;
    expect(requests.length).toBeGreaterThanOrEqual(Math.ceil(good.length / 200_000));
    expect(upstream.sentBytes).toBeLessThan(good.length * 1.5);
    for (const { ifRange, status } of requests.slice(1)) {
      expect([ifRange, status]).toEqual([goodTag, 206]);
    }
    expect(resumedBytes()).toHaveLength(requests.length - 1);
  });

  test("is given up where it does not get on", async () => {
    const upstream = await serve(good, (request) => ({ cutAfter: request === 1 ? half : 20_000 }));
    expect(await outcomesOf(await download())).toEqual(["broken"]);
    expect(upstream.requests).toHaveLength(3);
  });

  test("is gone on with behind answers that are failures", async () => {
    const upstream = await serve(good, (request) => [{ cutAfter: half }, { status: 503 }][request - 1] ?? {});
    expect(await outcomesOf(await download())).toEqual(["good"]);
    expect(upstream.sentBytes).toBeLessThan(good.length + 400_000);
    expect(upstream.requests.map(({ status }) => status)).toEqual([200, 503, 206]);
  });

  test.each<[string, Scene, number[], boolean]>([
    ["a weak ETag is no condition", { etag: 'W/"1"' }, [200, 206], true],
    ["without an ETag the size and the last bytes decide", { etag: null }, [200, 206], true],
    ["Range is ignored: all of it comes and is compared", { range: "ignored" }, [200, 200], false],
    ["Range is refused: all of it is asked for", { range: "refused" }, [200, 416, 200], false],
    ["Range is forbidden: all of it is asked for", { range: "refused", refusedWith: 403 }, [200, 403, 200], false],
    [
      "Range makes it fail: in the end all of it is asked for",
      { range: "refused", refusedWith: 500 },
      [200, 500, 500, 500, 200],
      false,
    ],
    ["another part comes: all of it is asked for", { range: "another part" }, [200, 206, 200], false],
    ["another size is told: all of it is asked for", { range: "another total" }, [200, 206, 200], false],
  ])("%s", async (_name, scene, statuses, isResumed) => {
    const upstream = await serve(good, (request) => ({ ...scene, cutAfter: request === 1 ? half : undefined }));
    expect(await outcomesOf(await download({ attempts: 5 }))).toEqual(["good"]);
    expect(upstream.requests.map(({ status }) => status)).toEqual(statuses);
    expectAbout(startOf(upstream.requests[1]?.range), half - overlapBytes);
    expect(upstream.requests[1]?.ifRange).toBe("etag" in scene ? undefined : goodTag);
    expect(resumedBytes()).toEqual(isResumed ? [startOf(upstream.requests[1]?.range)] : []);
  });
});

describe("a zip that is another one by the time it is gone on with", () => {
  const cut = { cutAfter: half };
  const sameTag = { etag: '"same"' };
  const lastBytes = good.length - 5000;

  /** Nobody follows; somebody does. */
  test.each<[string, () => readonly Scene[], string, string]>([
    ["with another ETag", () => [cut, { bytes: other }], "other", "broken"],
    ["of another size", () => [cut, { bytes: larger }], "larger", "broken"],
    [
      "with the same ETag",
      () => [
        { ...cut, ...sameTag },
        { bytes: other, ...sameTag },
      ],
      "other",
      "broken",
    ],
    [
      "of another size with the same ETag",
      () => [
        { ...cut, ...sameTag },
        { bytes: larger, ...sameTag },
      ],
      "larger",
      "broken",
    ],
    [
      "with the same ETag, and the first one again later",
      () => [{ ...cut, ...sameTag }, { bytes: other, ...sameTag }, sameTag],
      "good",
      "good",
    ],
    [
      "damaged behind what is compared",
      () => [{ ...cut, ...sameTag }, { bytes: damagedAt(good, half + 30_000), ...sameTag }, sameTag],
      "good",
      "broken",
    ],
    [
      "damaged in what clients wait for",
      () => [{ ...cut, ...sameTag }, { bytes: damagedAt(good, lastBytes), ...sameTag }, sameTag],
      "good",
      "good",
    ],
  ])("%s", async (_name, scenes, unfollowed, followed) => {
    await serve(good, (request) => scenes().slice(0, request).at(-1) ?? {});
    expect(await outcomesOf(await download())).toEqual([followed]);
    await Promise.all(upstreams.splice(0).map((upstream) => upstream[Symbol.asyncDispose]()));
    await store.close();
    await rm(dataDir, { recursive: true });
    store = await openStore();
    await serve(good, (request) => scenes().slice(0, request).at(-1) ?? {});
    expect(await outcomesOf(await download({ streamFromBytes: 16 << 20 }))).toEqual([unfollowed]);
  });
});

describe("another upstream", () => {
  const cutThenGone = (request: number): Scene => (request === 1 ? { cutAfter: half } : { status: 503 });

  test("goes on with what the first one broke off", async () => {
    const first = await serve(good, cutThenGone);
    const second = await serve(good, () => ({}));
    expect(await outcomesOf(await download())).toEqual(["good"]);
    expect(first.sentBytes + second.sentBytes).toBeLessThan(good.length + 400_000);
    expect(second.requests).toEqual([{ range: expect.any(String), status: 206 }]);
    expectAbout(startOf(second.requests[0]?.range), half - overlapBytes);
    expect(events.of("fetch_resumed")).toMatchObject([
      { source: second.url, bytes: startOf(second.requests[0]?.range) },
    ]);
  });

  test.each([
    ["of another size", "larger"],
    ["of other bytes", "other"],
  ] as const)("that has a zip %s sends all of it, where nobody follows the first one", async (_name, name) => {
    await serve(good, cutThenGone);
    const second = await serve(zips[name], () => ({}));
    expect(await outcomesOf(await download({ streamFromBytes: 16 << 20 }))).toEqual([name]);
    expect(second.requests.map(({ status }) => status)).toEqual([206, 200]);
    expect(second.requests.at(-1)).toEqual({ status: 200 });
  });

  test.each([
    ["of another size", "larger"],
    ["of other bytes", "other"],
  ] as const)("that has a zip %s cannot help clients that follow the first one", async (_name, name) => {
    await serve(good, cutThenGone);
    await serve(zips[name], () => ({}));
    expect(await outcomesOf(await download())).toEqual(["broken"]);
  });

  test("with a good copy helps those that follow a damaged one only where they do not have the damage yet", async () => {
    await serve(damagedAt(good, good.length - 5000), () => ({}));
    await serve(good, () => ({}));
    expect(await outcomesOf(await download())).toEqual(["good"]);
  });

  test("with a good copy does not help those that have the damage", async () => {
    await serve(damagedAt(good, half), () => ({}));
    await serve(good, () => ({}));
    expect(await outcomesOf(await download())).toEqual(["broken"]);
    expect(await outcomesOf(await download({ streamFromBytes: 16 << 20 }))).toEqual(["good"]);
  });

  test("that ends what a damaged one began is not believed, and asked for all of it", async () => {
    await serve(damagedAt(good, 100_000), cutThenGone);
    const second = await serve(good, () => ({}));
    expect(await outcomesOf(await download({ streamFromBytes: 16 << 20 }))).toEqual(["good"]);
    expect(second.requests.map(({ status }) => status)).toEqual([206, 200]);
    const [failure] = events.of("integrity_failed");
    expect(failure?.reason).toBeDefined();
  });
});

describe("whatever upstreams do", () => {
  const files = [good, other, larger, damagedAt(good, 60_000), damagedAt(good, half), good.subarray(0, -500)];
  const ranges = ["ignored", "refused", "another part", "another total"] as const;

  function randomScene(random: Random): Scene {
    return {
      bytes: random.chance(85) ? undefined : random.pick(files),
      etag: random.chance(50) ? undefined : random.pick([null, 'W/"1"', '"same"', '"same"', '"another"']),
      range: random.chance(85) ? "honoured" : random.pick(ranges),
      cutAfter: random.chance(75) ? random.int(half) : undefined,
      refusedWith: random.pick([416, 416, 400, 403, 500]),
      status: random.chance(10) ? random.pick([503, 429, 500, 404, 206]) : undefined,
    };
  }

  test.each(Array.from({ length: 60 }, (_, seed) => seed))(
    "clients have a good zip or a broken transfer (%i)",
    async (seed) => {
      const random = createRandom(seed);
      for (let count = 1 + random.int(2); count > 0; count--) {
        await serve(random.pick([good, good, other]), () => randomScene(random));
      }
      const streamFromBytes = random.pick([100_000, 100_000, 1_000_000, 16 << 20]);
      const downloads = await download({ streamFromBytes, attempts: 3 + random.int(8) });
      // Nobody has another zip than the one that is kept, and where there is one, everybody has it.
      const outcomes = await outcomesOf(downloads);
      expect(outcomes).toHaveLength(1);
      expect(["broken", ...Object.keys(zips)]).toContain(outcomes[0]);
    },
  );
});
