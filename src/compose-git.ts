import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { overrideHosts } from "./config/git-overrides.ts";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { Events } from "./core/events.ts";
import type { ModuleStore, Source } from "./core/ports.ts";
import { createAddressGuard } from "./net/ssrf.ts";
import type { Trust } from "./net/trust.ts";
import type { Log } from "./ops/log.ts";
import { matchPrefixPatterns } from "./protocol/module/index.ts";
import { createArchiver } from "./sources/git/archive.ts";
import { createGitCommand } from "./sources/git/command.ts";
import { gitAccess, httpCredentials } from "./sources/git/credentials/access.ts";
import { createCredentials } from "./sources/git/credentials/credentials.ts";
import { createEntitlements } from "./sources/git/credentials/entitlement.ts";
import { removeLeftKeys } from "./sources/git/credentials/leftovers.ts";
import { createDiscovery } from "./sources/git/discovery/discovery.ts";
import { createNamedHosts } from "./sources/git/discovery/named-hosts.ts";
import { lockFolder } from "./sources/git/folder-lock.ts";
import { createMirrors } from "./sources/git/mirror.ts";
import { createModSources } from "./sources/git/mod-source.ts";
import { createRemoteStatus, createRepositoryProbe } from "./sources/git/probe.ts";
import { createGuardedAccess } from "./sources/git/guarded-access.ts";
import { createStoredPins } from "./sources/git/pins.ts";
import { onDisk, prepareOnce } from "./sources/git/prepare-once.ts";
import { createGitSource } from "./sources/git/source.ts";
import { createClient, type Network } from "./compose-network.ts";

export interface GitParts extends Network {
  readonly events: Events;
  readonly log: Log;
  readonly store: ModuleStore;
  /** There will be questions for git; without it on this machine, that is worth a warning. */
  readonly isNeeded: boolean;
}

/** Archives that are made at the same time. */
const archives = 2;

/** Builds the source of modules straight from git: discovery, mirrors below the data folder, archives. */
export function composeGit(config: Config, parts: GitParts): Source {
  const { events, log, store, egress, dns, trust } = parts;
  const clock = systemClock;
  const { upstream, fetch, privateModules } = config;
  const locked = lockFolder(join(config.store.dataDir, "git"));
  const { folder } = locked;
  if (folder !== join(config.store.dataDir, "git")) {
    log.logger.warn({ folder }, "another process uses the git mirrors of this data folder; this one has its own");
  }
  const http = createClient(parts, {
    connections: upstream.concurrency,
    timeouts: {
      connectMs: upstream.connectTimeoutMs,
      firstByteMs: upstream.firstByteTimeoutMs,
      idleBodyMs: upstream.idleTimeoutMs,
      totalMs: config.git.discoveryTimeoutMs,
    },
  });
  const git = createGitCommand({
    home: join(folder, "home"),
    env: process.env,
    executable: config.git.binary,
    caFile: privateModules.authorities.length === 0 ? undefined : join(folder, caFileName),
  });
  const privatePatterns = [upstream.private, privateModules.patterns].filter((list) => list !== "").join(",");
  const isNamedHost = createNamedHosts({
    patterns: [upstream.private, privateModules.patterns],
    hosts: [...privateModules.hosts, ...overrideHosts(config.git.overrides)],
  });
  const entitlementOf = createEntitlements({ privatePatterns, overrides: config.git.overrides });
  const status = createRemoteStatus({ http, isNamedHost });
  const credentials = createCredentials({ rules: privateModules.credentials, env: process.env, http, clock });
  const keyFolder = join(folder, "keys");
  const readAccess = gitAccess(credentials, keyFolder);
  const readHttp = httpCredentials(credentials);
  const prepared = prepareOnce(() =>
    onDisk("the folder of the git mirrors cannot be written", () => prepare({ folder, keyFolder, trust })),
  );
  const addressesOf = createAddressGuard({ dns, egress });
  const access = createGuardedAccess({
    access: async (url, entitlement) => {
      parts.offline.refuse(url);
      await prepared();
      return readAccess(url, entitlement);
    },
    isNamedHost,
    addressesOf,
    http,
  });
  const onRefused = (url: string): void => credentials.refused(new URL(url));
  const queue = { concurrency: upstream.concurrency, maxWaiting: upstream.maxWaiting, maxWaitMs: fetch.clientWaitMs };
  const mirrors = createMirrors({
    folder,
    git,
    access,
    onRefused,
    probe: status,
    events,
    clock,
    concurrency: config.git.concurrency,
    maxWaiting: upstream.maxWaiting,
    maxWaitMs: fetch.clientWaitMs,
    fetchTimeoutMs: config.git.fetchTimeoutMs,
    refsTtlMs: config.git.refsTtlMs,
    isAhead: config.git.fetchAhead,
    keepUnusedMs: config.git.keepMirrorsMs === 0 ? undefined : config.git.keepMirrorsMs,
    maxBytes: config.git.maxSizeBytes === 0 ? undefined : config.git.maxSizeBytes,
    maxFetchBytes: config.git.maxFetchSizeBytes === 0 ? undefined : config.git.maxFetchSizeBytes,
  });
  const archiver = createArchiver({
    git,
    folder: join(folder, "tmp"),
    concurrency: archives,
    timeoutMs: fetch.totalTimeoutMs,
  });
  const discovery = createDiscovery({
    http,
    clock,
    probe: createRepositoryProbe({ git, access, onRefused, status, clock }),
    isNamedHost,
    checkAddress: addressesOf,
    // The first that matches counts.
    overrides: [...privateModules.overrides, ...config.git.overrides],
    privatePatterns,
    entitlementOf,
    insecurePatterns: config.git.insecure,
    govcs: config.git.vcs,
    times: { ttlMs: config.git.discoveryTtlMs },
    // A page is asked for by the import path, and for it.
    credentials: (url) => readHttp(url, entitlementOf(`${url.host}${url.pathname}`.replace(/\/$/, ""), url.href)),
  });
  const proxies = createModSources({
    http,
    clock,
    events,
    isNamedHost,
    queue,
    retry: { attempts: upstream.attempts },
    credentials: readHttp,
  });
  if (parts.isNeeded) {
    archiver.prepare();
    git.check().catch((error: unknown) => {
      log.logger.warn(
        { error: error instanceof Error ? error.message : String(error) },
        "modules cannot be fetched from git",
      );
    });
  }
  const source = createGitSource({
    name: "direct",
    discovery,
    mirrors,
    isPrivate: (modulePath) => matchPrefixPatterns(privatePatterns, modulePath),
    archiver,
    pins: createStoredPins(store),
    entitlementOf,
    openProxy: (url, entitlement) => proxies.open(url, entitlement),
    events,
    clock,
  });
  return {
    ...source,
    close: async () => {
      await Promise.all([mirrors.close(), archiver.close()]);
      await http.close();
      locked.release();
    },
  };
}

const caFileName = "authorities.pem";

/** Before the first word with a host. */
async function prepare({
  folder,
  keyFolder,
  trust,
}: {
  folder: string;
  keyFolder: string;
  trust: Trust;
}): Promise<void> {
  await mkdir(keyFolder, { recursive: true, mode: 0o700 });
  await removeLeftKeys(keyFolder);
  await writeFile(join(folder, caFileName), trust.certificates.join("\n"));
}
