import type { Serializable } from "node:child_process";
import { z } from "zod";
import type { FleetMessage, Messages } from "../core/fleet.ts";
import type { Events } from "../core/events.ts";
import { OwedMessages } from "./owed-messages.ts";
import { splitMessage, tryParseMessage } from "./message-format.ts";

/** One end of the pipe between a process and its child: `process`, a `ChildProcess`, or the `process` of a cluster's worker. */
export interface ProcessChannel {
  readonly connected: boolean;
  send?(message: Serializable, callback: (error: Error | null) => void): boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  off(event: "message", listener: (message: unknown) => void): unknown;
}

/** Other things go through the same pipe. */
const envelopeSchema = z.object({ sluiceFleet: z.unknown() });

/** Messages that a stopped process has not taken yet. More would fill the memory of this one, so the rest is owed or dropped. */
const maxUnderWay = 1000;

/** Messages between a process and one child of it; the same at both ends. */
export function createProcessMessages(
  channel: ProcessChannel,
  { name, events }: { readonly name: string; readonly events: Events },
): Messages {
  const listeners = new Set<(message: FleetMessage) => void>();
  let underWay = 0;
  let isClosed = false;
  const tell = (direction: "out" | "in" | "dropped", kind: string): void =>
    events.emit({ type: "fleet_message", via: "processes", direction, kind });

  const onMessage = (sent: unknown): void => {
    const envelope = envelopeSchema.safeParse(sent);
    if (!envelope.success) return;
    const message = tryParseMessage(envelope.data.sluiceFleet);
    if (message === undefined) return tell("dropped", "unknown");
    tell("in", message.type);
    for (const listener of listeners) listener(message);
  };
  channel.on("message", onMessage);

  const owed = new OwedMessages();

  const send = (message: FleetMessage): void => {
    if (isClosed || !channel.connected || channel.send === undefined) return tell("dropped", message.type);
    if (underWay >= maxUnderWay) {
      if (!owed.add(message)) tell("dropped", message.type);
      return;
    }
    underWay += 1;
    tell("out", message.type);
    // A process that ended is noticed elsewhere; what it was told is of no use to anybody.
    channel.send({ sluiceFleet: message }, () => {
      underWay -= 1;
      const next = owed.take();
      if (next !== undefined) send(next);
    });
  };

  return {
    name,
    publish(message) {
      for (const part of splitMessage(message)) send(part);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      isClosed = true;
      listeners.clear();
      channel.off("message", onMessage);
    },
  };
}
