import { mkdir } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { systemClock } from "../../src/core/clock.ts";
import type { Events } from "../../src/core/events.ts";
import type { FileFacts } from "../../src/core/ports.ts";
import { Secret } from "../../src/core/secret.ts";
import { PostgresLedger } from "../../src/storage/ledger/postgres.ts";
import { openSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { openTieredLedger, type TieredLedger } from "../../src/storage/ledger/tiered.ts";
import { WriteQueue } from "../../src/storage/ledger/write-queue.ts";
import { PostgresDatabase } from "../../src/storage/postgres/database.ts";
import { factsOf } from "../suites/ledger.ts";

// The ledger of one node in front of a shared one. As a program: a node that adds facts until it is killed, and says a line for each.

export const nodeLedgerProgram = import.meta.filename;

export interface NodeLedgerOptions {
  /** Of the node: made when it is missing. */
  readonly folder: string;
  readonly url: string;
  readonly events: Events;
  readonly timeoutMs?: number;
  readonly onConflict?: (ours: FileFacts, settle: () => Promise<void>) => Promise<void>;
}

export interface NodeLedger {
  readonly ledger: TieredLedger;
  readonly database: PostgresDatabase;
  readonly queue: WriteQueue;
}

export async function openNodeLedger(options: NodeLedgerOptions): Promise<NodeLedger> {
  const { folder, url, events, timeoutMs = 5000, onConflict = (_ours, settle) => settle() } = options;
  await mkdir(folder, { recursive: true });
  const common = { clock: systemClock, events };
  const database = new PostgresDatabase({
    name: "postgres://127.0.0.1/sluice",
    url: new Secret(url),
    authorities: [],
    connections: 4,
    timeoutMs,
    ...common,
  });
  await database.open();
  const local = await openSqliteLedger({ file: path.join(folder, "ledger.db"), ...common });
  const shared = new PostgresLedger({ database, ...common });
  const queue = new WriteQueue(path.join(folder, "ledger-queue.db"), systemClock.now());
  const ledger = await openTieredLedger({ local, shared, database, queue, timeoutMs, onConflict, ...common });
  return { ledger, database, queue };
}

/** The facts that the program adds n-th. */
export function addedFacts(n: number): FileFacts {
  return factsOf(`example.com/m${n}/@v/v1.0.0.zip`);
}

async function add([folder = "", url = ""]: readonly string[]): Promise<void> {
  const { ledger } = await openNodeLedger({ folder, url, events: { emit: () => undefined } });
  for (let n = 0; ; n++) {
    await ledger.addFacts(addedFacts(n));
    process.stdout.write(`${n}\n`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await add(process.argv.slice(2));
