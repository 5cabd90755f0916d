import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import { isSluiceError } from "./core/errors.ts";
import type { Messages, PurgeSelection } from "./core/fleet.ts";
import type { PartHealth } from "./core/health.ts";
import type { Incidents } from "./core/incident.ts";
import type { OfflineSwitch } from "./core/offline.ts";
import type { Events } from "./core/events.ts";
import type { BlobKey, ModuleStore } from "./core/ports.ts";
import { foldersOf, formatSelection, selectKeys } from "./core/purge.ts";
import type { Resolver } from "./core/resolve.ts";
import type { Secret } from "./core/secret.ts";
import { adminTokenFile, openAdminToken } from "./ops/admin-token.ts";
import type { Log } from "./ops/log.ts";
import type {
  NodeStatus,
  OfflineOutcome,
  OperatorActions,
  PurgeOutcome,
  ReloadOutcome,
} from "./server/operator-api.ts";
import type { DrillActions } from "./server/drill-api.ts";

interface OperatorParts {
  readonly resolver: Resolver;
  readonly store: ModuleStore;
  readonly offline: OfflineSwitch;
  readonly events: Events;
  readonly log: Log;
  /** Forgets ready answers that can change, and tells how many. */
  readonly purgeReady: (isMeant: (key: BlobKey) => boolean) => number;
  readonly reload: () => Promise<ReloadOutcome>;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly about: () => Omit<NodeStatus, "uptimeSeconds" | "isOffline" | "fetching" | "parts" | "incidents">;
  readonly incidents: () => Incidents;
  readonly drills: DrillActions;
  /** Whether other nodes hear what is said to this one. */
  readonly others: () => OfflineOutcome["others"];
  /** Other nodes, which are told, and obeyed. */
  readonly messages?: Messages | undefined;
}

/** What operators may do, and what other nodes may have done for theirs. */
export function composeOperator(parts: OperatorParts): OperatorActions & { readonly close: () => void } {
  const { resolver, offline, messages, log } = parts;
  const turn = (isOffline: boolean, by: "operator" | "fleet"): boolean => {
    const hasChanged = offline.turn(isOffline);
    if (hasChanged) log.logger.warn({ by }, isOffline ? "offline: nobody is asked any more" : "online again");
    return hasChanged;
  };
  const purgeForFleet = (selection: PurgeSelection): void => {
    purge(selection, "fleet", parts).catch((error: unknown) => {
      // What is in memory is purged all the same.
      log.logger.error({ error: String(error) }, "a purge of another node cannot be kept");
    });
  };
  const unsubscribe = messages?.subscribe((message) => {
    if (message.type === "purged") purgeForFleet(message.selection);
    else if (message.type === "offline") turn(message.isOffline, "fleet");
  });
  return {
    purge: (selection) => {
      messages?.publish({ type: "purged", selection });
      return purge(selection, "operator", parts);
    },
    turnOffline: (isOffline) => {
      messages?.publish({ type: "offline", isOffline });
      return { hasChanged: turn(isOffline, "operator"), others: parts.others() };
    },
    reload: parts.reload,
    status: async () => ({
      ...parts.about(),
      uptimeSeconds: Math.round(process.uptime()),
      isOffline: offline.isOffline,
      fetching: resolver.fetching,
      parts: await parts.health(),
      incidents: parts.incidents(),
    }),
    drills: parts.drills,
    close: () => unsubscribe?.(),
  };
}

/** The resolver's first: what it answers from then on is not remembered by the server as it was. */
async function purge(
  selection: PurgeSelection,
  by: "operator" | "fleet",
  { resolver, store, events, purgeReady }: OperatorParts,
): Promise<PurgeOutcome> {
  const what = formatSelection(selection);
  const isMeant = selectKeys(selection);
  const confirmedBy = systemClock.now();
  const missing = resolver.purge(selection);
  let [ready, records] = [0, 0];
  if (selection.onlyMissing !== true) {
    ready = purgeReady(isMeant);
    for (const folder of foldersOf(selection)) records += await store.outdateRecords(folder, { isMeant, confirmedBy });
  }
  events.emit({ type: "purged", what, by, missing, records });
  return { what, missing, ready, records };
}

/** The configuration's token, else the one that the data folder keeps. A disk that takes none is no reason not to serve. */
export async function composeAdminToken(config: Config, log: Log): Promise<Secret | undefined> {
  if (config.adminToken !== undefined) return config.adminToken;
  const { dataDir } = config.store;
  try {
    return await openAdminToken(dataDir);
  } catch (error) {
    if (isSluiceError(error)) throw error;
    log.logger.warn(
      { file: adminTokenFile(dataDir), error: error instanceof Error ? error.message : String(error) },
      "no admin token can be kept, so nobody can purge, switch offline or see the status",
    );
    return undefined;
  }
}
