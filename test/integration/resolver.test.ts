import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Answer } from "../../src/core/answer.ts";
import { checksumMismatch } from "../../src/core/checksum-mismatch.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { OfflineSwitch } from "../../src/core/offline.ts";
import type { MadeZip, ModuleStore, SumFile, SumVerdict, ZipVerifier } from "../../src/core/ports.ts";
import { Resolver, type ResolverOptions } from "../../src/core/resolve.ts";
import { sha256Of } from "../../src/core/small-files.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { createHashedZip, hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { openDataFolder } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { failureOf } from "../support/source-harness.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { createScriptedSource, type ScriptedSource } from "../support/scripted-source.ts";

const minute = 60_000;
const list = "example.com/m/@v/list";
const latest = "example.com/m/@latest";
const branch = "example.com/m/@v/main.info";
const outage = new SluiceError("upstream_failed", "the upstream is down");

const events = { emit: () => undefined };

let dataDir: string;
let clock: ManualClock;
let store: ModuleStore;
let verifier: ZipVerifier;
let source: ScriptedSource;
let resolver: Resolver;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-resolver-"));
  clock = createManualClock(Date.UTC(2026, 0, 2));
  verifier = createZipVerifier();
  store = await openDataFolder({
    dataDir,
    memoryBytes: 64 << 20,
    wholeFileLimitBytes: 8 << 20,
    verifier,
    clock,
    events,
  });
  source = createScriptedSource();
  resolver = createResolver();
});
afterEach(async () => {
  await resolver.settled();
  await verifier.close();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

function createResolver(changed: Partial<ResolverOptions> = {}): Resolver {
  return new Resolver({
    store,
    source,
    verifier,
    clock,
    events,
    streamFromBytes: 1 << 20,
    memoryFallbackBytes: 64 << 20,
    totalTimeoutMs: 60_000,
    clientWaitMs: 60_000,
    ttlMs: minute,
    staleWhileRevalidateMs: 10 * minute,
    notFoundTtlMs: minute / 2,
    ...changed,
  });
}

function resolve(
  path: string,
  options: { readonly cachedOnly?: boolean; readonly signal?: AbortSignal } = {},
): Promise<Answer> {
  const { cachedOnly = false, signal = new AbortController().signal } = options;
  return resolver.resolve(parseRequest(`/${path}`), { client: "test", cachedOnly, signal });
}

async function get(path: string): Promise<[cache: string, text: string]> {
  const answer = await resolve(path);
  return [answer.cache, Buffer.from(answer.bytes ?? []).toString()];
}

const ownZipPath = "example.com/m/@v/v1.0.0.zip";
const ownModule = { modulePath: parseModulePath("example.com/m"), version: parseVersion("v1.0.0") };

function ownZip(): { zip: Uint8Array; made: MadeZip } {
  const files = [
    { path: "go.mod", content: Buffer.from("module example.com/m\n") },
    { path: "m.go", content: randomBytes(700_000) },
  ];
  const { zip, h1 } = createHashedZip(files, ownModule);
  return { zip, made: { h1, sha256: sha256Of(zip) } };
}

function info(version: string): string {
  return JSON.stringify({ Version: version, Time: "2024-01-02T03:04:05Z" });
}

describe("freshness of what can change", () => {
  test("fresh for the TTL, then the old answer once more while the new one is fetched", async () => {
    source.answers.set(list, "v1.0.0\n");
    expect(await get(list)).toEqual(["miss", "v1.0.0\n"]);
    source.answers.set(list, "v1.0.0\nv1.1.0\n");
    await clock.advance(minute - 1);
    expect(await get(list)).toEqual(["hit", "v1.0.0\n"]);
    await clock.advance(1);
    expect(await get(list)).toEqual(["stale", "v1.0.0\n"]);
    await resolver.settled();
    expect(await get(list)).toEqual(["hit", "v1.0.0\nv1.1.0\n"]);
    expect(source.asked).toEqual([list, list]);
  });

  test("an answer older than that waits for the source", async () => {
    source.answers.set(list, "v1.0.0\n");
    await get(list);
    source.answers.set(list, "v1.1.0\n");
    await clock.advance(12 * minute);
    expect(await get(list)).toEqual(["revalidated", "v1.1.0\n"]);
  });

  test("it does not wait for ever: after five seconds the old answer is given", async () => {
    source.answers.set(list, "v1.0.0\n");
    await get(list);
    const late = Promise.withResolvers<string>();
    source.answers.set(list, late.promise);
    await clock.advance(12 * minute);
    const asked = get(list);
    await expect.poll(() => clock.sleeping).toBe(1);
    await clock.advance(5000);
    expect(await asked).toEqual(["stale", "v1.0.0\n"]);
    late.resolve("v1.1.0\n");
    await resolver.settled();
    expect(await get(list)).toEqual(["hit", "v1.1.0\n"]);
  });

  test("while the source fails the old answer is served without limit, and the source is asked every 15 seconds at most", async () => {
    source.answers.set(list, "v1.0.0\n");
    await get(list);
    source.answers.set(list, outage);
    await clock.advance(365 * 24 * 60 * minute);
    for (let turn = 0; turn < 5; turn++) expect(await get(list)).toEqual(["stale", "v1.0.0\n"]);
    expect(source.asked).toHaveLength(2);
    await clock.advance(15_000);
    expect(await get(list)).toEqual(["stale", "v1.0.0\n"]);
    expect(source.asked).toHaveLength(3);
    source.answers.set(list, "v1.0.0\nv1.1.0\n");
    await clock.advance(15_000);
    expect(await get(list)).toEqual(["revalidated", "v1.0.0\nv1.1.0\n"]);
  });

  test("a module that is gone upstream keeps its list", async () => {
    source.answers.set(list, "v1.0.0\n");
    await get(list);
    source.answers.delete(list);
    await clock.advance(60 * minute);
    expect(await get(list)).toEqual(["stale", "v1.0.0\n"]);
  });

  test("a branch that is deleted is gone", async () => {
    source.answers.set(branch, info("v1.0.0"));
    await get(branch);
    source.answers.delete(branch);
    await clock.advance(60 * minute);
    await expect(get(branch)).rejects.toMatchObject({ code: "not_found" });
    await clock.advance(60 * minute);
    await expect(get(branch)).rejects.toMatchObject({ code: "not_found" });
  });

  test("a branch is still answered when no source is asked at all", async () => {
    source.answers.set(branch, info("v1.0.0"));
    await get(branch);
    source.answers.delete(branch);
    source.links = 0;
    await clock.advance(60 * minute);
    expect(await get(branch)).toEqual(["stale", info("v1.0.0")]);
  });

  test("what a branch resolved to is the .info of that version", async () => {
    source.answers.set(branch, info("v1.0.0"));
    await get(branch);
    expect(await get("example.com/m/@v/v1.0.0.info")).toEqual(["hit", info("v1.0.0")]);
    expect(source.asked).toEqual([branch]);
  });

  test("lists are given without what go would drop", async () => {
    source.answers.set(
      list,
      "v1.1.0 2024-01-02T03:04:05Z\n\nnonsense\nv0.0.0-20240102030405-abcdef123456\nv1.0.0\nv1.0.0\n",
    );
    expect(await get(list)).toEqual(["miss", "v1.0.0\nv1.1.0\n"]);
  });
});

describe("not found", () => {
  test("is believed for its own TTL", async () => {
    await expect(get(list)).rejects.toMatchObject({ code: "not_found" });
    source.answers.set(list, "v1.0.0\n");
    await clock.advance(minute / 2 - 1);
    await expect(get(list)).rejects.toMatchObject({ code: "not_found", details: { negative: true } });
    await clock.advance(1);
    expect(await get(list)).toEqual(["miss", "v1.0.0\n"]);
  });

  test("an outage is not remembered", async () => {
    source.answers.set(list, outage);
    await expect(get(list)).rejects.toMatchObject({ code: "upstream_failed" });
    source.answers.set(list, "v1.0.0\n");
    expect(await get(list)).toEqual(["miss", "v1.0.0\n"]);
  });
});

describe("@latest that the source does not have", () => {
  const mod = (version: string): string => `example.com/m/@v/${version}.mod`;

  test.each([
    ["the highest release", "v1.0.0\nv1.1.0\nv1.2.0-rc.1\n", {}, "v1.1.0"],
    ["a pre-release when there is nothing else", "v1.0.0-rc.1\nv1.0.0-rc.2\n", {}, "v1.0.0-rc.2"],
    ["not a retracted one", "v1.0.0\nv1.1.0\n", { "v1.1.0": "retract v1.1.0\n" }, "v1.0.0"],
    [
      "the newest of pseudo-versions",
      "v0.0.0-20240102030405-abcdef123456\nv0.0.0-20250102030405-bbbbbb123456\n",
      {},
      "v0.0.0-20250102030405-bbbbbb123456",
    ],
  ])("is %s", async (_name, versions, goMods: Record<string, string>, expected) => {
    source.answers.set(list, versions);
    for (const version of versions.trim().split("\n")) {
      source.answers.set(mod(version), `module example.com/m\n${goMods[version] ?? ""}`);
      source.answers.set(`example.com/m/@v/${version}.info`, info(version));
    }
    expect(await get(latest)).toEqual(["miss", info(expected)]);
    const asked = source.asked.length;
    expect((await get(latest))[0]).toBe("hit");
    expect(source.asked).toHaveLength(asked);
  });

  test("is not found when there is no list either, and an outage when the list cannot be had", async () => {
    await expect(get(latest)).rejects.toMatchObject({ code: "not_found" });
    await clock.advance(minute);
    source.answers.set(list, outage);
    await expect(get(latest)).rejects.toMatchObject({ code: "upstream_failed" });
  });
});

describe("askers", () => {
  test("any number of them cost one fetch, and one that leaves takes nothing from the others", async () => {
    const late = Promise.withResolvers<string>();
    source.answers.set("example.com/m/@v/v1.0.0.mod", late.promise);
    const leaver = new AbortController();
    const leaving = resolve("example.com/m/@v/v1.0.0.mod", { signal: leaver.signal });
    const staying = Array.from({ length: 50 }, () => get("example.com/m/@v/v1.0.0.mod"));
    leaver.abort();
    await expect(leaving).rejects.toMatchObject({ code: "cancelled" });
    late.resolve("module example.com/m\n");
    for (const [, text] of await Promise.all(staying)) expect(text).toBe("module example.com/m\n");
    expect(source.asked).toHaveLength(1);
  });

  test("a fetch whose only asker left is kept all the same", async () => {
    const late = Promise.withResolvers<string>();
    source.answers.set("example.com/m/@v/v1.0.0.mod", late.promise);
    const leaver = new AbortController();
    const leaving = resolve("example.com/m/@v/v1.0.0.mod", { signal: leaver.signal });
    await expect.poll(() => source.asked.length).toBe(1);
    leaver.abort();
    await expect(leaving).rejects.toMatchObject({ code: "cancelled" });
    late.resolve("module example.com/m\n");
    await resolver.settled();
    expect(await get("example.com/m/@v/v1.0.0.mod")).toEqual(["hit", "module example.com/m\n"]);
  });
});

describe("where only what a checksum database confirms is served", () => {
  const mod = "example.com/m/@v/v1.0.0.mod";
  const request = parseRequest(`/${mod}`);
  const [wrong, right] = ["module example.com/m // changed\n", "module example.com/m\n"];
  const database = "sum.example.com";

  async function check(file: SumFile): Promise<SumVerdict> {
    if (file.h1 === hashGoMod(Buffer.from(right))) return { state: "verified", database };
    throw checksumMismatch(file, database, hashGoMod(Buffer.from(right)));
  }

  beforeEach(async () => {
    const facts = { size: wrong.length, sha256: sha256Of(Buffer.from(wrong)), h1: hashGoMod(Buffer.from(wrong)) };
    const kept = { ...facts, source: "https://proxy.example", unverified: "it was down" };
    await store.keep(request, { bytes: Buffer.from(wrong) }, kept);
    source.answers.set(mod, right);
    resolver = createResolver({ confirmStored: true, sums: { prepare: () => undefined, check, recheck: check } });
  });

  test("a stored file that it does not confirm is fetched anew", async () => {
    expect(await get(mod)).toEqual(["miss", right]);
    expect(await get(mod)).toEqual(["hit", right]);
  });

  test("a stored file that is rejected while somebody reads it is not taken for confirmed", async () => {
    const read = store.read.bind(store);
    vi.spyOn(store, "read").mockImplementationOnce(async (of) => {
      const file = await read(of);
      await store.reject(of, { reason: "another job has compared it" });
      return file;
    });
    expect(await get(mod)).toEqual(["miss", right]);
  });

  test("a stored file that is replaced while somebody compares it is kept", async () => {
    const unverified = store.unverified.bind(store);
    vi.spyOn(store, "unverified").mockImplementationOnce(async (key) => {
      const marked = await unverified(key);
      await store.reject(request, { reason: "another job has compared it" });
      const facts = { size: right.length, sha256: sha256Of(Buffer.from(right)), h1: hashGoMod(Buffer.from(right)) };
      await store.keep(request, { bytes: Buffer.from(right) }, { ...facts, source: "https://proxy.example" });
      return marked;
    });
    expect(await get(mod)).toEqual(["hit", right]);
    expect(await get(mod)).toEqual(["hit", right]);
  });
});

describe("what a source may not send", () => {
  test.each([
    ["an .info of another version", "example.com/m/@v/v1.0.0.info", info("v1.0.1")],
    ["an .info that is HTML", "example.com/m/@v/v1.0.0.info", "<html>log in</html>"],
    ["a go.mod that is HTML", "example.com/m/@v/v1.0.0.mod", "<html>log in</html>"],
    ["a list that is HTML", list, "<!doctype html><p>log in"],
    ["an empty .info", "example.com/m/@v/v1.0.0.info", ""],
    ["a huge .info", "example.com/m/@v/v1.0.0.info", `{"Version":"v1.0.0","x":"${"x".repeat(2 << 20)}"}`],
  ])("%s is refused and not kept", async (_name, path, body) => {
    source.answers.set(path, body);
    await expect(get(path)).rejects.toMatchObject({ code: "upstream_invalid" });
    source.answers.delete(path);
    await expect(get(path)).rejects.toMatchObject({ code: "not_found" });
  });

  test("a zip that does not verify is refused and not kept", async () => {
    source.answers.set("example.com/m/@v/v1.0.0.zip", "PK not a zip");
    await expect(get("example.com/m/@v/v1.0.0.zip")).rejects.toMatchObject({ code: "integrity" });
    source.answers.delete("example.com/m/@v/v1.0.0.zip");
    await expect(get("example.com/m/@v/v1.0.0.zip")).rejects.toMatchObject({ code: "not_found" });
  });

  test("a zip of our own writer is kept with the hashes that came with it, and is not unpacked again", async () => {
    const { zip, made } = ownZip();
    source.answers.set(ownZipPath, zip);
    source.made = made;
    const verify = vi.spyOn(verifier, "verify");
    expect((await get(ownZipPath))[0]).toBe("miss");
    expect(verify).not.toHaveBeenCalled();
    const stored = await store.read({ kind: "zip", ...ownModule });
    expect(stored).toMatchObject({ ...made, h1: hashZip(randomAccess(zip), ownModule) });
  });

  test("a zip of our own writer that was changed on its way is verified, refused and not kept", async () => {
    const { zip, made } = ownZip();
    const changed = Buffer.from(zip);
    changed.writeUInt8(changed.readUInt8(60) ^ 1, 60);
    source.answers.set(ownZipPath, changed);
    source.made = made;
    await expect(get(ownZipPath)).rejects.toMatchObject({ code: "integrity" });
    expect(await store.read({ kind: "zip", ...ownModule })).toBeUndefined();
  });

  test("a zip of our own writer that is too large for memory is verified", async () => {
    const { zip, made } = ownZip();
    source.answers.set(ownZipPath, zip);
    source.made = made;
    resolver = createResolver({ streamFromBytes: 10 });
    const verify = vi.spyOn(verifier, "verify");
    const answer = await resolve(ownZipPath);
    expect(await buffer(answer.stream())).toEqual(Buffer.from(zip));
    expect(verify).toHaveBeenCalledOnce();
  });

  test("a go.mod that today's parser refuses is kept if it names a module, as its hash stands in go.sum files", async () => {
    source.answers.set("example.com/m/@v/v1.0.0.mod", "module example.com/m\nrequire (\n");
    expect((await get("example.com/m/@v/v1.0.0.mod"))[0]).toBe("miss");
  });
});

describe("while a part of the store is out of reach", () => {
  const mod = "example.com/m/@v/v1.0.0.mod";
  let isInDoubt = true;
  beforeEach(() => {
    isInDoubt = true;
    vi.spyOn(store, "isInDoubt").mockImplementation(() => isInDoubt);
  });

  test.each([list, latest, branch])(
    "%s of a module that is only there is no 404, nor remembered as one",
    async (path) => {
      source.links = 0;
      expect((await failureOf(get(path))).code).toBe("storage_failed");
      isInDoubt = false;
      expect((await failureOf(get(path))).code).toBe("not_found");
    },
  );

  test.each([list, latest, branch])("%s of a module that has files here is no 404", async (path) => {
    source.answers.set(mod, "module example.com/m\n");
    await get(mod);
    expect((await failureOf(get(path))).code).toBe("storage_failed");
  });

  test("what the sources do not have, and nobody here has heard of, is a 404: a prefix that is no module", async () => {
    expect((await failureOf(get(list))).code).toBe("not_found");
  });

  test.each([mod, list, latest, branch])("who wants %s as it is stored is not told that it is not", async (path) => {
    expect((await failureOf(resolve(path, { cachedOnly: true }))).code).toBe("storage_failed");
    isInDoubt = false;
    expect((await failureOf(resolve(path, { cachedOnly: true }))).code).toBe("not_cached");
  });
});

describe("offline", () => {
  const mod = "example.com/m/@v/v1.0.0.mod";
  const text = "module example.com/m\n";
  let offline: OfflineSwitch;
  beforeEach(() => {
    offline = new OfflineSwitch(false);
    resolver = createResolver({ offline });
  });

  test("what is stored is answered however old, and no source is asked", async () => {
    source.answers.set(list, "v1.0.0\n").set(mod, text);
    await get(list);
    await get(mod);
    offline.turn(true);
    await clock.advance(365 * 24 * 60 * minute);
    source.asked.length = 0;
    expect([await get(list), await get(mod)]).toEqual([
      ["stale", "v1.0.0\n"],
      ["hit", text],
    ]);
    expect(source.asked).toEqual([]);
  });

  test("a list that nobody asked for has the stored versions", async () => {
    source.answers.set(mod, text);
    await get(mod);
    offline.turn(true);
    expect(await get(list)).toEqual(["hit", "v1.0.0\n"]);
  });

  test.each([list, mod, latest, branch])(
    "%s that is not stored is no 404, also where it was one a moment ago",
    async (path) => {
      expect((await failureOf(get(path))).code).toBe("not_found");
      offline.turn(true);
      const failure = await failureOf(get(path));
      expect([failure.code, failure.message]).toEqual(["offline", expect.stringContaining("is offline")]);
    },
  );

  test("online again, what was not stored is asked for", async () => {
    offline.turn(true);
    await failureOf(get(mod));
    source.answers.set(mod, text);
    offline.turn(false);
    expect(await get(mod)).toEqual(["miss", text]);
  });
});
