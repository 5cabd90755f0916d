import { withHeal, withLocalStore } from "../../compose-store-tools.ts";
import type { Config } from "../../config/index.ts";
import type { Events } from "../../core/ports.ts";
import type { FileRequest } from "../../protocol/goproxy/index.ts";
import { type BrokenStoredFile, scrubStore, type ScrubReport } from "../../storage/scrub/scrub.ts";
import { startProgress } from "../progress.ts";
import { sizeText } from "../size-text.ts";
import { firstOf, type Outcome, parseJobs } from "./outcome.ts";

export interface ScrubFlags {
  readonly fix: boolean;
  readonly dryRun: boolean;
  readonly pattern?: string | undefined;
  readonly jobs: string;
}

export function scrub(config: Config, flags: ScrubFlags): Promise<Outcome> {
  const concurrency = parseJobs(flags.jobs);
  return withLocalStore(config, printedEvents, async ({ store, verifier }) => {
    const run = async (heal?: (request: FileRequest) => Promise<void>): Promise<Outcome> => {
      const progress = await startProgress(process.stderr, "files");
      let report: ScrubReport;
      try {
        report = await scrubStore({
          store,
          verifier,
          events: printedEvents,
          concurrency,
          patterns: flags.pattern ?? "",
          dryRun: flags.dryRun,
          heal,
          onProgress: (done, total) => progress.update(done, total),
        });
      } finally {
        progress.stop();
      }
      return describe(report, config.store.dataDir);
    };
    return flags.fix && !flags.dryRun ? withHeal(config, store, run) : run();
  });
}

/** Broken files are part of the report. */
const printedEvents: Events = {
  emit(event) {
    if (event.type === "store_failed") process.stderr.write(`sluice: ${event.error.message}\n`);
  },
};

function describe({ files, bytes, broken }: ScrubReport, dataDir: string): Outcome {
  const amount = `${files} files (${sizeText(bytes)})`;
  const text =
    broken.length === 0
      ? `Read ${amount} in ${dataDir}: all of them are what they were.\n`
      : `Read ${amount} in ${dataDir}: ${broken.length} of them ${broken.length === 1 ? "is" : "are"} broken.\n`;
  return {
    text,
    problems: firstOf(broken.map(({ key, reason, outcome }) => `${key}: ${reason}; ${treatment(outcome)}`)),
  };
}

function treatment(outcome: BrokenStoredFile["outcome"]): string {
  if (outcome.kind === "left") return "left where it is";
  if (outcome.kind === "set aside") return "set aside, and fetched again when somebody asks for it";
  if (outcome.kind === "healed") return "set aside, and fetched again: it is good now";
  return `set aside, and cannot be fetched again now: ${outcome.reason}`;
}
