import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSluiceError, SluiceError } from "../../src/core/errors.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { SluiceEvent } from "../../src/core/events.ts";
import type { Clock, Source, SourceResponse } from "../../src/core/ports.ts";
import type { ModulePath, Version } from "../../src/protocol/brand.ts";
import { type ModuleInfo, type ModuleRequest, parseInfo, parseRequest } from "../../src/protocol/goproxy/index.ts";
import { escapePath, escapeVersion, parseModulePath } from "../../src/protocol/module/index.ts";
import { hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { type Archiver, createArchiver } from "../../src/sources/git/archive.ts";
import { createGitCommand } from "../../src/sources/git/command.ts";
import { createMirrors, type Mirrors } from "../../src/sources/git/mirror.ts";
import type { AccessRemote } from "../../src/sources/git/credentials/access.ts";
import type { EntitlementOf } from "../../src/sources/git/credentials/entitlement.ts";
import type { Pins } from "../../src/sources/git/pins.ts";
import { createGitSource } from "../../src/sources/git/source.ts";

export interface GitPlace {
  /** Import path of the repository's root. */
  readonly root: string;
  /** The remote, or the folder of a repository. */
  readonly url: string;
  readonly subdir?: string;
}

export interface GitHarnessOptions {
  readonly places: readonly GitPlace[];
  readonly folder?: string;
  readonly access?: AccessRemote;
  readonly entitlementOf?: EntitlementOf;
  readonly refsTtlMs?: number;
  readonly fetchTimeoutMs?: number;
  readonly keepUnusedMs?: number;
  readonly maxBytes?: number;
  readonly maxFetchBytes?: number;
  readonly isAhead?: boolean;
  readonly clock?: Clock;
  readonly pins?: Pins;
  /** In place of git. */
  readonly executable?: string;
  readonly isPrivate?: (modulePath: ModulePath) => boolean;
  readonly probe?: (url: string, signal: AbortSignal) => Promise<number | undefined>;
  readonly config?: readonly (readonly [string, string])[];
}

/** A git source with everything behind it in a folder of its own, and whatever it told. */
export interface GitHarness extends AsyncDisposable {
  readonly folder: string;
  readonly source: Source;
  readonly mirrors: Mirrors;
  readonly events: SluiceEvent[];
  fetch(request: ModuleRequest, signal?: AbortSignal): Promise<Buffer>;
  list(path: string): Promise<string[]>;
  /** Of a version or query, as its kind of request. */
  info(path: string, query: string): Promise<ModuleInfo>;
  latest(path: string): Promise<ModuleInfo>;
  mod(path: string, version: string): Promise<string>;
  zip(path: string, version: string): Promise<Buffer>;
  h1(path: string, version: string): Promise<string>;
}

export async function createGitHarness(options: GitHarnessOptions): Promise<GitHarness> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "sluice-git-")));
  const clock = options.clock ?? systemClock;
  const events: SluiceEvent[] = [];
  const told = { emit: (event: SluiceEvent) => void events.push(event) };
  const git = createGitCommand({
    home: join(folder, "home"),
    env: process.env,
    allowFileProtocol: true,
    config: options.config ?? [],
    ...(options.executable === undefined ? {} : { executable: options.executable }),
  });
  const mirrors = createMirrors({
    folder,
    git,
    access: options.access ?? (async () => ({ env: {}, hasCredential: false, dispose: async () => undefined })),
    probe: options.probe,
    events: told,
    clock,
    concurrency: 8,
    maxWaiting: 10_000,
    maxWaitMs: 60_000,
    fetchTimeoutMs: options.fetchTimeoutMs ?? 60_000,
    refsTtlMs: options.refsTtlMs ?? 10_000,
    keepUnusedMs: options.keepUnusedMs,
    maxBytes: options.maxBytes,
    maxFetchBytes: options.maxFetchBytes,
    isAhead: options.isAhead,
  });
  const archiver: Archiver = createArchiver({ git, folder: join(folder, "tmp"), concurrency: 2, timeoutMs: 60_000 });
  const source = createGitSource({
    name: "direct",
    discovery: { find: async (modulePath) => findPlace(options.places, modulePath) },
    mirrors,
    isPrivate: options.isPrivate,
    entitlementOf: options.entitlementOf,
    archiver,
    pins: options.pins ?? createMemoryPins(),
    openProxy: () => {
      throw new Error("no place here names a proxy");
    },
    events: told,
    clock,
  });
  const fetch = (request: ModuleRequest, signal = new AbortController().signal): Promise<Buffer> =>
    source.fetch(request, readAll, { signal, client: "test" });
  const infoRequest = (path: string, query: string): Extract<ModuleRequest, { kind: "info" | "query" }> => {
    const request = parseRequest(`/${escapePath(parseModulePath(path))}/@v/${escapeVersion(query)}.info`);
    if (request.kind === "query") return request;
    if (request.kind === "info") return { ...request, kind: "info" };
    throw new Error(`${query} is no query`);
  };
  const fileRequest = (path: string, version: string, kind: "mod" | "zip"): ModuleRequest =>
    parseRequest(`/${escapePath(parseModulePath(path))}/@v/${escapeVersion(version)}.${kind}`);
  return {
    folder,
    source,
    mirrors,
    events,
    fetch,
    async list(path) {
      const text = (await fetch({ kind: "list", modulePath: parseModulePath(path) })).toString("utf8");
      return text.split("\n").filter((line) => line !== "");
    },
    async info(path, query) {
      const request = infoRequest(path, query);
      return parseInfo(await fetch(request), request);
    },
    async latest(path) {
      const modulePath = parseModulePath(path);
      return parseInfo(await fetch({ kind: "latest", modulePath }), { kind: "query", modulePath, query: "latest" });
    },
    async mod(path, version) {
      return (await fetch(fileRequest(path, version, "mod"))).toString("utf8");
    },
    zip: (path, version) => fetch(fileRequest(path, version, "zip")),
    async h1(path, version) {
      return hashZip(randomAccess(await fetch(fileRequest(path, version, "zip"))), moduleOf(path, version));
    },
    async [Symbol.asyncDispose]() {
      await mirrors.close();
      await archiver.close();
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** First writer wins, as in the store. */
export function createMemoryPins(): Pins & { readonly kept: Map<string, ModuleInfo> } {
  const kept = new Map<string, ModuleInfo>();
  return {
    kept,
    find: async (modulePath, version) => kept.get(`${modulePath}@${version}`),
    async keep(modulePath, info) {
      const key = `${modulePath}@${info.version}`;
      const standing = kept.get(key) ?? info;
      kept.set(key, standing);
      return standing;
    },
  };
}

/** What an operation failed with: its code and message in one line, or that it did not. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (isSluiceError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
}

function moduleOf(path: string, version: string): { modulePath: ModulePath; version: Version } {
  const request = parseRequest(`/${escapePath(parseModulePath(path))}/@v/${escapeVersion(version)}.zip`);
  if (request.kind !== "zip") throw new Error(`${path}@${version} has no zip`);
  return request;
}

function findPlace(places: readonly GitPlace[], modulePath: string) {
  const place = places
    .filter(({ root }) => modulePath === root || modulePath.startsWith(`${root}/`))
    .toSorted((a, b) => b.root.length - a.root.length)[0];
  if (place === undefined) throw new SluiceError("not_found", `unrecognized import path "${modulePath}"`);
  const url = place.url.startsWith("/") ? `file://${place.url}` : place.url;
  return { vcs: "git", url, root: place.root, subdir: place.subdir ?? "" } as const;
}

async function readAll({ body }: SourceResponse): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
