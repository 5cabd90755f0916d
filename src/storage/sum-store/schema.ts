/** See `migrate`. Only ever append: databases in the field have run the ones above. */
export const sumStoreMigrations: readonly string[] = [
  `CREATE TABLE trees (
     database TEXT PRIMARY KEY,
     size INTEGER NOT NULL,
     hash BLOB NOT NULL,
     note BLOB NOT NULL,
     kept_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE forks (
     database TEXT NOT NULL,
     ours BLOB NOT NULL,
     theirs BLOB NOT NULL,
     seen_at INTEGER NOT NULL,
     settled_at INTEGER,
     PRIMARY KEY (database, ours, theirs)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE logs (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     size INTEGER NOT NULL,
     hash BLOB NOT NULL
   ) STRICT;
   CREATE TABLE records (
     log INTEGER NOT NULL REFERENCES logs,
     id INTEGER NOT NULL,
     module_path TEXT NOT NULL,
     version TEXT NOT NULL,
     text TEXT NOT NULL,
     PRIMARY KEY (log, id)
   ) STRICT, WITHOUT ROWID;
   CREATE UNIQUE INDEX records_by_version ON records (log, module_path, version);
   CREATE TABLE tree_hashes (
     log INTEGER NOT NULL REFERENCES logs,
     id INTEGER NOT NULL,
     hash BLOB NOT NULL,
     PRIMARY KEY (log, id)
   ) STRICT, WITHOUT ROWID;`,
];
