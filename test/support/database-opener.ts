import { pathToFileURL } from "node:url";
import { systemClock } from "../../src/core/clock.ts";
import { Secret } from "../../src/core/secret.ts";
import { PostgresDatabase } from "../../src/storage/postgres/database.ts";

// A process that opens a database as a node does when it starts. Tests run several at once.

export const databaseOpener = import.meta.filename;

async function open(): Promise<void> {
  const database = new PostgresDatabase({
    name: "the database",
    url: new Secret(process.argv[2] ?? ""),
    authorities: [],
    connections: 2,
    timeoutMs: 2000,
    clock: systemClock,
    events: { emit: (event) => void process.stderr.write(`${JSON.stringify(event)}\n`) },
  });
  await database.open();
  if (!database.isUp) process.exitCode = 1;
  await database.close();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await open();
