import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Answer } from "../../src/core/answer.ts";
import { SluiceError } from "../../src/core/errors.ts";
import type { ModuleStore, ZipVerifier } from "../../src/core/ports.ts";
import { Resolver, type ResolverOptions } from "../../src/core/resolve.ts";
import { createMessageHub } from "../../src/fleet/message-hub.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { openDataFolder } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { buildZip, fixtureFiles } from "../support/fixture-modules.ts";
import { createLocalLeases } from "../support/local-leases.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { createScriptedSource, type ScriptedSource } from "../support/scripted-source.ts";

const minute = 60_000;
const leaf = "example.com/leaf/@v/";
const list = "example.com/leaf/@v/list";
const outage = new SluiceError("upstream_failed", "the upstream is down");
const events = { emit: () => undefined };

interface Node {
  readonly source: ScriptedSource;
  readonly store: ModuleStore;
  readonly resolver: Resolver;
}

let verifier: ZipVerifier;
let clock: ManualClock;
let dataDir: string;
let hub: ReturnType<typeof createMessageHub>;
let leases: ReturnType<typeof createLocalLeases>;

beforeAll(() => {
  verifier = createZipVerifier();
});
afterAll(() => verifier.close());

beforeEach(async () => {
  dataDir = await newFolder();
  clock = createManualClock(Date.UTC(2026, 0, 2));
  hub = createMessageHub();
  leases = createLocalLeases();
});

describe("nodes that share a store", () => {
  test.each(["info", "mod", "zip"])("fetch a cold .%s once, whoever is asked", async (kind) => {
    const [one, other] = [await open(), await open()];
    const key = `${leaf}v1.0.0.${kind}`;
    const bytes = fixtureFiles().get(key) ?? new Uint8Array();
    const thinking = Promise.withResolvers<Uint8Array>();
    for (const { source } of [one, other]) source.answers.set(key, thinking.promise);
    const first = read(one, key);
    await expect.poll(() => one.source.asked).toEqual([key]);
    const second = read(other, key);
    thinking.resolve(bytes);
    expect(await Promise.all([first, second])).toEqual([Buffer.from(bytes), Buffer.from(bytes)]);
    expect(other.source.asked).toEqual([]);
  });

  test("a zip too large for memory comes to both", async () => {
    const [one, other] = [await open({ streamFromBytes: 64 }), await open({ streamFromBytes: 64 })];
    const key = `${leaf}v1.0.0.zip`;
    const bytes = fixtureFiles().get(key) ?? new Uint8Array();
    const thinking = Promise.withResolvers<Uint8Array>();
    for (const { source } of [one, other]) source.answers.set(key, thinking.promise);
    const first = read(one, key);
    await expect.poll(() => one.source.asked).toEqual([key]);
    const second = read(other, key);
    thinking.resolve(bytes);
    expect(await Promise.all([first, second])).toEqual([Buffer.from(bytes), Buffer.from(bytes)]);
    expect(other.source.asked).toEqual([]);
  });

  test("a zip that another node had first with another content does not end as a whole file", async () => {
    const [one, other] = [await open({ streamFromBytes: 64, leases: undefined }), await open({ leases: undefined })];
    const key = `${leaf}v1.0.0.zip`;
    const theirs = Buffer.from(fixtureFiles().get(key) ?? []);
    const name = "example.com/leaf@v1.0.0/leaf.go";
    const ours = buildZip({ [name]: `package leaf\n\nvar moved = "${"a tag ".repeat(100)}"\n` });
    const thinking = Promise.withResolvers<Uint8Array>();
    one.source.answers.set(key, thinking.promise);
    other.source.answers.set(key, theirs);
    const first = read(one, key);
    await expect.poll(() => one.source.asked).toEqual([key]);
    expect(await read(other, key)).toEqual(theirs);
    thinking.resolve(ours);
    await expect(first).rejects.toMatchObject({ code: "integrity", message: expect.stringContaining("ask again") });
    expect(await read(one, key)).toEqual(theirs);
  });

  test("a node whose source works answers while another's does not", async () => {
    const [one, other] = [await open(), await open()];
    const key = `${leaf}v1.0.0.mod`;
    const thinking = Promise.withResolvers<Error>();
    one.source.answers.set(key, thinking.promise);
    other.source.answers.set(key, "module example.com/leaf\n");
    const first = read(one, key);
    await expect.poll(() => one.source.asked).toEqual([key]);
    const second = read(other, key);
    thinking.resolve(outage);
    await expect(first).rejects.toMatchObject({ code: "upstream_failed" });
    expect((await second).toString()).toBe("module example.com/leaf\n");
  });

  test("what is kept unverified is not taken from another node where everything must be confirmed", async () => {
    const check = async () => ({ state: "unverified", database: "sum", reason: "down", isAnswered: false }) as const;
    const refuse = async () => {
      throw new SluiceError("unverified", "the database is down");
    };
    const careless = await open({ sums: { prepare: () => undefined, check, recheck: check } });
    const careful = await open({
      sums: { prepare: () => undefined, check: refuse, recheck: refuse },
      confirmStored: true,
    });
    const key = `${leaf}v1.0.0.mod`;
    for (const { source } of [careless, careful]) source.answers.set(key, "module example.com/leaf\n");
    await read(careless, key);
    await expect(read(careful, key)).rejects.toMatchObject({ code: "unverified" });
  });

  test("hear of a list that has changed, and of no other", async () => {
    const [one, other] = [await open(), await open()];
    for (const { source } of [one, other]) source.answers.set(list, "v1.0.0\n");
    await read(one, list);
    expect((await read(other, list)).toString()).toBe("v1.0.0\n");
    expect(other.source.asked).toEqual([]);
    // As a node whose clock is ahead of this one's, or that a client told to look again.
    one.source.answers.set(list, "v1.0.0\nv1.1.0\n");
    one.resolver.purge({ module: "example.com/leaf" });
    await clock.advance(1);
    const heard: unknown[] = [];
    hub.join("listener").subscribe((message) => heard.push(message));
    await read(one, list);
    expect(heard).toEqual([{ type: "kept", key: list }]);
    expect((await read(other, list)).toString()).toBe("v1.0.0\nv1.1.0\n");
    expect(other.source.asked).toEqual([]);
    one.resolver.purge({ module: "example.com/leaf" });
    await clock.advance(1);
    await read(one, list);
    expect(heard).toHaveLength(1);
  });

  test("forget a file that another one found wrong", async () => {
    const [one, other] = [await open(), await open()];
    const key = `${leaf}v1.0.0.mod`;
    for (const { source } of [one, other]) source.answers.set(key, "module example.com/leaf\n");
    await read(one, key);
    await read(other, key);
    await one.store.reject(parseRequest(`/${key}`), { reason: "a test" });
    expect(other.store.peek(key)).toBeDefined();
    hub.join("operator").publish({ type: "rejected", key });
    expect(other.store.peek(key)).toBeUndefined();
  });
});

