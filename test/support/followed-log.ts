import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";
import { type Database, type FollowedLog, openFollowedLog, type OpenOptions } from "./open-log.ts";
import { startSumLog, type SumLog, type SumLogOptions } from "./sum-log.ts";

export { asker, moduleVersion } from "./open-log.ts";

export interface FollowOptions extends Omit<OpenOptions, "folder"> {
  /** Of one that was closed, or runs: to follow the same log with what it left. Default: a new one. */
  readonly folder?: string;
}

/** As `openFollowedLog`. Closed when the test ends. */
export async function followLog(database: Database, options: FollowOptions = {}): Promise<FollowedLog> {
  const folder = options.folder ?? (await temporaryFolder());
  const followed = await openFollowedLog(database, { ...options, folder });
  onTestFinished(() => followed.close());
  return followed;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-sumdb-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A log of one test, closed when it ends. */
export async function testLog(options: SumLogOptions = {}): Promise<SumLog> {
  const log = await startSumLog(options);
  onTestFinished(() => log.close());
  return log;
}

/** What it was asked since it was forgotten, in order. */
export function pathsOf(log: SumLog): string[] {
  return log.requests.map(({ path: asked }) => asked);
}
