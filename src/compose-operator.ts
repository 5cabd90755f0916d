import type { Config } from "./config/index.ts";
import { isSluiceError } from "./core/errors.ts";
import type { Messages, PurgeSelection } from "./core/fleet.ts";
import type { PartHealth } from "./core/health.ts";
import type { OfflineSwitch } from "./core/offline.ts";
import type { BlobKey, Events } from "./core/ports.ts";
import { formatSelection, selectKeys } from "./core/purge.ts";
import type { Resolver } from "./core/resolve.ts";
import type { Secret } from "./core/secret.ts";
import { adminTokenFile, openAdminToken } from "./ops/admin-token.ts";
import type { Log } from "./ops/log.ts";
import type { NodeStatus, OperatorActions } from "./server/operator-api.ts";

interface OperatorParts {
  readonly resolver: Resolver;
  readonly offline: OfflineSwitch;
  readonly events: Events;
  readonly log: Log;
  /** Forgets ready answers that can change, and tells how many. */
  readonly purgeReady: (isMeant: (key: BlobKey) => boolean) => number;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly about: () => Omit<NodeStatus, "uptimeSeconds" | "isOffline" | "fetching" | "parts">;
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
  const unsubscribe = messages?.subscribe((message) => {
    if (message.type === "purged") purge(message.selection, "fleet", parts);
    else if (message.type === "offline") turn(message.isOffline, "fleet");
  });
  return {
    purge: (selection) => {
      const outcome = purge(selection, "operator", parts);
      messages?.publish({ type: "purged", selection });
      return outcome;
    },
    turnOffline: (isOffline) => {
      messages?.publish({ type: "offline", isOffline });
      return turn(isOffline, "operator");
    },
    status: async () => ({
      ...parts.about(),
      uptimeSeconds: Math.round(process.uptime()),
      isOffline: offline.isOffline,
      fetching: resolver.fetching,
      parts: await parts.health(),
    }),
    close: () => unsubscribe?.(),
  };
}

/** The resolver's first: what it answers from then on is not remembered by the server as it was. */
function purge(
  selection: PurgeSelection,
  by: "operator" | "fleet",
  { resolver, events, purgeReady }: OperatorParts,
): ReturnType<OperatorActions["purge"]> {
  const what = formatSelection(selection);
  const missing = resolver.purge(selection);
  const ready = selection.onlyMissing === true ? 0 : purgeReady(selectKeys(selection));
  events.emit({ type: "purged", what, by, missing });
  return { what, missing, ready };
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
