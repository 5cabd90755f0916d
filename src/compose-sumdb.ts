import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import { isSluiceError, SluiceError } from "./core/errors.ts";
import type { Events } from "./core/events.ts";
import type { FetchContext, SumStore, SumVerifier } from "./core/ports.ts";
import type { Resolver } from "./core/resolve.ts";
import type { ServedLog } from "./core/served-log.ts";
import type { HttpClient } from "./net/http.ts";
import type { Log } from "./ops/log.ts";
import type { Metrics } from "./ops/metrics.ts";
import type { H1, ModulePath, Version } from "./protocol/brand.ts";
import { type GosumdbSetting, parseGosumdb } from "./protocol/sumdb/index.ts";
import { parseChain } from "./sources/chain-spec.ts";
import { createPrivateRules } from "./sources/private.ts";
import { createDiskBlobStore } from "./storage/blob/disk.ts";
import { isOnFullDisk } from "./storage/full-disk.ts";
import type { PostgresDatabase } from "./storage/postgres/database.ts";
import { PostgresLogs } from "./storage/sum-store/postgres-logs.ts";
import { isRefusal } from "./storage/sum-store/refusal.ts";
import { SharedSumStore } from "./storage/sum-store/shared.ts";
import { openThreadedSumStore } from "./storage/sum-store/threaded.ts";
import { createRemoteLog, type RemoteLog } from "./sumdb/client/remote-log.ts";
import type { LogProxy } from "./sumdb/client/routes.ts";
import { createLogTransport } from "./sumdb/client/transport.ts";
import { readLogKeys } from "./sumdb/log/keys.ts";
import { createOwnLog, type OwnLog } from "./sumdb/log/own-log.ts";
import { createLogMirror } from "./sumdb/mirror/mirror.ts";
import { createSumVerifier } from "./sumdb/verifier.ts";
import { createClient, createEntryClient, entryCredentials, type Network } from "./compose-network.ts";

interface SumdbParts {
  readonly events: Events;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly network: Network;
  /** Where our own log is that several nodes share. */
  readonly database?: PostgresDatabase | undefined;
  /** Asked only when somebody looks up a private version. */
  readonly resolver: () => Resolver;
}

/** All that has to do with checksum databases. */
export interface Sumdb {
  readonly verifier: SumVerifier;
  /** There is a database that public modules are compared with. */
  readonly isVerifying: boolean;
  /** What is served below `/sumdb/`. */
  readonly logs: readonly ServedLog[];
  /** Tells our own log, if there is one, of a version that was served. */
  readonly noteServed: (modulePath: ModulePath, version: Version) => void;
  /** While the resolver still works. */
  close(): Promise<void>;
}

type Database = Extract<GosumdbSetting, { readonly kind: "database" }>;

/** To one proxy or database, besides downloads. */
const connections = 32;
/** A database answers from what it has. */
const firstByteMs = 10_000;

/** Builds the databases that are followed, our own log, and what compares files with them. */
export async function composeSumdb(config: Config, parts: SumdbParts): Promise<Sumdb> {
  const { sumdb, upstream, privateModules } = config;
  const { events } = parts;
  const patterns = [upstream.private, privateModules.patterns, sumdb.noVerify].filter((list) => list !== "");
  const rules = createPrivateRules(patterns.join(","));
  const isPrivate = (modulePath: ModulePath): boolean => rules.matches(modulePath);

  const signers = await readLogKeys({
    files: sumdb.keyFiles,
    text: sumdb.key,
    warn: (message) => parts.log.logger.warn(message),
  });
  const [main] = databasesOf([sumdb.database]);
  const databases = databasesOf([sumdb.database, ...sumdb.mirror]);
  const common = { isPrivate, isRequired: sumdb.verify === "required", clock: systemClock, events };
  if (databases.length === 0 && signers.length === 0) {
    return {
      verifier: createSumVerifier(common),
      isVerifying: false,
      logs: [],
      noteServed: () => undefined,
      close: () => Promise.resolve(),
    };
  }

  const store = await openSumStore(config.store.dataDir, parts);
  const followed = await followLogs(databases, { config, store, parts });
  const publicLog = followed.logs.find(({ name }) => name === main?.name);
  const isVerifying = publicLog !== undefined && sumdb.verify !== "off";
  const own = await composeOwnLog();
  return {
    verifier: createSumVerifier({
      ...common,
      publicLog: isVerifying ? publicLog : undefined,
      privateLog: own,
    }),
    isVerifying,
    logs: [
      ...followed.logs.map((log) =>
        createLogMirror({ log, isPrivate, clock: systemClock, latestTtlMs: sumdb.latestTtlMs }),
      ),
      ...(own === undefined ? [] : [own]),
    ],
    noteServed: (modulePath, version) => own?.noteServed(modulePath, version),
    async close() {
      await own?.close();
      await followed.close();
      await store.close();
    },
  };

  async function composeOwnLog(): Promise<OwnLog | undefined> {
    const [first] = signers;
    if (first === undefined) return undefined;
    const tree = await ifStored(store.logTree(first.name));
    if (tree !== undefined) parts.metrics.sumLogRecords.labels(first.name).set(tree.size);
    return createOwnLog({
      name: first.name,
      signers,
      store,
      isPrivate,
      events,
      readFiles: (modulePath, version, context) => readHashes(parts.resolver(), { modulePath, version }, context),
      lookupPublic:
        sumdb.vouchPublic && publicLog !== undefined
          ? (modulePath, version, context) => publicLog.lookup(modulePath, version, context)
          : undefined,
    });
  }
}

