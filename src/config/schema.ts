import { z } from "zod";
import type { Secret } from "../core/secret.ts";
import type { BucketConfig } from "./bucket.ts";
import { bucketSchema } from "./bucket-schema.ts";
import type { PrivateModules } from "./private.ts";
import { accessSchema } from "./access-schema.ts";
import { adminSchema } from "./admin-schema.ts";
import { drillSchema } from "./drill-schema.ts";
import { limitsSchema } from "./limits-schema.ts";
import type { RedisConfig } from "./redis.ts";
import { redisSchema } from "./redis-schema.ts";
import type { SharedDatabase } from "./database.ts";
import { databaseSchema } from "./database-schema.ts";
import { section, setting } from "./setting-facts.ts";
import { sumdbSchema } from "./sumdb-schema.ts";
import { upkeepSettings } from "./upkeep-schema.ts";
import { type Override, upstreamSchema } from "./upstream-schema.ts";
import * as value from "./values.ts";

const logLevels = ["trace", "debug", "info", "warn", "error", "silent"] as const;

const missingOverridePattern = "is missing; write the module paths that this is about, such as git.example.com/**";

/** One `[[git.override]]`. */
export const gitOverrideSchema = section(
  "Where repositories are that their modules' own host does not tell: hosts without go-import meta tags, mirrors, monorepos. The modules stay public: the chain counts for them, and this is for its `direct`. May be repeated; the first that matches counts, and `[[private]]` rules before all of them. The hosts may be within this network.",
  {
    pattern: setting(value.text({ missing: missingOverridePattern }).min(1, { error: missingOverridePattern }), {
      kind: "text",
      synonyms: ["patterns", "module", "modules", "path", "prefix"],
      doc: "Module paths, element by element, with the globs of `GOPRIVATE`. The elements that it matches are the root of a repository, what follows is a folder in it. `/**` at its end is any depth of at least one element.",
    }),
    url: setting(value.text({ missing: "is missing; write where the repositories are" }), {
      kind: "text",
      hidden: true,
      synonyms: ["repo", "repository", "remote", "host"],
      doc: "Where the repositories are, such as `ssh://git@git.example.com/{path}.git`. `{host}` is the first element of the repository's root, `{path}` are the others, `{rest}` those that the pattern does not spell out. Without one of these it is one repository for all.",
    }),
    root: setting(value.text().optional(), {
      kind: "text",
      defaultDoc: "from `pattern`",
      doc: "Import path of the repository's root: module paths below it are folders of the repository.",
    }),
    subdir: setting(value.text().optional(), {
      kind: "text",
      defaultDoc: "the repository's own root",
      synonyms: ["folder", "directory", "dir"],
      doc: "Folder of the module in the repository, as the fourth field of a go-import meta tag. As `go` has it, it comes behind the folder that the module path itself names below the root.",
    }),
  },
);

