import { randomUUID } from "node:crypto";
import type { Config, RedisConfig } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { Leases, Messages } from "./core/fleet.ts";
import type { HealthOf } from "./core/health.ts";
import type { Events } from "./core/events.ts";
import { isRecordKey } from "./core/record-key.ts";
import type { Resolver } from "./core/resolve.ts";
import { bridgeMessages, createMessageHub } from "./fleet/message-hub.ts";
import { createRedisLeases } from "./fleet/redis/leases.ts";
import { RedisLink } from "./fleet/redis/link.ts";
import { createRedisMessages } from "./fleet/redis/messages.ts";
import { withExtraCa } from "./net/trust.ts";
import type { HotAnswers } from "./server/hot-answers.ts";
import { openStoreId } from "./storage/store-id.ts";
import type { Network } from "./compose-network.ts";

/** The other nodes and processes of this Sluice, as far as there are any. */
export interface Fleet {
  readonly messages: Messages | undefined;
  readonly leases: Leases | undefined;
  readonly health: HealthOf;
  /** Whether other nodes hear what this one says: those that are connected now do, or the way to them is down, or there is none. */
  readonly others: () => "told" | "away" | "none";
  close(): Promise<void>;
}

interface FleetParts {
  readonly events: Events;
  readonly network: Pick<Network, "trust" | "faults">;
  /** Processes of this node, which hear what other nodes say, and are heard by them. */
  readonly processes?: Messages | undefined;
}

/**
 * Waits for the first attempt to connect, at most some seconds, so that the first fetches are shared, too. `processes` is closed by
 * who opened it.
 */
export async function composeFleet(config: Config, { events, network, processes }: FleetParts): Promise<Fleet> {
  if (config.redis === undefined)
    return {
      messages: processes,
      leases: undefined,
      health: () => [],
      others: () => "none",
      close: async () => undefined,
    };
  const { leaseWaitMs } = config.redis;
  // Before the link, as all who listen to it have to be there when it connects.
  const scope = await storeScope(config);
  const link = openLink(config.redis, { events, network });
  const nodes = createRedisMessages(link, events);
  const leases = createRedisLeases(link, { clock: systemClock, events, scope, maxWaitMs: leaseWaitMs });
  const { messages, part } = processes === undefined ? { messages: nodes, part: noEnd } : joined(nodes, processes);
  await link.tried;
  return {
    messages,
    leases,
    health: () => [link.health],
    others: () => (link.isUp ? "told" : "away"),
    async close() {
      part();
      await leases.close();
      await nodes.close();
      await link.close();
    },
  };
}

/** The fleet of a node's first service: begun before the store is open, so that what hangs is waited for side by side. */
export class FirstFleet {
  readonly #config: Config;
  #begun: Promise<Fleet> | undefined;

  constructor(config: Config, parts: FleetParts) {
    this.#config = config;
    this.#begun = composeFleet(config, parts);
    this.#begun.catch(() => undefined);
  }

  /** Whoever takes it closes it. Undefined: it was taken, or is of another configuration. */
  take(config: Config): Promise<Fleet> | undefined {
    if (config !== this.#config) return undefined;
    const begun = this.#begun;
    this.#begun = undefined;
    return begun;
  }

  async close(): Promise<void> {
    const fleet = await this.take(this.#config)?.catch(() => undefined);
    await fleet?.close();
  }
}

/** Obeys what others say of stored answers; what their operators want is another part's. Answers how to end it. */
export function heedFleet(
  messages: Messages | undefined,
  {
    resolver,
    hot,
  }: {
    readonly resolver: Pick<Resolver, "heed">;
    readonly hot: Pick<HotAnswers, "forget" | "purge">;
  },
): () => void {
  if (messages === undefined) return noEnd;
  return messages.subscribe((message) => {
    if (message.type !== "kept" && message.type !== "rejected") return;
    resolver.heed(message);
    if (message.type === "rejected") hot.forget(message.key);
    // Looks at all answers, and files do not change.
    else if (isRecordKey(message.key)) hot.purge((key) => key === message.key);
  });
}

function openLink(
  { url, username, password, prefix, ca }: RedisConfig,
  { events, network }: Pick<FleetParts, "events" | "network">,
): RedisLink {
  const trust = ca === undefined ? network.trust : withExtraCa(network.trust, ca.pem, ca.file);
  return new RedisLink({
    url,
    username: username === "" ? undefined : username,
    password,
    ca: trust.certificates,
    prefix,
    clock: systemClock,
    events,
    refusal: network.faults && (() => network.faults?.refusal("redis-down")),
  });
}

/** Those who have the same store have the same scope. Where the disk takes no mark, nobody else has. */
async function storeScope({ sharedBucket, store: { dataDir } }: Config): Promise<string> {
  if (sharedBucket === undefined) return openStoreId(dataDir).catch(() => randomUUID());
  const { endpoint = "", bucket, prefix } = sharedBucket;
  return `${endpoint}/${bucket}/${prefix}`;
}

/** Both of them as one, and each hears the other, until they are parted. */
function joined(nodes: Messages, processes: Messages): { readonly messages: Messages; readonly part: () => void } {
  const hub = createMessageHub();
  const ends = [nodes, processes].map((way) => bridgeMessages(hub.join(way.name), way));
  return {
    messages: hub.join("this process"),
    part: () => {
      for (const end of ends) end();
    },
  };
}

function noEnd(): void {}
