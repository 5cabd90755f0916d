import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[database]`. */
export const databaseSchema = section(
  "A PostgreSQL database that several Sluices share: what is known of files, and our own checksum database. Without one each data folder has its own. While it is not there, each Sluice goes on with what it knows itself.",
  {
    url: setting(value.text(), {
      kind: "text",
      default: "",
      hidden: true,
      restart: true,
      synonyms: ["dsn", "postgres", "postgresql", "connection", "uri", "host"],
      doc: "Where it is, such as `postgres://sluice@db.example.com/sluice?sslmode=verify-full`. Several hosts are tried in turn: `host1:5432,host2:5432`, with `target_session_attrs=read-write` for the primary among them. `sslmode` is as for `psql`. Behind a pooler of transactions, `prepare=false`.",
    }),
    urlFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      restart: true,
      synonyms: ["dsn_file"],
      doc: "File with the URL, where it has a password.",
    }),
    passwordFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      restart: true,
      synonyms: ["password", "secret"],
      doc: "File with the password, when the URL has none. Line ends at its end do not count. `PGPASSWORD` may hold it, too.",
    }),
    caFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      restart: true,
      synonyms: ["sslrootcert", "ca"],
      doc: "PEM file of certificate authorities to trust for it, besides the system's. They count with `sslmode=verify-ca` and `verify-full`.",
    }),
    timeoutMs: setting(value.duration({ min: 10 }), {
      kind: "duration",
      default: "500ms",
      restart: true,
      doc: "How long a request waits for it, once; then nobody waits until it is found to answer again.",
    }),
    connections: setting(value.integer({ min: 2, max: 1000 }), {
      kind: "integer",
      default: 8,
      restart: true,
      synonyms: ["max_connections", "pool", "pool_size"],
      doc: "Connections of one Sluice at most: half for reads that somebody waits for, half for writes.",
    }),
  },
);
