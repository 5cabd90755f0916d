import type { LookupAddress } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import { LRUCache } from "lru-cache";

/** Answers all addresses of a host, both families, in the order the system prefers. */
export interface DnsCache {
  resolve(hostname: string): Promise<readonly LookupAddress[]>;
}

export interface DnsCacheOptions {
  /** How long an answer is fresh. The system's resolver does not tell the records' own lifetime. */
  readonly ttlMs?: number;
  /** Behind `ttlMs`, for so long an old answer is given at once while a new one is fetched. Later the new one is waited for. */
  readonly refreshMs?: number;
  readonly maxHosts?: number;
  readonly now?: () => number;
  readonly lookup?: (hostname: string) => Promise<readonly LookupAddress[]>;
}

interface Entry {
  readonly addresses: readonly LookupAddress[];
  readonly resolvedAt: number;
}

/**
 * The system's resolver (and so /etc/hosts) behind a cache. Simultaneous questions for one host cost one lookup, because
 * getaddrinfo blocks one of few threads. While the resolver fails, the last good answer stays in use, without limit: an address
 * that no longer serves fails at connecting, one that does saves the request.
 */
export function createDnsCache(options: DnsCacheOptions = {}): DnsCache {
  const { ttlMs = 30_000, refreshMs = 300_000, maxHosts = 1000, now = Date.now, lookup = lookupAll } = options;
  const entries = new LRUCache<string, Entry>({ max: maxHosts });
  const pending = new Map<string, Promise<readonly LookupAddress[]>>();

  return {
    async resolve(hostname) {
      const known = entries.get(hostname);
      const age = known === undefined ? Infinity : now() - known.resolvedAt;
      if (known !== undefined && age < ttlMs) return known.addresses;
      const fresh = pending.get(hostname) ?? ask(hostname);
      if (known === undefined) return fresh;
      if (age < ttlMs + refreshMs) {
        // Whoever asks next gets the outcome; a failure leaves the old answer standing.
        fresh.catch(() => undefined);
        return known.addresses;
      }
      return fresh.catch(() => known.addresses);
    },
  };

  function ask(hostname: string): Promise<readonly LookupAddress[]> {
    const answer = lookup(hostname)
      .then((addresses) => {
        if (addresses.length === 0) throw Object.assign(new Error(`${hostname} has no address`), { code: "ENODATA" });
        entries.set(hostname, { addresses, resolvedAt: now() });
        return addresses;
      })
      .finally(() => pending.delete(hostname));
    pending.set(hostname, answer);
    return answer;
  }
}

function lookupAll(hostname: string): Promise<LookupAddress[]> {
  return systemLookup(hostname, { all: true, order: "verbatim" });
}
