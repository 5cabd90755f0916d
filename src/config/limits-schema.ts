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
    bypass: setting(value.addressRanges(), {
      kind: "list",
      default: [],
      synonyms: ["exempt", "except", "unlimited"],
      doc: "IPs and CIDRs of clients without limit.",
    }),
  },
);
