/**
 * See `migratePostgres`. Only ever append, and only what a Sluice with the schema before can live with: nodes are brought up to
 * date one by one. Keys are in byte order, as in SQLite.
 */
export const postgresMigrations: readonly string[] = [
  `CREATE TABLE sluice_facts (
     key text COLLATE "C" PRIMARY KEY,
     size bigint NOT NULL,
     sha256 text NOT NULL,
     h1 text,
     source text NOT NULL,
     first_seen_at bigint NOT NULL
   );
   CREATE TABLE sluice_freshness (
     key text COLLATE "C" PRIMARY KEY,
     sha256 text NOT NULL,
     source text NOT NULL,
     checked_at bigint NOT NULL,
     previous_sha256 text
   );
   CREATE TABLE sluice_uses (
     key text COLLATE "C" PRIMARY KEY,
     used_at bigint NOT NULL
   );
   CREATE TABLE sluice_unverified (
     key text COLLATE "C" PRIMARY KEY,
     h1 text NOT NULL,
     reason text NOT NULL,
     since bigint NOT NULL
   );
   CREATE TABLE sluice_logs (
     id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     name text COLLATE "C" NOT NULL UNIQUE,
     size bigint NOT NULL,
     hash bytea NOT NULL
   );
   CREATE TABLE sluice_log_records (
     log integer NOT NULL REFERENCES sluice_logs,
     id bigint NOT NULL,
     module_path text COLLATE "C" NOT NULL,
     version text COLLATE "C" NOT NULL,
     text text NOT NULL,
     PRIMARY KEY (log, id),
     UNIQUE (log, module_path, version)
   );`,
  `CREATE TABLE sluice_write_claims (
     object text COLLATE "C" PRIMARY KEY,
     writer text NOT NULL,
     claimed_at timestamptz NOT NULL
   );`,
];
