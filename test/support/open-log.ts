import path from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { Clock, FetchContext, SumStore } from "../../src/core/ports.ts";
import type { ServedLog } from "../../src/core/served-log.ts";
import type { HttpClient } from "../../src/net/http.ts";
import { createHttpClient, type HttpClientOptions } from "../../src/net/http-client.ts";
import type { ModulePath, Version } from "../../src/protocol/brand.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { parseVerifierKey } from "../../src/protocol/sumdb/index.ts";
import { createDiskBlobStore } from "../../src/storage/blob/disk.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import { createRemoteLog, type ProvenRecord, type RemoteLog } from "../../src/sumdb/client/remote-log.ts";
import { createLogTransport, type LogTransportOptions } from "../../src/sumdb/client/transport.ts";
import { createLogMirror } from "../../src/sumdb/mirror/mirror.ts";
import { recordEvents, type RecordedEvents } from "./recorded-events.ts";

/** A checksum database as Sluice follows and relays it, on a real disk and a real store. */
export interface FollowedLog {
  readonly log: RemoteLog;
  readonly mirror: ServedLog;
  readonly events: RecordedEvents;
  readonly store: SumStore;
  /** `sumdb.db`, `cache/<name>/…`, `quarantine/`. */
  readonly folder: string;
  lookup(modulePath: string, version?: string): Promise<ProvenRecord>;
  /** The made-up record number `id` of a `SumLog`. */
  filler(id: number): Promise<ProvenRecord>;
  close(): Promise<void>;
}

export interface OpenOptions extends Partial<
  Pick<LogTransportOptions, "url" | "proxies" | "endsDirect" | "queue" | "retry" | "routeTtlMs">
> {
  readonly folder: string;
  readonly clock?: Clock;
  readonly client?: Partial<HttpClientOptions>;
  readonly latestTtlMs?: number;
  readonly isPrivate?: (modulePath: ModulePath) => boolean;
  readonly memoryBytes?: number;
}

export interface Database {
  readonly name: string;
  readonly verifierKey: string;
  readonly url: string;
}

/** Whatever is asked of the database at its own name goes to `url`. */
function leadTo(http: HttpClient, { name, url }: Database): HttpClient {
  const own = `https://${name}/`;
  return {
    ...http,
    get: (request) => {
      const { href } = request.url;
      if (!href.startsWith(own)) return http.get(request);
      return http.get({ ...request, url: new URL(`${url}/${href.slice(own.length)}`) });
    },
  };
}

/**
 * Follows a log, past all proxies if none are given. At the end of the chain, `https://<name>` leads to the log too. Waits between
 * attempts are short.
 */
export async function openFollowedLog(database: Database, options: OpenOptions): Promise<FollowedLog> {
  const { name, verifierKey, url } = database;
  const { clock = systemClock, folder } = options;
  const events = recordEvents();
  const http = createHttpClient({ ca: [], userAgent: "Sluice/test", instanceId: "test", ...options.client });
  const store = await openSqliteSumStore({ file: path.join(folder, "sumdb.db"), clock });
  const cache = await createDiskBlobStore({
    root: path.join(folder, "cache"),
    stagingDir: path.join(folder, "staging"),
    quarantineDir: path.join(folder, "quarantine"),
    durable: false,
  });
  const transport = createLogTransport({
    proxies: [],
    endsDirect: false,
    retry: { attempts: 3, baseMs: 1, capMs: 1 },
    ...("proxies" in options ? {} : { url }),
    ...options,
    name,
    http: leadTo(http, database),
    clock,
    events,
  });
  const log = createRemoteLog({
    name,
    verifiers: [parseVerifierKey(verifierKey)],
    transport,
    cache,
    store,
    clock,
    events,
    memoryBytes: options.memoryBytes,
  });
  const { isPrivate = () => false, latestTtlMs = 60_000 } = options;
  const mirror = createLogMirror({ log, isPrivate, clock, latestTtlMs });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await log.close();
    await http.close();
    await store.close();
  };
  const followed: FollowedLog = {
    log,
    mirror,
    events,
    store,
    folder,
    lookup: (modulePath, version = "v1.0.0") => log.lookup(...moduleVersion(modulePath, version), asker()),
    filler: (id) => followed.lookup(`example.com/filler/m${id}`),
    close: () => (closing ??= close()),
  };
  return followed;
}

export function asker(signal: AbortSignal = new AbortController().signal): FetchContext {
  return { signal, client: "test" };
}

export function moduleVersion(modulePath: string, version: string): [ModulePath, Version] {
  return [parseModulePath(modulePath), parseVersion(version)];
}
