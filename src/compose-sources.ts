import type { Config, UpstreamOverride } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { Events, ModuleStore, Source } from "./core/ports.ts";
import { createDnsCache } from "./net/dns-cache.ts";
import { createEgress } from "./net/egress.ts";
import { createHttpClient } from "./net/http-client.ts";
import { loadTrust, type Trust, withExtraCa } from "./net/trust.ts";
import type { Log } from "./ops/log.ts";
import { createChain } from "./sources/chain.ts";
import { type HttpEntry, parseChain } from "./sources/chain-spec.ts";
import { Credentials } from "./sources/credentials.ts";
import { createPrivateRules } from "./sources/private.ts";
import { createFileSource } from "./sources/upstream/file.ts";
import { createUpstreamSource } from "./sources/upstream/http.ts";
import { composeGit } from "./compose-git.ts";

interface SourceParts {
  readonly events: Events;
  readonly log: Log;
  readonly version: string;
  readonly instanceId: string;
  /** Where git sources find which commit a version was served from. */
  readonly store: ModuleStore;
}

/** Builds the chain of upstreams, each with its own pool, queue and retry budget, and the source of modules from git. */
export function composeSources(config: Config, parts: SourceParts): Source {
  const { events, log } = parts;
  const trust = loadTrust({ env: process.env });
  for (const problem of trust.problems) log.logger.warn(problem);
  const { patterns, authorities } = config.privateModules;
  const gitTrust = authorities.reduce((sum, { pem, file }) => withExtraCa(sum, pem, file), trust);
  const shared = { trust, egress: createEgress(process.env), dns: createDnsCache() };
  const entries = parseChain(config.upstream.chain);
  const isNeeded = patterns !== "" || entries.at(-1)?.name === "direct";
  return createChain({
    entries,
    ...(config.git.enabled ? { direct: composeGit(config, { ...parts, ...shared, trust: gitTrust, isNeeded }) } : {}),
    privateRules: createPrivateRules(patterns),
    open: (entry) =>
      entry.kind === "file"
        ? createFileSource({ name: entry.name, folder: entry.folder, events, clock: systemClock })
        : composeHttpSource(entry, config, { ...parts, ...shared }),
  });
}

interface HttpParts extends SourceParts {
  readonly trust: Trust;
  readonly egress: ReturnType<typeof createEgress>;
  readonly dns: ReturnType<typeof createDnsCache>;
}

function composeHttpSource(entry: HttpEntry, config: Config, parts: HttpParts): Source {
  const { upstream, fetch } = config;
  const { events } = parts;
  const override = upstream.overrides.find(({ url }) => sameUpstream(url, entry));
  const concurrency = override?.concurrency ?? upstream.concurrency;
  const trust =
    override?.ca === undefined ? parts.trust : withExtraCa(parts.trust, override.ca, override.caFile ?? "ca_file");
  const http = createHttpClient({
    ca: trust.certificates,
    egress: parts.egress,
    dns: parts.dns,
    connections: concurrency,
    userAgent: `Sluice/${parts.version}`,
    instanceId: parts.instanceId,
    timeouts: {
      connectMs: override?.connectTimeoutMs ?? upstream.connectTimeoutMs,
      firstByteMs: override?.firstByteTimeoutMs ?? upstream.firstByteTimeoutMs,
      idleBodyMs: override?.idleTimeoutMs ?? upstream.idleTimeoutMs,
      totalMs: fetch.totalTimeoutMs,
    },
  });
  const source = createUpstreamSource({
    name: entry.name,
    url: entry.url,
    credentials: credentialsOf(entry, override),
    http,
    queue: { concurrency, maxWaiting: upstream.maxWaiting, maxWaitMs: fetch.clientWaitMs },
    retry: { attempts: override?.attempts ?? upstream.attempts },
    notFoundStatus: override?.notFoundStatus,
    events,
    clock: systemClock,
  });
  return {
    ...source,
    close: async () => {
      await source.close();
      await http.close();
    },
  };
}

function credentialsOf(entry: HttpEntry, override: UpstreamOverride | undefined): Credentials | undefined {
  if (override?.password === undefined) return entry.credentials;
  return new Credentials(override.username ?? "", override.password.reveal());
}

/** An override names its entry as it is printed: without user info, with or without a slash at its end. */
function sameUpstream(url: string, entry: HttpEntry): boolean {
  return url.replace(/\/+$/, "") === entry.name;
}
