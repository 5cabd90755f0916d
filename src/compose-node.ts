import { randomBytes } from "node:crypto";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf, PartHealth } from "./core/health.ts";
import type { Messages } from "./core/fleet.ts";
import { FaultBoard } from "./core/faults.ts";
import { OfflineSwitch } from "./core/offline.ts";
import type { Events } from "./core/events.ts";
import type { ZipVerifier } from "./core/ports.ts";
import { createProcessMessages } from "./fleet/process-messages.ts";
import { loadTrust } from "./net/trust.ts";
import { createEvents } from "./ops/events.ts";
import { createLog, type Log } from "./ops/log.ts";
import { createMetrics, type Metrics } from "./ops/metrics.ts";
import type { ReloadOutcome } from "./server/operator-api.ts";
import type { OpenedStore } from "./storage/data-folder.ts";
import type { PostgresDatabase } from "./storage/postgres/database.ts";
import { createZipVerifier } from "./storage/zip-verifier.ts";
import type { EnginePlace } from "./compose-engine.ts";
import { FirstFleet } from "./compose-fleet.ts";
import { GitSeat } from "./compose-git-seat.ts";
import { composeDrills, type Drills } from "./compose-drill.ts";
import { composeHealing, type Healing } from "./compose-healing.ts";
import { UpkeepSeat } from "./compose-upkeep.ts";
import { composeHealth } from "./compose-health.ts";
import type { NodeDatabase } from "./compose-ledger.ts";
import { composeStore } from "./compose-store.ts";
import manifest from "../package.json" with { type: "json" };

/** What stays the same in a process, whatever configuration counts: the store, the log, the numbers. */
export interface Node {
  readonly version: string;
  readonly instanceId: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly store: OpenedStore;
  /** What several nodes share. */
  readonly database: PostgresDatabase | undefined;
  readonly verifier: ZipVerifier;
  readonly git: GitSeat;
  readonly offline: OfflineSwitch;
  /** To other processes of this Sluice. */
  readonly messages: Messages | undefined;
  readonly firstFleet: FirstFleet;
  readonly engine: EnginePlace | undefined;
  /** For answers that are given again from memory. */
  readonly hotBytes: number;
  readonly upkeep: UpkeepSeat;
  readonly healing: Healing;
  /** Has the configuration read again. */
  readonly reload: () => Promise<ReloadOutcome>;
  /** What drills break; undefined where the configuration has none. */
  readonly faults: FaultBoard | undefined;
  readonly drills: Drills;
  /** Of all parts. */
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly state: {
    /** It is shutting down. */
    isDraining: boolean;
    /** What to paste as GOPROXY; known once it listens. */
    url: string;
  };
  close(): Promise<void>;
}

interface NodeAbout {
  /** Fetches under way. */
  readonly fetching: () => number;
  readonly reload: () => Promise<ReloadOutcome>;
  /** Of all parts but the store. */
  readonly health: HealthOf;
  readonly engine: EnginePlace | undefined;
}

/** Hot answers get this share of the memory; the rest is the store's tier. */
export const hotShare = 0.25;

/** Fails with `storage_failed`. */
export async function openNode(config: Config, about: NodeAbout): Promise<Node> {
  const { version } = manifest;
  const { engine } = about;
  const log = createLog({ ...config.log, isShared: engine !== undefined });
  const metrics = createMetrics({
    version,
    fetching: about.fetching,
    // A ledger that cannot be read is told of when it is needed.
    unverified: () => store.countUnverified().catch(() => undefined),
    health: () => health(),
  });
  const { events, healing, audit } = composeHealing(config, {
    log,
    events: createEvents(log.logger, metrics),
    health: () => health(),
    knownHealth: () => [...about.health(), ...store.health(), ...(shared?.health() ?? [])],
    read: (request) => store.read(request),
  });
  const instanceId = randomBytes(6).toString("hex");
  const { dataDir } = config.store;
  const memoryBytes = config.store.memoryBytes * (engine?.memoryShare ?? 1);
  // What is hot is held by the fronts.
  const hotBytes = engine === undefined ? Math.floor(memoryBytes * hotShare) : 0;
  const verifier = createZipVerifier(config.fetch.verifyWorkers > 0 ? { workers: config.fetch.verifyWorkers } : {});
  const faults = config.drill.enabled ? new FaultBoard() : undefined;
  const messages = engine && createProcessMessages(process, { name: "fronts", events });
  const network = { trust: loadTrust({ env: process.env }), faults };
  // What each of them waits for, when others hang, is waited for side by side.
  const firstFleet = new FirstFleet(config, { events, network, processes: messages });
  const shared = await openDatabase(config, { events, faults });
  const store = await composeStore(config, {
    names: { log, version, instanceId, faults },
    verifier,
    events,
    memoryBytes: Math.floor(memoryBytes - hotBytes),
    shareLedger: shared?.shareLedger,
    database: shared?.database,
  }).catch(async (error: unknown) => {
    await shared?.database.close();
    await firstFleet.close();
    throw error;
  });
  verifier.prepare();
  const health = composeHealth({ store, dataDir }, [about.health, store.health, () => shared?.health() ?? []]);
  healing.start();
  const drills = composeDrills(config, { faults, healing, health, metrics, engine, store, verifier, events });
  const git = new GitSeat({ events, log, store });
  const offline = new OfflineSwitch(engine?.isOffline ?? config.fetch.offline);
  if (engine !== undefined) offline.onTurn(engine.onOffline);
  const upkeep = new UpkeepSeat({ dataDir, store, verifier, events, clock: systemClock });
  return {
    version,
    instanceId,
    log,
    metrics,
    events,
    store,
    database: shared?.database,
    verifier,
    git,
    offline,
    messages,
    firstFleet,
    engine,
    hotBytes,
    upkeep,
    healing,
    reload: about.reload,
    faults,
    drills,
    health,
    state: { isDraining: false, url: "" },
    async close() {
      await firstFleet.close();
      await drills.close();
      await healing.close();
      await audit.close();
      await git.close();
      await store.close();
      await verifier.close();
      log.close();
    },
  };
}

/** Its library is loaded where it is needed. */
async function openDatabase(
  { sharedDatabase, store }: Config,
  parts: { readonly events: Events; readonly faults: FaultBoard | undefined },
): Promise<NodeDatabase | undefined> {
  if (sharedDatabase === undefined) return undefined;
  const { composeDatabase } = await import("./compose-ledger.ts");
  return composeDatabase(sharedDatabase, { dataDir: store.dataDir, ...parts });
}
