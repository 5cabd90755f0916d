import { LRUCache } from "lru-cache";
import { createTtlJitter, type TtlJitter } from "./ttl-jitter.ts";
import type { BlobKey, Clock } from "./ports.ts";

/**
 * Remembers for a short time that something does not exist. Since Go 1.24 the go command repeats every 4xx once, and
 * `go get` probes every prefix of an import path, so most 404s are asked for in bunches. In memory only: a restart
 * forgets them.
 */
export class NegativeCache {
  readonly #entries: LRUCache<BlobKey, { readonly message: string; readonly expiresAt: number }>;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #jitter: TtlJitter;

  constructor(options: {
    readonly clock: Clock;
    readonly ttlMs: number;
    /** Share of the TTL. Default 0. */
    readonly ttlJitter?: number | undefined;
    readonly maxEntries?: number;
  }) {
    this.#clock = options.clock;
    this.#ttlMs = options.ttlMs;
    this.#jitter = createTtlJitter(options.ttlJitter ?? 0);
    this.#entries = new LRUCache({ max: options.maxEntries ?? 20_000 });
  }

  /** The message of the remembered `not_found`, if it is still to be believed. */
  get(key: BlobKey): string | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAt > this.#clock.now()) return entry.message;
    this.#entries.delete(key);
    return undefined;
  }

  delete(key: BlobKey): void {
    this.#entries.delete(key);
  }

  /** Answers how many. */
  forget(isMeant: (key: BlobKey) => boolean): number {
    const meant = [...this.#entries.keys()].filter(isMeant);
    for (const key of meant) this.#entries.delete(key);
    return meant.length;
  }

  remember(key: BlobKey, message: string): void {
    if (this.#ttlMs === 0) return;
    const now = this.#clock.now();
    this.#entries.set(key, { message, expiresAt: now + this.#jitter(this.#ttlMs, { key, checkedAt: now }) });
  }
}
