import type { Blob, BlobContent, BlobKey, BlobStat, BlobStore, Events } from "../core/ports.ts";
import { LRUCache } from "lru-cache";
import { bytesBlob } from "./blob/bytes-blob.ts";
import { attempt } from "./failures.ts";
import { Turns } from "./turns.ts";

/** A faster store in front of the others, which may forget any blob. */
export interface UpperTier extends BlobStore {
  /** It is never asked to take a larger one. */
  readonly maxBlobBytes: number;
}

export interface TieredBlobStoreOptions {
  /** From the fastest on. */
  readonly upper: readonly UpperTier[];
  /** Has every blob, and decides who was first. */
  readonly home: BlobStore;
  readonly events: Events;
}

const maxCopies = 200_000;

/**
 * Several stores as one: reads go down from the fastest and fill it on their way back, writes go to the home first. An upper
 * tier that fails is told and passed over; it never hides, and never outlives, what stands in the home.
 */
export function createTieredBlobStore(options: TieredBlobStoreOptions): BlobStore {
  return new TieredStore(options);
}

class TieredStore implements BlobStore {
  readonly name: string;
  readonly #home: BlobStore;
  readonly #tiers: readonly Tier[];
  /** One write of a key at a time: the tiers must see all writes in the same order. */
  readonly #writes = new Turns();
  /** Counts changes of what stood, so that no read fills an upper tier with what it found before one. */
  #changes = 0;

  constructor({ upper, home, events }: TieredBlobStoreOptions) {
    this.#home = home;
    this.#tiers = upper.map((store) => new Tier(store, events));
    this.name = [...upper, home].map((store) => store.name).join(" > ");
  }

  stat(key: BlobKey): Promise<BlobStat | undefined> {
    return this.#home.stat(key);
  }

  async get(key: BlobKey): Promise<Blob | undefined> {
    const changes = this.#writes.has(key) ? Number.NaN : this.#changes;
    const missed: Tier[] = [];
    for (const tier of this.#tiers) {
      const blob = await tier.get(key);
      if (blob !== undefined) return this.#fill(key, blob, { missed, changes });
      missed.push(tier);
    }
    const blob = await this.#home.get(key);
    return blob && this.#fill(key, blob, { missed, changes });
  }

  create(key: BlobKey, content: BlobContent): Promise<"created" | "exists"> {
    return this.#writes.take(key, async () => {
      const outcome = await this.#home.create(key, content);
      if (outcome === "created" && "bytes" in content) await this.#copyUp(key, content.bytes);
      return outcome;
    });
  }

  replace(key: BlobKey, bytes: Uint8Array): Promise<void> {
    return this.#change(key, async () => {
      await this.#home.replace(key, bytes);
      await this.#copyUp(key, bytes);
    });
  }

  delete(key: BlobKey): Promise<boolean> {
    return this.#change(key, async () => {
      const isDeleted = await this.#home.delete(key);
      for (const tier of this.#tiers) await tier.drop(key);
      return isDeleted;
    });
  }

  setAside(key: BlobKey, revision?: string): Promise<boolean> {
    return this.#change(key, async () => {
      let isTaken = await this.#home.setAside(key, revision);
      for (const tier of this.#tiers) isTaken = (await tier.setAside(key, revision)) || isTaken;
      return isTaken;
    });
  }

  list(prefix: string): AsyncIterable<BlobKey> {
    return this.#home.list(prefix);
  }

  check(): Promise<void> {
    return this.#home.check();
  }

  async close(): Promise<void> {
    for (const tier of this.#tiers) await tier.close();
    await this.#home.close();
  }

  async #fill(key: BlobKey, blob: Blob, { missed, changes }: { missed: Tier[]; changes: number }): Promise<Blob> {
    const { revision } = blob;
    const open = missed.filter((tier) => tier.takes(blob.size));
    if (open.length === 0) return blob;
    const bytes = blob.bytes ?? (await blob.read());
    for (const tier of open) {
      if (changes === this.#changes) await tier.put(key, { bytes, revision });
    }
    return bytesBlob(bytes, revision);
  }

  async #copyUp(key: BlobKey, bytes: Uint8Array): Promise<void> {
    const written = await this.#home.stat(key);
    for (const tier of this.#tiers) {
      if (written?.size === bytes.length && tier.takes(bytes.length)) {
        await tier.put(key, { bytes, revision: written.revision });
      } else await tier.drop(key);
    }
  }

  #change<T>(key: BlobKey, work: () => Promise<T>): Promise<T> {
    this.#changes++;
    return this.#writes.take(key, work);
  }
}

/** An upper tier, whose failures cost nothing but speed. */
class Tier {
  readonly #store: UpperTier;
  readonly #events: Events;
  /**
   * Which revision of the home's blob a copy here is of. A copy without one is not used: so it is with what this tier failed to
   * let go of, and with what is just being put.
   */
  readonly #revisions = new LRUCache<BlobKey, string>({ max: maxCopies });

  constructor(store: UpperTier, events: Events) {
    this.#store = store;
    this.#events = events;
  }

  takes(size: number): boolean {
    return size <= this.#store.maxBlobBytes;
  }

  async get(key: BlobKey): Promise<Blob | undefined> {
    const revision = this.#revisions.get(key);
    if (revision === undefined) return undefined;
    const bytes = await this.#attempt(async () => {
      const blob = await this.#store.get(key);
      return blob?.bytes ?? blob?.read();
    });
    return bytes && bytesBlob(bytes, revision);
  }

  async put(
    key: BlobKey,
    { bytes, revision }: { readonly bytes: Uint8Array; readonly revision: string },
  ): Promise<void> {
    this.#revisions.delete(key);
    const isPut = await this.#attempt(async () => {
      await this.#store.replace(key, bytes);
      return true;
    });
    if (isPut === true) this.#revisions.set(key, revision);
  }

  async drop(key: BlobKey): Promise<void> {
    if (this.#revisions.delete(key)) await this.#attempt(() => this.#store.delete(key));
  }

  async setAside(key: BlobKey, revision: string | undefined): Promise<boolean> {
    const found = this.#revisions.get(key);
    if (found === undefined || (revision !== undefined && revision !== found)) return false;
    await this.drop(key);
    return true;
  }

  async close(): Promise<void> {
    await this.#attempt(() => this.#store.close());
  }

  #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    return attempt(this.#events, this.#store.name, work);
  }
}
