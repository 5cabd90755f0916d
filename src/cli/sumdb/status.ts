import { openSumStore, unverifiedOf } from "../../compose-tools.ts";
import type { Config } from "../../config/index.ts";
import type { ForkEvidence, SumStore, SumStoreOverview, UnverifiedFile } from "../../core/ports.ts";
import { countOf } from "../../sumdb/audit/finding.ts";
import { keyName } from "../../sumdb/audit/signed-tree.ts";
import { databasesOf } from "./databases.ts";

/** As many as fit on a screen or two. */
const maxFiles = 50;

/** What the data folder says of checksum databases, beside a Sluice that may run. Nothing is written. */
export async function sumdbStatus(config: Config): Promise<string> {
  const store = await openSumStore(config, { readOnly: true });
  try {
    const overview = (await store?.overview()) ?? { followed: [], own: [] };
    const sections = [
      section("Databases that are followed", overview.followed.map(formatFollowed)),
      section("Our own log", await ownLines(overview.own, config)),
      section("Forks", await forkLines(store, overview)),
      section("Files that no database has confirmed", unverifiedLines(config)),
    ];
    return `${config.store.dataDir}\n\n${sections.join("\n")}`;
  } finally {
    await store?.close();
  }
}

function section(title: string, lines: readonly string[]): string {
  const shown = lines.length === 0 ? ["none"] : lines;
  return `${title}\n${shown.map((line) => `  ${line}`.trimEnd()).join("\n")}\n`;
}

function formatFollowed({ database, size, keptAt }: SumStoreOverview["followed"][number]): string {
  return `${database}: ${countOf(size, "record")}, seen ${formatTime(keptAt)}`;
}

async function ownLines(logs: SumStoreOverview["own"], config: Config): Promise<string[]> {
  const { ownKeys } = await databasesOf(config);
  const name = ownKeys[0]?.name;
  const keys = `signed with ${ownKeys.map(keyName).join(" and ")}`;
  const lines = logs.map(({ log, size }) =>
    log === name
      ? `${log}: ${countOf(size, "record")}, ${keys}`
      : `${log}: ${countOf(size, "record")}, and no key for it in the configuration`,
  );
  if (name === undefined || logs.some(({ log }) => log === name)) return lines;
  return [...lines, `${name}: nothing yet, ${keys}`];
}

async function forkLines(store: SumStore | undefined, { followed }: SumStoreOverview): Promise<string[]> {
  const lines: string[] = [];
  for (const { database } of followed) {
    const forks = (await store?.forks(database)) ?? [];
    lines.push(...forks.flatMap((fork) => formatFork(database, fork)));
  }
  return lines;
}

/** Both notes, whole: they are the proof. */
function formatFork(database: string, { ours, theirs, seenAt }: ForkEvidence): string[] {
  return [
    `${database} has shown two histories, seen ${formatTime(seenAt)}; nothing is verified with it`,
    "what it signed first:",
    ...indented(ours),
    "what it signed later, which does not continue that:",
    ...indented(theirs),
    "Tell its operators, and compare with others who follow it. When it is settled which one holds:",
    `sluice sumdb forget-tree ${database}`,
  ];
}

function indented(note: Uint8Array): string[] {
  const lines = Buffer.from(note).toString().trimEnd().split("\n");
  return lines.map((line) => (line === "" ? "" : `  ${line}`));
}

function unverifiedLines(config: Config): string[] {
  const { files, count } = unverifiedOf(config, maxFiles);
  const lines = files.map(formatUnverified);
  if (count > files.length) lines.push(`and ${count - files.length} more`);
  return lines;
}

function formatUnverified({ key, reason, since }: UnverifiedFile): string {
  return `${key}, since ${formatTime(since)}: ${reason}`;
}

function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
