import { withCopySides, withSums } from "../../compose-store-tools.ts";
import type { Config } from "../../config/index.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { SumVerifier } from "../../core/ports.ts";
import { copyModules, type CopyReport } from "../../storage/copy/copy.ts";
import { startProgress } from "../progress.ts";
import { sizeText } from "../size-text.ts";
import { type BucketFlags, parseLocation } from "./location.ts";
import { firstOf, type Outcome, parseJobs } from "./outcome.ts";

export interface CopyFlags extends BucketFlags {
  readonly pattern?: string | undefined;
  readonly jobs: string;
  readonly dryRun: boolean;
  readonly verifySums: boolean;
}

export async function copyStore(fromText: string, toText: string, config: Config, flags: CopyFlags): Promise<Outcome> {
  const sides = { from: parseLocation(fromText, flags), to: parseLocation(toText, flags), config };
  const concurrency = parseJobs(flags.jobs);
  const copy = (sums?: SumVerifier): Promise<Outcome> =>
    withCopySides(sides, printedEvents, async ({ from, to, verifier }) => {
      const progress = await startProgress(process.stderr, "versions");
      let report: CopyReport;
      try {
        report = await copyModules({
          from,
          to,
          verifier,
          sums,
          concurrency,
          context: { signal: new AbortController().signal, client: "store copy" },
          patterns: flags.pattern ?? "",
          dryRun: flags.dryRun,
          onProgress: (done, total) => progress.update(done, total),
        });
      } finally {
        progress.stop();
      }
      if (report.versions === 0) throw nothingThere(from.name, flags.pattern);
      return describe(report, { from: from.name, to: to.name, dryRun: flags.dryRun });
    });
  return flags.verifySums ? withSums(config, copy) : copy();
}

/** What the target's store finds out about itself. */
const printedEvents: Events = {
  emit(event) {
    if (event.type === "file_corrupt")
      process.stderr.write(`sluice: at the target, ${event.key} was broken: ${event.reason}\n`);
    else if (event.type === "store_failed") process.stderr.write(`sluice: ${event.error.message}\n`);
  },
};

function nothingThere(name: string, pattern: string | undefined): SluiceError {
  const what =
    pattern === undefined ? "no module versions" : `no versions of modules that ${JSON.stringify(pattern)} matches`;
  return new SluiceError(
    "not_found",
    `there are ${what} in ${name}; it should be a data folder of Sluice, a module cache, a bucket, or a store of Athens`,
  );
}

function describe(
  { versions, copied, there, records, unverified, problems }: CopyReport,
  { from, to, dryRun }: { readonly from: string; readonly to: string; readonly dryRun: boolean },
): Outcome {
  const count = (kind: string): number => problems.filter((problem) => problem.kind === kind).length;
  const rows: readonly (readonly [label: string, value: number, note: string])[] = [
    ["there already", there, ""],
    [
      "unverified",
      unverified,
      "files that no checksum database has confirmed; the Sluice that gets them compares them",
    ],
    ["broken", count("broken"), "not copied"],
    ["conflicts", count("conflict"), "the target has other content, which stays"],
    ["unreadable", count("unreadable"), "not copied; begin the copy again to try them again"],
  ];
  const shown = rows.filter(([, value]) => value > 0);
  const width = Math.max(0, ...shown.map(([, value]) => String(value).length));
  const lines = shown.map(([label, value, note]) =>
    `  ${label.padEnd(13)}  ${String(value).padStart(width)}  ${note}`.trimEnd(),
  );
  const amount = `${copied.versions} of ${versions} versions (${copied.files} files, ${sizeText(copied.bytes)})`;
  const lists = records === 0 ? "" : ` and ${records} lists and other answers`;
  return {
    text: [`${dryRun ? "Would copy" : "Copied"} ${amount}${lists} from ${from} to ${to}.`, ...lines, ""].join("\n"),
    problems: firstOf(problems.map(({ kind, key, reason }) => `${kind}: ${key}: ${reason}`)),
  };
}
