import { LRUCache } from "lru-cache";
import { isIPv6 } from "node:net";
import { SluiceError } from "../core/errors.ts";
import type { Messages } from "../core/fleet.ts";
import type { Clock } from "../core/ports.ts";

export interface RateLimitOptions {
  readonly clock: Clock;
  readonly requestsPerSecond: number;
  /** Requests that may come at once from a client that was quiet. */
  readonly burst: number;
  /** Other nodes and processes, so that a client has one budget at all of them. Without it, one at each. */
  readonly messages?: Messages | undefined;
  readonly maxClients?: number;
}

/** The budget of one client. */
export interface Bucket {
  readonly client: string;
  /** May be below 0: spent elsewhere. */
  tokens: number;
  filledAt: number;
}

const gossipMs = 100;
/** Of one message. */
const maxGossip = 1000;

/** A token bucket for each client. Of very many clients, those that asked last are remembered. */
export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #buckets: LRUCache<string, Bucket>;
  readonly #spent = new Map<string, number>();
  readonly #closing = new AbortController();
  readonly #unsubscribe: (() => void) | undefined;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#buckets = new LRUCache({ max: options.maxClients ?? 50_000 });
    this.#unsubscribe = options.messages?.subscribe((message) => {
      if (message.type !== "spent") return;
      for (const [client, requests] of message.clients) this.#spentElsewhere(client, requests);
    });
    if (options.messages !== undefined) void this.#gossip(options.messages);
  }

  /** Of the network that an address stands for: one house has as many IPv6 addresses as it likes. */
  bucketOf(address: string): Bucket {
    return this.#bucket(isIPv6(address) ? networkOf(address) : address);
  }

  /** Takes one request out of it, or says why not: `rate_limited`. */
  take(bucket: Bucket): SluiceError | undefined {
    this.#fill(bucket);
    if (bucket.tokens < 1) return this.#refusal(bucket);
    bucket.tokens -= 1;
    if (this.#options.messages !== undefined) {
      this.#spent.set(bucket.client, (this.#spent.get(bucket.client) ?? 0) + 1);
    }
    return undefined;
  }

  close(): void {
    this.#unsubscribe?.();
    this.#closing.abort();
  }

  #bucket(client: string): Bucket {
    const known = this.#buckets.get(client);
    if (known !== undefined) return known;
    const bucket = { client, tokens: this.#options.burst, filledAt: this.#options.clock.now() };
    this.#buckets.set(client, bucket);
    return bucket;
  }

  #fill(bucket: Bucket): void {
    const { clock, requestsPerSecond, burst } = this.#options;
    const now = clock.now();
    // A clock that is set back gives nothing and takes nothing.
    const elapsedMs = Math.max(0, now - bucket.filledAt);
    bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * requestsPerSecond) / 1000);
    bucket.filledAt = now;
  }

  /** No debt is larger than a burst, so that whoever stops is soon served again. */
  #spentElsewhere(client: string, requests: number): void {
    const bucket = this.#bucket(client);
    this.#fill(bucket);
    bucket.tokens = Math.max(-this.#options.burst, bucket.tokens - requests);
  }

  #refusal({ client, tokens }: Bucket): SluiceError {
    const { requestsPerSecond } = this.#options;
    const seconds = Math.max(1, Math.ceil((1 - tokens) / requestsPerSecond));
    return new SluiceError(
      "rate_limited",
      `${client} asks for more than ${requestsPerSecond} files a second, which is the limit here; ask again in ${seconds} s`,
      { retryAfterSeconds: seconds },
    );
  }

  async #gossip(messages: Messages): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#options.clock.sleep(gossipMs, signal).catch(() => undefined);
      const spent = [...this.#spent];
      this.#spent.clear();
      for (let at = 0; at < spent.length; at += maxGossip) {
        messages.publish({ type: "spent", clients: spent.slice(at, at + maxGossip) });
      }
    }
  }
}

/** The first 64 bits, which are the network's (RFC 4291 §2.5.4). */
function networkOf(address: string): string {
  const [plain = ""] = address.split("%");
  // URL writes any IPv6 address in hexadecimal groups with at most one gap.
  const [head = "", tail] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