/** Every setting. The field's name carries the unit; names outside follow from it (`settings.ts`). */
export const configSchema = z.object({
  server: section("The address clients use, and how long Sluice waits for them.", {
    listen: setting(value.listenAddress(), {
      kind: "text",
      default: "127.0.0.1:3000",
      env: "SLUICE_LISTEN",
      flag: "listen",
      placeholder: "host:port",
      synonyms: ["port", "host", "addr", "address", "bind"],
      restart: true,
      doc: "Address and port. `:3000` is every address of the machine; port 0 is any free port. The default is reachable from this machine only.",
    }),
    basePath: setting(value.basePath(), {
      kind: "text",
      default: "",
      env: "SLUICE_BASE_PATH",
      flag: "base-path",
      placeholder: "path",
      doc: "Path under which everything is served, such as `/go`, when a front end passes on only a part of its URLs.",
    }),
    trustedProxies: setting(value.addressRanges(), {
      kind: "list",
      default: [],
      flag: "trusted-proxies",
      placeholder: "ips",
      doc: "IPs and CIDRs of the front ends whose `X-Forwarded-*` headers are believed. From anyone else they are ignored.",
    }),
    shutdownTimeoutMs: setting(value.duration(), {
      kind: "duration",
      default: "30s",
      doc: "How long running answers may take after SIGTERM before they are cut.",
    }),
    maxUrlBytes: setting(value.integer({ min: 256, max: 65_536 }), {
      kind: "integer",
      default: 8192,
      doc: "Longest request URL in bytes; longer ones are answered 414.",
    }),
    maxHeaderBytes: setting(value.integer({ min: 1024, max: 1_048_576 }), {
      kind: "integer",
      default: 16_384,
      restart: true,
      doc: "Largest request head in bytes; larger ones are answered 431.",
    }),
    headerTimeoutMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "10s",
      restart: true,
      doc: "How long a client may take to send the head of its request.",
    }),
    keepAliveTimeoutMs: setting(value.duration(), {
      kind: "duration",
      default: "65s",
      restart: true,
      doc: "How long an idle connection stays open. Longer than the front end's own, so that it is never the server who hangs up first.",
    }),
    workers: setting(value.integer({ max: 256 }), {
      kind: "integer",
      default: 1,
      env: "SLUICE_WORKERS",
      flag: "workers",
      placeholder: "number",
      restart: true,
      synonyms: ["processes", "threads", "cpus", "cluster"],
      doc: "Processes that answer clients, for machines with several cores. From 2 on another process does everything else (fetching, git, checksum databases), so that answers from the store never wait for it, and processes that end are replaced. `memory` is for all together. 1 is one process for everything.",
    }),
    watchConfig: setting(value.flag(), {
      kind: "boolean",
      default: false,
      restart: true,
      synonyms: ["watch", "reload", "auto_reload"],
      doc: "Whether the configuration is read again when its file, or a file that it names, was changed. Without it that is done on SIGHUP only, so that a file which is being edited does not count half-way.",
    }),
  }),
  store: section("Where modules are kept.", {
    dataDir: setting(value.path(), {
      kind: "path",
      default: "./sluice-data",
      env: "SLUICE_DATA_DIR",
      flag: "data-dir",
      synonyms: ["data", "dir", "cache_dir", "storage", "path"],
      restart: true,
      doc: "Folder of the store. A relative path in the file counts from the file, elsewhere from the working directory.",
    }),
    memoryBytes: setting(value.size(), {
      kind: "size",
      default: "256MiB",
      flag: "memory",
      restart: true,
      doc: "Memory for the files asked for most, in front of the disk. `0B` turns it off.",
    }),
    wholeFileLimitBytes: setting(value.size(), {
      kind: "size",
      default: "32MiB",
      restart: true,
      doc: "Files up to this size, but at most an eighth of `memory`, are read whole and may stay in memory; larger ones are streamed from disk.",
    }),
    diskCacheSizeBytes: setting(value.size(), {
      kind: "size",
      default: "20GiB",
      restart: true,
      synonyms: ["cache_size", "disk_cache", "disk_size", "quota"],
      doc: "With a bucket, the disk space of the files in front of it. Beyond it, those go that nobody used for longest and that the bucket has; without a bucket all stay. `0B` is no limit.",
    }),
    ...upkeepSettings,
  }),
  bucket: bucketSchema,
  freshness: section(
    "How long answers that can change stay fresh. Files of a version never change and are kept for ever.",
    {
      ttlMs: setting(value.duration(), {
        kind: "duration",
        default: "60s",
        flag: "ttl",
        doc: "How long a version list, `@latest`, or the answer for a branch or commit is served without asking again, give or take a tenth, so that they are not all asked for at once.",
      }),
      notFoundMs: setting(value.duration(), {
        kind: "duration",
        default: "30s",
        doc: "How long “does not exist” is remembered.",
      }),
      staleWhileRevalidateMs: setting(value.duration(), {
        kind: "duration",
        default: "10m",
        doc: "For how long after `ttl` an answer is served at once while a new one is fetched behind it. An older one waits for the source first, and is served when the source fails.",
      }),
    },
  ),
  fetch: section("How files come from the upstreams.", {
    offline: setting(value.flag(), {
      kind: "boolean",
      default: false,
      env: "SLUICE_OFFLINE",
      flag: "offline",
      doc: "Nobody is asked for anything: answers come from the store, at once and however old, and what is not stored is answered 503. `sluice offline` turns the same on and off while Sluice runs, for the nodes that run then.",
    }),
    streamFromBytes: setting(value.size(), {
      kind: "size",
      default: "1MiB",
      doc: "Zips larger than this are passed on to clients while they are fetched; the last block waits until the whole is verified.",
    }),
    totalTimeoutMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "10m",
      doc: "How long one fetch may take, with all its attempts and all upstreams.",
    }),
    verifyWorkers: setting(value.integer({ max: 256 }), {
      kind: "integer",
      default: 0,
      restart: true,
      doc: "Threads that verify zips. 0 is automatic, by the number of processors.",
    }),
    memoryFallbackBytes: setting(value.size(), {
      kind: "size",
      default: "512MiB",
      doc: "Memory for zips under way when the disk cannot be written, all together.",
    }),
    clientWaitMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "5m",
      doc: "How long a client waits for the first byte before it is answered 504. The fetch goes on without it.",
    }),
  }),
  upstream: upstreamSchema,
  git: section("Modules straight from their repositories: `direct` in the chain, and private modules.", {
    enabled: setting(value.flag(), {
      kind: "boolean",
      default: true,
      doc: "Without it, `direct` is the end of the chain, and private modules are served only when they are stored.",
    }),
    binary: setting(value.text().min(1, { error: "is empty; write the name or path of git" }), {
      kind: "text",
      default: "git",
      synonyms: ["executable", "path", "command"],
      doc: "The program, 2.39 or later: a name that is looked up in `PATH`, or an absolute path.",
    }),
    concurrency: setting(value.integer({ min: 1, max: 1000 }), {
      kind: "integer",
      default: 8,
      doc: "Repositories that are fetched at the same time. One repository is fetched once for any number of clients.",
    }),
    fetchTimeoutMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "10m",
      synonyms: ["timeout"],
      doc: "How long one fetch of a repository may take.",
    }),
    refsTtlMs: setting(value.duration(), {
      kind: "duration",
      default: "10s",
      doc: "How long a repository's branches and tags are believed without asking again. One that is not among them is asked for at once.",
    }),
    fetchAhead: setting(value.flag(), {
      kind: "boolean",
      default: true,
      doc: "Whether the newest versions of a repository are fetched in the background, within bounds, when one of its versions was asked for.",
    }),
    // No timer waits for it.
    keepMirrorsMs: setting(value.duration({ max: Number.MAX_SAFE_INTEGER }), {
      kind: "duration",
      default: "30d",
      doc: "A mirror of a repository that nobody asked for so long is removed from `<data>/git`, and fetched anew when somebody does. Stored versions stay. `0s` keeps all for ever.",
    }),
    maxSizeBytes: setting(value.size(), {
      kind: "size",
      default: "20GiB",
      doc: "Disk space of all mirrors in `<data>/git`. Beyond it, those go that nobody used for longest and no request has open, and are fetched anew when somebody asks. Stored versions stay. `0B` is no limit.",
    }),
    maxFetchSizeBytes: setting(value.size(), {
      kind: "size",
      default: "8GiB",
      doc: "What one fetch of a repository may bring. A larger one is ended while it runs, and the client is told so. `0B` is no limit.",
    }),
    discoveryTtlMs: setting(value.duration(), {
      kind: "duration",
      default: "10m",
      synonyms: ["ttl"],
      doc: "How long Sluice remembers which repository a module path belongs to.",
    }),
    discoveryTimeoutMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "30s",
      doc: "How long a host may take for one page of go-import meta tags.",
    }),
    insecure: setting(value.text(), {
      kind: "text",
      defaultDoc: "`GOINSECURE` of Sluice's own environment, else empty",
      doc: "Patterns of module paths that may come over plain HTTP or from hosts with any certificate, in the grammar of `GOINSECURE`.",
    }),
    vcs: setting(value.text(), {
      kind: "text",
      defaultDoc: "`GOVCS` of Sluice's own environment, else Go's default",
      doc: "Which version control systems may be used for which modules, in the grammar of `GOVCS`. Sluice has git only.",
    }),
    overrides: setting(z.array(gitOverrideSchema, { error: "is not a list of tables; write [[git.override]]" }), {
      kind: "tables",
      default: [],
      key: "override",
      doc: "Where repositories are that cannot be found as `go` finds them, see below. In the environment: the same list as inline TOML.",
    }),
  }),
  database: databaseSchema,
  sumdb: sumdbSchema,
  access: accessSchema,
  limits: limitsSchema,
  redis: redisSchema,
  admin: adminSchema,
  drill: drillSchema,
  log: section("What is written to standard output.", {
    level: setting(value.choice(logLevels), {
      kind: "choice",
      default: "info",
      flag: "log-level",
      restart: true,
      doc: "The least that is written: `trace`, `debug`, `info`, `warn`, `error` or `silent`.",
    }),
    format: setting(value.choice(["auto", "json", "pretty"]), {
      kind: "choice",
      default: "auto",
      flag: "log-format",
      restart: true,
      doc: "`json` is one object per line, `pretty` is made for reading, `auto` is `pretty` on a terminal and `json` elsewhere.",
    }),
    requests: setting(value.flag(), { kind: "boolean", default: true, doc: "One line per request." }),
  }),
});