describe("nodes with stores of their own", () => {
  test("do not go on believing that something is missing which another one has found", async () => {
    const [one, other] = [await open(), await open({}, await newFolder())];
    const key = `${leaf}v1.0.0.info`;
    await expect(read(other, key)).rejects.toMatchObject({ code: "not_found" });
    const info = JSON.stringify({ Version: "v1.0.0", Time: "2024-01-02T03:04:05Z" });
    for (const { source } of [one, other]) source.answers.set(key, info);
    await expect(read(other, key)).rejects.toMatchObject({ code: "not_found" });
    await read(one, key);
    expect((await read(other, key)).toString()).toBe(info);
  });

  test("a file that only memory has is not forgotten because another one keeps it", async () => {
    const [one, other] = [await open(), await open({}, await newFolder())];
    const key = `${leaf}v1.0.0.mod`;
    for (const { source } of [one, other]) source.answers.set(key, "module example.com/leaf\n");
    await read(other, key);
    await read(one, key);
    expect(other.store.peek(key)).toBeDefined();
  });
});

async function open(changed: Partial<ResolverOptions> = {}, folder = dataDir): Promise<Node> {
  const source = createScriptedSource();
  const store = await openDataFolder({
    dataDir: folder,
    memoryBytes: 64 << 20,
    wholeFileLimitBytes: 8 << 20,
    verifier,
    clock,
    events,
  });
  const messages = hub.join("node");
  const resolver = new Resolver({
    store,
    source,
    verifier,
    clock,
    events,
    messages,
    // Who shares no store shares no leases.
    leases: folder === dataDir ? leases.join("node") : undefined,
    streamFromBytes: 1 << 20,
    memoryFallbackBytes: 64 << 20,
    totalTimeoutMs: 60_000,
    clientWaitMs: 60_000,
    ttlMs: minute,
    staleWhileRevalidateMs: 0,
    notFoundTtlMs: minute / 2,
    ...changed,
  });
  messages.subscribe((message) => {
    if (message.type === "kept" || message.type === "rejected") resolver.heed(message);
  });
  onTestFinished(async () => {
    await resolver.settled();
    await store.close();
  });
  return { source, store, resolver };
}

async function read({ resolver }: Node, path: string): Promise<Buffer> {
  const signal = new AbortController().signal;
  const answer: Answer = await resolver.resolve(parseRequest(`/${path}`), {
    client: "test",
    cachedOnly: false,
    signal,
  });
  if (answer.bytes !== undefined) return Buffer.from(answer.bytes);
  return Buffer.concat(await answer.stream().toArray());
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-fleet-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
