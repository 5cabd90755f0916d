import { withLogReader } from "../../compose-tools.ts";
import type { Config } from "../../config/index.ts";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { SignedTree } from "../../core/ports.ts";
import { type AuditReport, auditLog } from "../../sumdb/audit/audit.ts";
import { base64, countOf, type Finding } from "../../sumdb/audit/finding.ts";
import { signersOf } from "../../sumdb/audit/signed-tree.ts";
import { type Database, findDatabase } from "./databases.ts";
import { startProgress } from "../progress.ts";
import { readState, writeState } from "./state-file.ts";
import { addressOf } from "./address.ts";

export interface VerifyOptions {
  readonly key?: string | undefined;
  /** A file with the tree of the last audit, replaced by that of this one. */
  readonly state?: string | undefined;
  /** A number, or `all`. */
  readonly lookups: string;
}

/** Audits a log from outside. Fails with `integrity` and both values of whatever contradicts itself. */
export async function verifySumdb(word: string, config: Config, options: VerifyOptions): Promise<string> {
  const lookups = parseCount(options.lookups);
  const database = await findDatabase(word, config, options.key);
  const { state } = options;
  const previous = state === undefined ? undefined : await readState(state, database.verifiers);
  const progress = await startProgress(process.stderr, "records");
  let report: AuditReport;
  try {
    report = await withLogReader(database.url, (log) =>
      auditLog({
        log,
        verifiers: database.verifiers,
        previous,
        lookups,
        onProgress: ({ records, size }) => progress.update(records, size),
      }),
    );
  } catch (error) {
    throw isSluiceError(error, "not_found") ? noLog(database, error) : error;
  } finally {
    progress.stop();
  }
  if (report.findingCount > 0) throw notWhatItSays(database, report, previous);
  if (state !== undefined) await writeState(state, report.tree);
  return describe(database, report, { previous, state });
}

function noLog({ url }: Database, cause: SluiceError): SluiceError {
  return new SluiceError(
    "not_found",
    `${addressOf(url)} is not the address of a log: ${cause.message}; that of a log behind a Sluice ends in /sumdb/<name>`,
    { cause },
  );
}

function parseCount(text: string): number {
  if (text === "all") return Number.POSITIVE_INFINITY;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new SluiceError("config_invalid", `--lookups ${JSON.stringify(text)} is no number; write how many, or all`);
}

function describe(
  { name, url }: Database,
  { tree, tiles, lookups }: AuditReport,
  { previous, state }: { readonly previous: SignedTree | undefined; readonly state: string | undefined },
): string {
  return `${name} at ${addressOf(url)} is what it says.

  tree     ${countOf(tree.size, "record")}, ${signersOf(tree)}
  hash     ${base64(tree.hash)}
  tiles    ${tiles}, every record and every hash computed again
  lookups  ${lookups === tree.size ? `${lookups}, every record` : `${countOf(lookups, "record")} drawn at random`}
  history  ${historyOf(previous, state)}
`;
}

function historyOf(previous: SignedTree | undefined, state: string | undefined): string {
  if (state === undefined) return "not compared; --state <file> remembers the tree for the next audit";
  if (previous === undefined) return `begins with this audit, remembered in ${state}`;
  return `continues the ${countOf(previous.size, "record")} of the last audit in ${state}`;
}

function notWhatItSays(
  { name, url }: Database,
  { tree, findings, findingCount }: AuditReport,
  previous: SignedTree | undefined,
): SluiceError {
  const more = findingCount - findings.length;
  const lines = [
    `${name} at ${addressOf(url)} is not what it says: ${countOf(findingCount, "contradiction")}`,
    ...findings.flatMap(formatFinding),
    ...(more > 0 ? [`and ${more} more`] : []),
    ...formatNote("the signed tree that was audited", tree.note),
    ...(previous === undefined
      ? []
      : formatNote("the signed tree of the last audit, which stays remembered", previous.note)),
  ];
  return new SluiceError("integrity", lines.join("\n"));
}

function formatFinding({ place, values }: Finding): string[] {
  const width = Math.max(...values.map(([label]) => label.length)) + 1;
  return [
    place,
    ...values.flatMap(([label, value]) => {
      const [first = "", ...rest] = value.split("\n");
      return [`  ${`${label}:`.padEnd(width)} ${first}`, ...rest.map((line) => `  ${" ".repeat(width)} ${line}`)];
    }),
  ];
}

function formatNote(title: string, note: Uint8Array): string[] {
  return [
    `${title}:`,
    ...Buffer.from(note)
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => `  ${line}`),
  ];
}