/** What the schema makes of everything that was written. */
export type Settings = z.infer<typeof configSchema>;
export type GitOverride = z.infer<typeof gitOverrideSchema>;

/** What is different for one upstream, its files read. */
export type UpstreamOverride = Override & {
  /** The content of `ca_file`: certificates in PEM. */
  readonly ca?: string | undefined;
  /** From `password_file` or `password_env`. */
  readonly password?: Secret | undefined;
};

/**
 * Everything an operator can set: checked, defaults filled in, paths absolute. Durations in milliseconds, sizes in bytes.
 * `upstream.chain` may hold passwords: show `formatChain(parseChain(…))` instead.
 */
export type Config = Readonly<Omit<Settings, "upstream" | "sumdb" | "database" | "admin" | "redis">> & {
  /** Of `bucket`: what stands behind the disk; undefined where the disk has everything. */
  readonly sharedBucket: BucketConfig | undefined;
  readonly upstream: Readonly<Omit<Settings["upstream"], "overrides">> & {
    readonly overrides: readonly UpstreamOverride[];
  };
  readonly sumdb: Readonly<Settings["sumdb"]> & {
    /** Of SLUICE_SUMDB_KEY: a key that our own log is signed with, as the files of `keyFiles` have one. */
    readonly key: Secret | undefined;
  };
  /** Undefined when nodes know nothing of each other. */
  readonly redis: RedisConfig | undefined;
  /** What operators have to show, if the configuration says so. */
  readonly adminToken: Secret | undefined;
  /** What several Sluices share, if they do. */
  readonly sharedDatabase: SharedDatabase | undefined;
  /** Of all `[[private]]`, and what the environment says is private. */
  readonly privateModules: PrivateModules;
};