function databasesOf(texts: readonly string[]): Database[] {
  return texts.map(parseGosumdb).filter((setting) => setting.kind === "database");
}

/** What is stored can be served from a full disk, too; until there is space, nothing new is confirmed. */
async function openSumStore(dataDir: string, { events, database }: SumdbParts): Promise<SumStore> {
  await mkdir(dataDir, { recursive: true });
  const file = join(dataDir, "sumdb.db");
  const local = await openThreadedSumStore({
    file,
    clock: systemClock,
    mayOpenLater: async (error) => {
      if (!isSluiceError(error, "storage_failed") || !(await isOnFullDisk(dataDir))) return false;
      events.emit({ type: "store_failed", store: `sqlite:${file}`, operation: "open", error });
      return true;
    },
  });
  return database === undefined ? local : new SharedSumStore({ local, logs: new PostgresLogs(database) });
}

/** For what is only told. What cannot be trusted is worth ending for. */
async function ifStored<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!isSluiceError(error, "storage_failed") || isRefusal(error)) throw error;
    return undefined;
  }
}

/** Each database has its own queue and memory; what they keep, and the clients of the proxies, are shared. */
async function followLogs(
  databases: readonly Database[],
  { config, store, parts }: { readonly config: Config; readonly store: SumStore; readonly parts: SumdbParts },
): Promise<{ readonly logs: readonly RemoteLog[]; close(): Promise<void> }> {
  const { dataDir } = config.store;
  const { events, network, metrics } = parts;
  const cache = await createDiskBlobStore({
    root: join(dataDir, "sumdb"),
    stagingDir: join(dataDir, "staging", "sumdb"),
    quarantineDir: join(dataDir, "quarantine"),
    durable: false,
  });
  const entries = parseChain(config.upstream.chain);
  const proxies = entries.flatMap((entry): LogProxy[] =>
    entry.kind === "http"
      ? [
          {
            name: entry.name,
            url: entry.url,
            credentials: entryCredentials(entry, config),
            http: createEntryClient(entry, config, { network, connections }),
            fallBackOnError: entry.fallBackOnError,
          },
        ]
      : [],
  );
  const http = databaseClient(config, network);
  const logs: RemoteLog[] = [];
  for (const { name, url, verifier } of databases) {
    const forks = await ifStored(store.forks(name));
    metrics.sumForked.labels(name).set((forks?.length ?? 0) > 0 ? 1 : 0);
    const endsDirect = entries.at(-1)?.name === "direct";
    const transport = createLogTransport({ name, url, proxies, endsDirect, http, clock: systemClock, events });
    logs.push(createRemoteLog({ name, verifiers: [verifier], transport, cache, store, clock: systemClock, events }));
  }
  return {
    logs,
    async close() {
      await Promise.all(logs.map((log) => log.close()));
      await Promise.all([http, ...proxies.map((proxy) => proxy.http)].map((client) => client.close()));
      await cache.close();
    },
  };
}

function databaseClient({ upstream }: Config, network: Network): HttpClient {
  return createClient(network, {
    connections,
    timeouts: {
      connectMs: upstream.connectTimeoutMs,
      firstByteMs: Math.min(firstByteMs, upstream.firstByteTimeoutMs),
      idleBodyMs: upstream.idleTimeoutMs,
      totalMs: 2 * firstByteMs,
    },
  });
}

/** Of the stored files of a version, which are fetched first where they are not. */
async function readHashes(
  resolver: Resolver,
  version: { readonly modulePath: ModulePath; readonly version: Version },
  context: FetchContext,
): Promise<{ mod: H1; zip: H1 }> {
  const h1Of = async (kind: "mod" | "zip"): Promise<H1> => {
    const file = await resolver.ensureStored({ kind, ...version }, context);
    file.discard();
    if (file.h1 !== undefined) return file.h1;
    throw new SluiceError("storage_failed", `nothing is known of the stored ${file.key}: see the log`);
  };
  const [mod, zip] = await Promise.all([h1Of("mod"), h1Of("zip")]);
  return { mod, zip };
}
