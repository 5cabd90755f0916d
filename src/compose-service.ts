import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf } from "./core/health.ts";
import { withLoad } from "./core/load.ts";
import type { BlobKey } from "./core/ports.ts";
import { type Recheck, startRecheck } from "./core/recheck.ts";
import { Resolver } from "./core/resolve.ts";
import { defaultJitter } from "./core/ttl-jitter.ts";
import type { Handlers } from "./server/http-server.ts";
import { RequestsUnderWay } from "./server/requests-under-way.ts";
import type { GitPlace } from "./compose-git-seat.ts";
import { composeLoad } from "./compose-load.ts";
import { composeFleet, heedFleet } from "./compose-fleet.ts";
import { composeNetwork } from "./compose-network.ts";
import type { Node } from "./compose-node.ts";
import { composeAdminToken, composeOperator } from "./compose-operator.ts";
import { composeHandlers } from "./compose-server.ts";
import { composeSources } from "./compose-sources.ts";
import { composeSumdb } from "./compose-sumdb.ts";
import type { EnsureStored } from "./compose-upkeep.ts";

/** Everything that a configuration decides, over the node's store. Another one can take its place while Sluice runs. */
export interface Service {
  readonly config: Config;
  /** The chain, printable. */
  readonly chain: string;
  readonly handlers: Handlers;
  /** Fetches under way. */
  readonly fetching: number;
  /** Of its upstreams, and of how much it has to do. */
  readonly health: HealthOf;
  /** It is the one that counts from now on: what must be there once only is its own, and its work in the background begins. */
  start(): void;
  /** Another one counts from now on: what it asks others of its own accord ends at once, as more may be private by now. */
  retire(): void;
  /** Nobody who asks for it is a client. */
  readonly ensureStored: EnsureStored;
  /** Resolves when all that was asked of it is done. For when nobody asks it any more. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Fails with `config_invalid` or `storage_failed`, and then nothing is left open. */
export async function composeService(config: Config, node: Node): Promise<Service> {
  await using opened = new AsyncDisposableStack();
  const { store, verifier, events, log, metrics } = node;
  const token = await composeAdminToken(config, log);
  const network = composeNetwork(node);
  const { load, close: closeLoad } = composeLoad(config, { events, fetching: () => resolver.fetching });
  opened.defer(closeLoad);
  const fleet = await (node.firstFleet.take(config) ??
    composeFleet(config, { events, network, processes: node.messages }));
  opened.defer(() => fleet.close());
  let git: GitPlace | undefined;
  const { source, health, isRemote } = composeSources(config, {
    events,
    network,
    openGit: (isNeeded) => withLoad((git = node.git.open(config, { network, isNeeded })).source, load, "cold_git"),
  });
  opened.defer(() => source.close());
  const sumdb = await composeSumdb(config, {
    events,
    log,
    metrics,
    network,
    database: node.database,
    resolver: () => resolver,
  });
  opened.defer(() => sumdb.close());
  const resolver = new Resolver({
    store,
    source,
    verifier,
    sums: sumdb.verifier,
    leases: fleet.leases,
    messages: fleet.messages,
    confirmStored: config.sumdb.verify === "required",
    completeVersions: true,
    ...(config.upstream.goModAhead ? { isGoModAhead: isRemote } : {}),
    onZip: ({ modulePath, version }) => sumdb.noteServed(modulePath, version),
    events,
    load,
    clock: systemClock,
    streamFromBytes: config.fetch.streamFromBytes,
    memoryFallbackBytes: config.fetch.memoryFallbackBytes,
    totalTimeoutMs: config.fetch.totalTimeoutMs,
    clientWaitMs: config.fetch.clientWaitMs,
    ttlMs: config.freshness.ttlMs,
    ttlJitter: defaultJitter,
    staleWhileRevalidateMs: config.freshness.staleWhileRevalidateMs,
    notFoundTtlMs: config.freshness.notFoundMs,
    offline: node.offline,
  });
  const operator = composeOperator({
    resolver,
    store,
    offline: node.offline,
    events,
    log,
    messages: fleet.messages,
    others: fleet.others,
    purgeReady: (isMeant) => handlers.hot.purge(isMeant),
    reload: node.reload,
    health: node.health,
    incidents: () => node.healing.incidents(),
    drills: node.drills,
    about: () => ({ version: node.version, chain: source.name, ...node.state }),
  });
  const api = { token, actions: operator };
  opened.defer(() => operator.close());
  const handlers = composeHandlers(config, { node, resolver, sumLogs: sumdb.logs, api, messages: fleet.messages });
  opened.defer(() => handlers.close());
  const underWay = new RequestsUnderWay();
  let recheck: Recheck | undefined;
  let endHeeding: (() => void) | undefined;
  let endUpkeep: (() => Promise<void>) | undefined;
  const ensureStored: EnsureStored = (request, context) => resolver.ensureStored(request, context);
  const forget = (key: BlobKey): void => {
    handlers.hot.forget(key);
    fleet.messages?.publish({ type: "rejected", key });
  };
  opened.defer(store.onConceded(forget));
  const open = opened.move();
  return {
    config,
    chain: source.name,
    handlers: {
      ...handlers,
      protocol: underWay.counted(handlers.protocol),
      sumdb: underWay.counted(handlers.sumdb),
    },
    get fetching() {
      return resolver.fetching;
    },
    health: () => [...load.health(), ...health(), ...fleet.health()],
    start() {
      git?.take();
      endHeeding = heedFleet(fleet.messages, { resolver, hot: handlers.hot });
      endUpkeep = node.upkeep.take(config, ensureStored);
      node.drills.use(ensureStored);
      // Without verification nothing that is unverified becomes anything else.
      if (!sumdb.isVerifying) return;
      recheck = startRecheck({
        store,
        sums: sumdb.verifier,
        clock: systemClock,
        events,
        offline: node.offline,
        intervalMs: config.sumdb.recheckIntervalMs,
        onRejected: forget,
      });
    },
    retire() {
      void recheck?.close();
    },
    ensureStored,
    async settled() {
      await underWay.ended();
      await resolver.settled();
    },
    async close() {
      endHeeding?.();
      await recheck?.close();
      await endUpkeep?.();
      await open.disposeAsync();
    },
  };
}
