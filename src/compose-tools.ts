import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { SumStore } from "./core/ports.ts";
import { createEgress } from "./net/egress.ts";
import type { HttpClient } from "./net/http.ts";
import { createHttpClient } from "./net/http-client.ts";
import { loadTrust } from "./net/trust.ts";
import { readUnverified } from "./storage/ledger/unverified.ts";
import { openSqliteSumStore } from "./storage/sum-store/sqlite.ts";
import { createLogReader, type LogReader } from "./sumdb/audit/log-reader.ts";
import manifest from "../package.json" with { type: "json" };

/** Reads a checksum database from its address, with the forward proxies and authorities of the environment. */
export async function withLogReader<T>(url: URL, work: (log: LogReader) => Promise<T>): Promise<T> {
  return withHttpClient((http) =>
    work(createLogReader({ url, http, clock: systemClock, signal: new AbortController().signal })),
  );
}

/** Asks others, with the forward proxies and authorities of the environment. */
export async function withHttpClient<T>(work: (http: HttpClient) => Promise<T>): Promise<T> {
  const http = createHttpClient({
    ca: loadTrust({ env: process.env }).certificates,
    egress: createEgress(process.env),
    userAgent: `Sluice/${manifest.version}`,
    instanceId: randomBytes(6).toString("hex"),
  });
  try {
    return await work(http);
  } finally {
    await http.close();
  }
}

/** Opens what a data folder keeps of checksum databases, beside a Sluice that may run; undefined when there is nothing yet. */
export async function openSumStore(
  { store: { dataDir } }: Config,
  { readOnly }: { readonly readOnly: boolean },
): Promise<SumStore | undefined> {
  const file = join(dataDir, "sumdb.db");
  return existsSync(file) ? openSqliteSumStore({ file, clock: systemClock, readOnly }) : undefined;
}

/** What of a data folder's files no checksum database has confirmed. */
export function unverifiedOf({ store: { dataDir } }: Config, limit: number): ReturnType<typeof readUnverified> {
  const file = join(dataDir, "ledger.db");
  return existsSync(file) ? readUnverified(file, limit) : { files: [], count: 0 };
}
