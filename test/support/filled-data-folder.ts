import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { openSqliteLedger, type OpenedSqliteLedger } from "../../src/storage/ledger/sqlite.ts";
import { sha256 } from "../suites/module-store.ts";
import { writeLayout } from "./fixture-places.ts";
import { recordEvents } from "./recorded-events.ts";

export interface Recorded {
  /** Who sent the files. */
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly firstSeenAt?: number;
}

/** Modules in a data folder, with everything recorded that a Sluice records which has fetched them. */
export async function fillDataFolder(
  dataDir: string,
  files: ReadonlyMap<string, Uint8Array>,
  { source, firstSeenAt = 1 }: Recorded,
): Promise<void> {
  await writeLayout(path.join(dataDir, "modules"), files);
  const ledger = await openLedgerOf(dataDir);
  for (const [key, bytes] of files) {
    const h1 = h1Of(key, bytes);
    if (h1 === undefined && !isVersionFile(key)) continue;
    await ledger.addFacts({ key, size: bytes.length, sha256: sha256(bytes), h1, source, firstSeenAt });
    if (key.endsWith(".zip")) await writeFile(path.join(dataDir, "modules", `${key}hash`), h1 ?? "");
  }
  await ledger.close();
}

/** The caller's to close. */
export function openLedgerOf(dataDir: string): Promise<OpenedSqliteLedger> {
  return openSqliteLedger({ file: path.join(dataDir, "ledger.db"), clock: systemClock, events: recordEvents() });
}

/** As a disk does that rots: the file looks the same from outside. */
export async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

/** Of versions, not of branches. */
export function isVersionFile(key: string): boolean {
  return ["info", "mod", "zip"].includes(kindOf(key) ?? "");
}

function kindOf(key: string): string | undefined {
  const request = parseRequest(`/${key}`);
  return request.kind;
}

function h1Of(key: string, bytes: Uint8Array) {
  const request = parseRequest(`/${key}`);
  if (request.kind === "mod") return hashGoMod(bytes);
  return request.kind === "zip" ? hashZip(randomAccess(bytes), request) : undefined;
}
