/** See `migrate`. Only ever append: databases in the field have run the ones above. */
export const ledgerMigrations: readonly string[] = [
  `CREATE TABLE facts (
     key TEXT PRIMARY KEY,
     size INTEGER NOT NULL,
     sha256 TEXT NOT NULL,
     h1 TEXT,
     source TEXT NOT NULL,
     first_seen_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE freshness (
     key TEXT PRIMARY KEY,
     sha256 TEXT NOT NULL,
     source TEXT NOT NULL,
     checked_at INTEGER NOT NULL,
     previous_sha256 TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE uses (
     key TEXT PRIMARY KEY,
     used_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE unverified (
     key TEXT PRIMARY KEY,
     h1 TEXT NOT NULL,
     reason TEXT NOT NULL,
     since INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   INSERT INTO unverified SELECT key, h1, 'kept by a Sluice that asked no checksum database', first_seen_at
     FROM facts WHERE h1 IS NOT NULL;`,
];
