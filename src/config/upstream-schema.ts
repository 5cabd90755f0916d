import { z } from "zod";
import { groupSchema, routeSchema } from "./route-schema.ts";
import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** One `[[upstream.override]]`. A field that is not there is as in `[upstream]`. */
export const overrideSchema = section("What is different for one upstream of the chain. May be repeated.", {
  url: setting(value.text({ missing: "is missing; write the entry of the chain that this is about" }), {
    kind: "text",
    doc: "The entry of the chain that this is about, without user name and password.",
  }),
  notFoundStatus: setting(value.clientErrors().default([]), {
    kind: "list",
    defaultDoc: "`[]`",
    doc: "Statuses by which this upstream means “does not exist”, besides 404 and 410. Some answer 403 for a module they do not have.",
  }),
  caFile: setting(value.path().optional(), {
    kind: "path",
    doc: "PEM file of certificate authorities to trust for this upstream, besides the system's.",
  }),
  username: setting(value.text().optional(), { kind: "text", doc: "User name for Basic authorization." }),
  passwordFile: setting(value.path().optional(), {
    kind: "path",
    synonyms: ["password", "token", "secret"],
    doc: "File with the password or token. Line ends at its end do not count.",
  }),
  passwordEnv: setting(value.text().optional(), {
    kind: "text",
    doc: "Name of the environment variable with the password or token.",
  }),
  concurrency: setting(value.integer({ min: 1 }).optional(), { kind: "integer", doc: "As in `[upstream]`." }),
  minConcurrency: setting(value.integer({ min: 1 }).optional(), { kind: "integer", doc: "As in `[upstream]`." }),
  hedgePercent: setting(value.integer({ max: 100 }).optional(), {
    kind: "integer",
    key: "hedge",
    doc: "As in `[upstream]`.",
  }),
  breaker: setting(value.flag().optional(), { kind: "boolean", doc: "As in `[upstream]`." }),
  healthPath: setting(value.urlPath().optional(), { kind: "text", doc: "As in `[upstream]`." }),
  attempts: setting(value.integer({ min: 1, max: 20 }).optional(), { kind: "integer", doc: "As in `[upstream]`." }),
  connectTimeoutMs: setting(value.duration({ min: 1 }).optional(), { kind: "duration", doc: "As in `[upstream]`." }),
  firstByteTimeoutMs: setting(value.duration({ min: 1 }).optional(), { kind: "duration", doc: "As in `[upstream]`." }),
  idleTimeoutMs: setting(value.duration({ min: 1 }).optional(), { kind: "duration", doc: "As in `[upstream]`." }),
});

