import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[sumdb]`. */
export const sumdbSchema = section(
  "Checksum databases: what public modules are compared with before anyone gets them, what is relayed to `go`, and a log of our own for private modules.",
  {
    database: setting(value.text(), {
      kind: "text",
      defaultDoc: "`GOSUMDB` of Sluice's own environment, else Go's default",
      flag: "sumdb",
      placeholder: "database",
      synonyms: ["gosumdb", "name", "url", "server"],
      doc: "The database that public modules are compared with, in the grammar of `GOSUMDB`: a known name, `name+hash+key`, or either with a URL behind a blank. `off` is none.",
    }),
    verify: setting(value.choice(["when-reachable", "required", "off"]), {
      kind: "choice",
      default: "when-reachable",
      synonyms: ["mode", "check"],
      doc: "`when-reachable` keeps what upstreams of the chain sent while the database cannot be reached or does not have it, and compares it later; what comes straight from a repository is refused then. `required` refuses both, also where it is stored already. Both refuse a wrong hash. `off` compares nothing with it until that changes, and still relays it.",
    }),
    noVerify: setting(value.text(), {
      kind: "text",
      defaultDoc: "`GONOSUMDB` of Sluice's own environment, else what `upstream.private` is",
      synonyms: ["gonosumdb", "nosumdb", "no_sumdb", "private", "except", "exclude"],
      doc: "Patterns of module paths whose names are never sent to a database of others, in the grammar of `GONOSUMDB`, besides those of `[[private]]`, `upstream.private` and `upstream.no_proxy`.",
    }),
    mirror: setting(value.databases(), {
      kind: "list",
      default: [],
      synonyms: ["mirrors", "relay", "databases"],
      doc: "Further databases that are relayed to clients, each in the grammar of `GOSUMDB`. `database` is relayed anyway.",
    }),
    latestTtlMs: setting(value.duration(), {
      kind: "duration",
      default: "1m",
      synonyms: ["ttl"],
      doc: "How long `latest` of a relayed database is served without asking again. While it cannot be reached an older one is.",
    }),
    recheckIntervalMs: setting(value.duration({ min: 1000 }), {
      kind: "duration",
      default: "15m",
      synonyms: ["recheck", "interval"],
      doc: "How often files that could not be compared are tried again. It begins soon after the start.",
    }),
    keyFiles: setting(value.paths(), {
      kind: "paths",
      default: [],
      synonyms: ["key_file", "key", "keys", "signing_key", "private_key"],
      doc: "Files with the keys of our own log, as `sluice sumdb init` writes one; several sign together while keys are changed. `SLUICE_SUMDB_KEY` may hold a key itself. Without a key there is no log of our own. One key belongs to one data folder, or to one `[database]`: Sluices with several would make several histories of one log.",
    }),
    vouchPublic: setting(value.flag(), {
      kind: "boolean",
      default: false,
      synonyms: ["vouch", "public"],
      doc: "Our own log also has public modules, with the hashes that `database` has, so that clients need no other.",
    }),
  },
);
