import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[limits]`. */
export const limitsSchema = section(
  "What one client may ask for, and how much this node takes on. `/healthz`, `/readyz` and `/metrics` are never limited.",
  {
    requestsPerSecond: setting(value.integer({ max: 1_000_000 }), {
      kind: "integer",
      default: 0,
      synonyms: ["rate", "rps", "requests", "rate_limit"],
      doc: "Requests of one client in a second, on average; beyond that the answer is 429. A client is an IPv4 address or an IPv6 /64. 0 is no limit. Nodes that share messages share the budget of a client, within a tenth of a second.",
    }),
    burst: setting(value.integer({ max: 10_000_000 }), {
      kind: "integer",
      default: 0,
      doc: "Requests that a client which was quiet may make at once. One `go mod download` of a large project makes some thousand of them within seconds, and `go` does not come back after a 429. 0 is what `requests_per_second` gives in a minute.",
    }),
    maxFetches: setting(value.integer({ min: 1 }), {
      kind: "integer",
      default: 10_000,
      synonyms: ["max_concurrency", "fetches", "max_inflight"],
      doc: "Files and records that are being fetched, or wait for their turn. From 80 % of it on nothing is fetched in the background, then nothing from repositories, then no file that is not stored, then no list: those are answered 503, or with what is stored. Stored content is served all the same.",
    }),
    maxLatenessMs: setting(value.duration({ min: 50 }), {
      kind: "duration",
      default: "1s",
      synonyms: ["event_loop_delay", "max_event_loop_delay", "lag"],
      doc: "How late half of Sluice's own timers may be before work is given up in the same order: its processor has more to do than it can.",
    }),
    maxMemoryBytes: setting(value.size(), {
      kind: "size",
      default: "0B",
      synonyms: ["memory", "memory_limit", "max_rss"],
      doc: "Memory of the process before work is given up in the same order, such as nine tenths of what the container may use. Beyond a tenth more, stored content waits, too, but for what is in memory. With `workers` it is for all processes, and half of it for the one that fetches. `0B` is no limit.",
    }),
    bypass: setting(value.addressRanges(), {
      kind: "list",
      default: [],
      synonyms: ["exempt", "except", "unlimited"],
      doc: "IPs and CIDRs of clients without limit.",
    }),
  },
);
