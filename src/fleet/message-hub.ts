import type { FleetMessage, Messages } from "../core/fleet.ts";

type Listener = (message: FleetMessage) => void;

/** Where parts of one process meet, and the ways to other processes and nodes with them. */
export interface MessageHub {
  /** A member hears what all others publish, at once. */
  join(name: string): Messages;
}

export function createMessageHub(): MessageHub {
  const members = new Map<Messages, Set<Listener>>();
  return {
    join(name) {
      const listeners = new Set<Listener>();
      const member: Messages = {
        name,
        publish(message) {
          if (!members.has(member)) return;
          for (const [other, heard] of members) {
            if (other !== member) for (const listener of heard) listener(message);
          }
        },
        subscribe(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
        close: async () => void members.delete(member),
      };
      members.set(member, listeners);
      return member;
    },
  };
}

/**
 * Lets whoever is on one side hear the other. Between two sides there may be one bridge only, as a message would go round for ever.
 * Answers how to end it.
 */
export function bridgeMessages(one: Messages, other: Messages): () => void {
  const ends = [one.subscribe((message) => other.publish(message)), other.subscribe((message) => one.publish(message))];
  return () => {
    for (const end of ends) end();
  };
}
