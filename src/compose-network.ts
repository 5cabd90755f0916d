import type { Config, UpstreamOverride } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { FaultBoard } from "./core/faults.ts";
import { OfflineSwitch } from "./core/offline.ts";
import { createDnsCache } from "./net/dns-cache.ts";
import { createEgress, type Egress } from "./net/egress.ts";
import { withUpstreamFaults } from "./net/faulty-http.ts";
import type { HttpClient } from "./net/http.ts";
import { createHttpClient, type HttpClientOptions } from "./net/http-client.ts";
import { withOffline } from "./net/offline.ts";
import { loadTrust, type Trust, withExtraCa } from "./net/trust.ts";
import type { Log } from "./ops/log.ts";
import type { HttpEntry } from "./sources/chain-spec.ts";
import { Credentials } from "./sources/credentials.ts";

/** What all outbound connections share, and how Sluice names itself on them. */
export interface Network {
  readonly trust: Trust;
  readonly egress: Egress;
  readonly dns: ReturnType<typeof createDnsCache>;
  /** No client of this network sends anything while it is on. */
  readonly offline: OfflineSwitch;
  /** What drills break; undefined where there are none. */
  readonly faults?: FaultBoard | undefined;
  readonly version: string;
  readonly instanceId: string;
}

export function composeNetwork({
  log,
  offline = new OfflineSwitch(false),
  faults,
  version,
  instanceId,
}: {
  readonly log: Log;
  /** Default: one that nobody turns. */
  readonly offline?: OfflineSwitch;
  readonly faults?: FaultBoard | undefined;
  readonly version: string;
  readonly instanceId: string;
}): Network {
  const trust = loadTrust({ env: process.env });
  for (const problem of trust.problems) log.logger.warn(problem);
  return { offline, faults, version, instanceId, trust, egress: createEgress(process.env), dns: createDnsCache() };
}

/** A client with what is the same for all. Trusts `ca` where that is not just what the network trusts. */
export function createClient(
  { trust, egress, dns, offline, version, instanceId }: Network,
  options: Pick<HttpClientOptions, "connections" | "timeouts"> & { readonly ca?: readonly string[] },
): HttpClient {
  const http = createHttpClient({
    ca: trust.certificates,
    egress,
    dns,
    userAgent: `Sluice/${version}`,
    instanceId,
    ...options,
  });
  return withOffline(http, offline);
}

/** A client of one entry of the chain, with what its override says. */
export function createEntryClient(
  entry: HttpEntry,
  config: Config,
  { network, connections }: { readonly network: Network; readonly connections: number },
): HttpClient {
  const { upstream, fetch } = config;
  const override = overrideOf(entry, config);
  const trust =
    override?.ca === undefined ? network.trust : withExtraCa(network.trust, override.ca, override.caFile ?? "ca_file");
  const client = createClient(network, {
    ca: trust.certificates,
    connections,
    timeouts: {
      connectMs: override?.connectTimeoutMs ?? upstream.connectTimeoutMs,
      firstByteMs: override?.firstByteTimeoutMs ?? upstream.firstByteTimeoutMs,
      idleBodyMs: override?.idleTimeoutMs ?? upstream.idleTimeoutMs,
      totalMs: fetch.totalTimeoutMs,
    },
  });
  return network.faults === undefined ? client : withUpstreamFaults(client, network.faults, systemClock);
}

export function entryCredentials(entry: HttpEntry, config: Config): Credentials | undefined {
  const override = overrideOf(entry, config);
  if (override?.password === undefined) return entry.credentials;
  return new Credentials(override.username ?? "", override.password.reveal());
}

/** An override names its entry as it is printed: without user info, with or without a slash at its end. */
export function overrideOf(entry: HttpEntry, { upstream }: Config): UpstreamOverride | undefined {
  return upstream.overrides.find(({ url }) => url.replace(/\/+$/, "") === entry.name);
}