/** `[upstream]`. */
export const upstreamSchema = section("Where modules come from.", {
  chain: setting(value.text(), {
    kind: "text",
    defaultDoc: "`GOPROXY` of Sluice's own environment, else Go's default",
    flag: "chain",
    placeholder: "urls",
    synonyms: ["proxy", "goproxy", "upstreams", "url"],
    hidden: true,
    doc: "The upstreams, in the grammar of `GOPROXY`: after a comma the next one is asked when this one does not have it, after a `|` also when it fails. `off` and `direct` end the chain.",
  }),
  private: setting(value.text(), {
    kind: "text",
    defaultDoc: "`GOPRIVATE` of Sluice's own environment, else empty",
    flag: "private",
    placeholder: "patterns",
    doc: "Comma-separated patterns of module paths that are private, in the grammar of `GOPRIVATE`. Their names are never sent to any upstream, unless `no_proxy` says otherwise.",
  }),
  noProxy: setting(value.text(), {
    kind: "text",
    defaultDoc: "`GONOPROXY` of Sluice's own environment, else what `private` is",
    flag: "noproxy",
    placeholder: "patterns",
    doc: "Patterns of module paths whose names are never sent to any upstream, in the grammar of `GONOPROXY`. `none` is no pattern.",
  }),
  concurrency: setting(value.integer({ min: 1, max: 10_000 }), {
    kind: "integer",
    default: 64,
    doc: "Requests under way to one upstream at the same time, at the most. While it says that it has too much to do (429, 503), and at first after an outage, there are fewer.",
  }),
  minConcurrency: setting(value.integer({ min: 1, max: 10_000 }), {
    kind: "integer",
    default: 8,
    doc: "Requests to which `concurrency` is brought down at the most. With a number that is not below it nothing is adapted.",
  }),
  maxWaiting: setting(value.integer({ min: 1 }), {
    kind: "integer",
    default: 10_000,
    doc: "Fetches that may wait for their turn at one upstream; beyond that the answer is 503.",
  }),
  attempts: setting(value.integer({ min: 1, max: 20 }), {
    kind: "integer",
    default: 10,
    doc: "Times one upstream is tried for one file before it counts as failed. With 3 of 10 requests failing, 4 lose one file in 120, 10 lose one in 170 000. Where it does not work at all (no connection, cut answers, 503), and nobody else is asked then, it is tried for `wait_while_down`, unless this is 1.",
  }),
  hedgePercent: setting(value.integer({ max: 100 }), {
    kind: "integer",
    key: "hedge",
    default: 40,
    synonyms: ["hedging", "hedge_share", "duplicate", "speculative"],
    doc: "How many of 100 requests may be sent once more because the answer is late (several times what half of the answers take, and at least 0.1 s) or pauses; the first good answer counts. Where the upstream is in an `[[upstream.group]]`, the next member that is well is asked instead, as soon as the answer is later than 95 of 100. When more than half of an upstream's answers are late it is slow, and nothing is sent to it twice. `0` is off. With 3 of 10 answers lost on their way, 40 covers all; 5 is enough for an upstream that is well.",
  }),
  goModAhead: setting(value.flag(), {
    kind: "boolean",
    default: true,
    synonyms: ["mod_ahead", "prefetch", "prefetch_mod"],
    doc: "Whether the `.mod` of a version is fetched at the same time as its `.info`, as `go` asks for one after the other. For modules that are asked of an upstream on the network first, so never for private ones, and for four versions of a module in a minute.",
  }),
  breaker: setting(value.flag(), {
    kind: "boolean",
    default: true,
    synonyms: ["circuit_breaker"],
    doc: "Whether an upstream that is down (it answered none of 15 requests in a row, or one of ten for longer) is asked by a few requests every few seconds only. What fails now and then is tried again and does not count as down.",
  }),
  waitWhileDownMs: setting(value.duration(), {
    kind: "duration",
    default: "30s",
    synonyms: ["down_wait", "patience", "grace"],
    doc: "How long a request waits for an upstream that went down lately, if nothing else can answer it. `0s` fails at once. In an outage of more than twice that time it waits until the upstream was asked once more.",
  }),
  healthPath: setting(value.urlPath(), {
    kind: "text",
    default: "sumdb/sum.golang.org/supported",
    synonyms: ["health_check", "check", "health_url", "ping"],
    doc: "Path below the upstream's URL that is asked for once when the upstream works, and again while it is down or hangs and somebody uses it. Any answer below 500 will do. An upstream that never answered it is judged by its requests alone. Empty is none.",
  }),
  connectTimeoutMs: setting(value.duration({ min: 1 }), {
    kind: "duration",
    default: "10s",
    doc: "How long connecting may take, DNS and TLS included.",
  }),
  firstByteTimeoutMs: setting(value.duration({ min: 1 }), {
    kind: "duration",
    default: "60s",
    doc: "How long an upstream may think before its answer begins.",
  }),
  idleTimeoutMs: setting(value.duration({ min: 1 }), {
    kind: "duration",
    default: "30s",
    doc: "How long an answer may pause between two pieces.",
  }),
  routes: setting(z.array(routeSchema, { error: "is not a list of tables; write [[upstream.route]]" }), {
    kind: "tables",
    default: [],
    key: "route",
    doc: "Modules that come from another chain, see below. In the environment: the same list as inline TOML.",
  }),
  groups: setting(z.array(groupSchema, { error: "is not a list of tables; write [[upstream.group]]" }), {
    kind: "tables",
    default: [],
    key: "group",
    doc: "Upstreams that have the same content, see below. In the environment: the same list as inline TOML.",
  }),
  overrides: setting(z.array(overrideSchema, { error: "is not a list of tables; write [[upstream.override]]" }), {
    kind: "tables",
    default: [],
    key: "override",
    doc: "What is different for single upstreams, see below. In the environment: the same list as inline TOML.",
  }),
});

export type Override = z.infer<typeof overrideSchema>;
