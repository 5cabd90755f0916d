import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { FleetMessage, Messages } from "../../core/fleet.ts";
import type { Events } from "../../core/events.ts";
import { splitMessage, tryParseMessage } from "../message-format.ts";
import { tryParseJson } from "./json.ts";
import type { RedisLink } from "./link.ts";

const channel = "messages";
const envelopeSchema = z.object({ from: z.string(), message: z.unknown() });

/** Longer than any message of ours. */
const maxLength = 2 * 1024 * 1024;
/** Messages that Redis has not taken yet. */
const maxUnderWay = 1000;

/** Messages to all nodes that use the same Redis and prefix. Whoever may publish there is believed. */
export function createRedisMessages(link: RedisLink, events: Events): Messages {
  const from = randomUUID();
  const listeners = new Set<(message: FleetMessage) => void>();
  let underWay = 0;
  let isClosed = false;
  const tell = (direction: "out" | "in" | "dropped", kind: string): void =>
    events.emit({ type: "fleet_message", via: "redis", direction, kind });

  link.listen(channel, (text) => {
    const envelope = envelopeSchema.safeParse(text.length > maxLength ? undefined : tryParseJson(text));
    if (envelope.data?.from === from || isClosed) return;
    const message = tryParseMessage(envelope.data?.message);
    if (message === undefined) return tell("dropped", "unknown");
    tell("in", message.type);
    for (const listener of listeners) listener(message);
  });

  const send = async (message: FleetMessage): Promise<void> => {
    if (isClosed || !link.isUp || underWay >= maxUnderWay) return tell("dropped", message.type);
    underWay += 1;
    const reply = await link.ask(["PUBLISH", `${link.prefix}:${channel}`, JSON.stringify({ from, message })]);
    underWay -= 1;
    tell(reply === undefined ? "dropped" : "out", message.type);
  };

  return {
    name: link.name,
    publish(message) {
      for (const part of splitMessage(message)) void send(part);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      isClosed = true;
      listeners.clear();
    },
  };
}
