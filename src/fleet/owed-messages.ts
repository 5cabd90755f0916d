import type { FleetMessage, PurgeSelection } from "../core/fleet.ts";

/** Purges that are owed one by one. More become one of everything. */
const maxPurges = 1000;
const everything: PurgeSelection = { pattern: "*" };

/**
 * What a process has to be told that takes nothing just now, each once: without it, it would go on answering what is wrong or outdated. It
 * is as much as there are wrong files, and one switch. What only saves work is not owed.
 */
export class OwedMessages {
  readonly #rejected = new Set<string>();
  readonly #purged = new Map<string, FleetMessage>();
  #offline: FleetMessage | undefined;

  /** Answers whether it is owed from now on. */
  add(message: FleetMessage): boolean {
    if (message.type === "rejected") this.#rejected.add(message.key);
    else if (message.type === "purged") this.#addPurge(message);
    else if (message.type === "offline") this.#offline = message;
    else return false;
    return true;
  }

  /** The next one, which is not owed any more. */
  take(): FleetMessage | undefined {
    const offline = this.#offline;
    this.#offline = undefined;
    if (offline !== undefined) return offline;
    for (const [id, message] of this.#purged) {
      this.#purged.delete(id);
      return message;
    }
    for (const key of this.#rejected) {
      this.#rejected.delete(key);
      return { type: "rejected", key };
    }
    return undefined;
  }

  #addPurge(message: Extract<FleetMessage, { readonly type: "purged" }>): void {
    const all = JSON.stringify(everything);
    if (this.#purged.has(all)) return;
    this.#purged.set(JSON.stringify(message.selection), message);
    if (this.#purged.size <= maxPurges) return;
    this.#purged.clear();
    this.#purged.set(all, { type: "purged", selection: everything });
  }
}
