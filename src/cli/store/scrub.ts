import { type UpkeepTools, withBucket, withHeal, withLocalStore } from "../../compose-store-tools.ts";
import type { Config } from "../../config/index.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { FileRequest } from "../../protocol/goproxy/index.ts";
import { refill } from "../../storage/scrub/bucket-scrub.ts";
import { type BrokenStoredFile, scrubStore, type ScrubReport } from "../../storage/scrub/scrub.ts";
import { startProgress } from "../progress.ts";
import { sizeText } from "../size-text.ts";
import { firstOf, type Outcome, parseJobs } from "./outcome.ts";

export interface ScrubFlags {
  readonly fix: boolean;
  readonly dryRun: boolean;
  readonly inBucket: boolean;
  readonly pattern?: string | undefined;
  readonly jobs: string;
}

type Heal = (request: FileRequest) => Promise<void>;

export function scrub(config: Config, flags: ScrubFlags): Promise<Outcome> {
  return withLocalStore(config, printedEvents, (tools) => {
    const { store: local } = tools;
    const isFixing = flags.fix && !flags.dryRun;
    if (!flags.inBucket) {
      const run = (heal?: Heal): Promise<Outcome> => scrubOnce(flags, { ...tools, heal }, config.store.dataDir);
      return isFixing ? withHeal(config, local, run) : run();
    }
    return withBucket(config, { local, events: printedEvents }, (bucket) => {
      const run = (heal?: Heal): Promise<Outcome> =>
        scrubOnce(flags, { ...tools, store: bucket, heal }, bucket.blobs.name);
      if (!isFixing) return run();
      return withHeal(config, local, (fetchAgain) => run(healBucket(fetchAgain, { ...tools, local, bucket })));
    });
  });
}

/** From the data folder, else from the sources by way of the data folder. */
function healBucket(fetchAgain: Heal, parts: Parameters<typeof refill>[1]): Heal {
  return async (request) => {
    if (await refill(request, parts)) return;
    await fetchAgain(request);
    if (await refill(request, parts)) return;
    throw new SluiceError("storage_failed", "it was fetched again, and the data folder did not keep it");
  };
}

async function scrubOnce(
  flags: ScrubFlags,
  { store, verifier, heal }: Pick<UpkeepTools, "store" | "verifier"> & { readonly heal: Heal | undefined },
  place: string,
): Promise<Outcome> {
  const concurrency = parseJobs(flags.jobs);
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
  return describe(report, place);
}

/** Broken files are part of the report. */
const printedEvents: Events = {
  emit(event) {
    if (event.type === "store_failed") process.stderr.write(`sluice: ${event.error.message}\n`);
  },
};

function describe({ files, bytes, broken }: ScrubReport, place: string): Outcome {
  const amount = `${files} files (${sizeText(bytes)})`;
  const text =
    broken.length === 0
      ? `Read ${amount} in ${place}: all of them are what they were.\n`
      : `Read ${amount} in ${place}: ${broken.length} of them ${broken.length === 1 ? "is" : "are"} broken.\n`;
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
