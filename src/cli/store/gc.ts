import { composeWhyKept } from "../../compose-upkeep.ts";
import { type UpkeepTools, withLocalStore } from "../../compose-store-tools.ts";
import type { Config } from "../../config/index.ts";
import { tryParseDuration, tryParseSize } from "../../config/units.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import { collect, type CollectionPlan, planCollection } from "../../storage/gc/collect.ts";
import { findLeftovers, type Leftover, removeLeftovers } from "../../storage/gc/leftovers.ts";
import { quarantineOf } from "../../storage/local-store.ts";
import { startProgress } from "../progress.ts";
import { sizeText } from "../size-text.ts";

export interface GcFlags {
  readonly maxSize?: string | undefined;
  readonly unusedFor?: string | undefined;
  readonly quarantineOlderThan: string;
  readonly includePrivate: boolean;
  readonly yes: boolean;
}

/** As many as fit on a screen. */
const maxShown = 40;

export function collectGarbage(config: Config, flags: GcFlags): Promise<string> {
  const limits = {
    maxBytes: sizeOf(flags.maxSize) ?? (config.store.maxSizeBytes === 0 ? undefined : config.store.maxSizeBytes),
    unusedForMs: durationOf("--unused-for", flags.unusedFor),
    quarantineMs: durationOf("--quarantine-older-than", flags.quarantineOlderThan) ?? 0,
  };
  if (config.sharedBucket !== undefined) throw bucketBehind();
  return withLocalStore(config, printedEvents, (tools) => run(config, { flags, limits, tools }));
}

function bucketBehind(): SluiceError {
  return new SluiceError(
    "config_invalid",
    "with a bucket (bucket.url) the data folder is a cache, which disk_cache_size of [store] keeps small; gc is for a data folder that has everything",
  );
}

interface Run {
  readonly flags: GcFlags;
  readonly limits: {
    readonly maxBytes: number | undefined;
    readonly unusedForMs: number | undefined;
    readonly quarantineMs: number;
  };
  readonly tools: UpkeepTools;
}

async function run(config: Config, { flags, limits, tools: { store, clock } }: Run): Promise<string> {
  const now = clock.now();
  const whyIrreplaceable = composeWhyKept(config);
  const plan = await planCollection(store, {
    maxBytes: limits.maxBytes,
    unusedSince: limits.unusedForMs === undefined ? undefined : now - limits.unusedForMs,
    // What nothing is recorded of could come back as something else.
    whyKept: (version) =>
      flags.includePrivate && !version.facts.includes(undefined) ? undefined : whyIrreplaceable(version),
  });
  const leftovers = await findLeftovers(quarantineOf(config.store.dataDir), now - limits.quarantineMs);
  const lines = [...describePlan(plan, config), ...describeLeftovers(leftovers)];
  if (!flags.yes) return [...lines, ...nextStep(plan, leftovers, limits), ""].join("\n");
  const progress = await startProgress(process.stderr, "files");
  try {
    const gone = await collect(store, plan.collected, (done) => progress.update(done, plan.collected.length));
    await removeLeftovers(leftovers);
    return [...lines, `Removed ${amountOf(gone.files, gone.bytes)}.`, ""].join("\n");
  } finally {
    progress.stop();
  }
}

const printedEvents: Events = {
  emit(event) {
    if (event.type === "store_failed") process.stderr.write(`sluice: ${event.error.message}\n`);
  },
};

function describePlan({ files, bytes, collected, collectedBytes, kept }: CollectionPlan, config: Config): string[] {
  const shown = collected
    .slice(0, maxShown)
    .map(({ key, size, usedAt }) => `  ${day(usedAt)}  ${key}  ${sizeText(size)}`);
  return [
    `${config.store.dataDir} has ${amountOf(files, bytes)}.`,
    ...[...kept].map(([why, count]) => `  ${amountOf(count.files, count.bytes)} stay: ${explanations[why] ?? why}`),
    `To go: ${amountOf(collected.length, collectedBytes)}${collected.length === 0 ? "." : ", those unused for longest first:"}`,
    ...shown,
    ...(collected.length > shown.length ? [`  and ${collected.length - shown.length} more`] : []),
  ];
}

const explanations: Readonly<Record<string, string>> = {
  private: "their modules are private (--include-private lets them go)",
  "no upstream": "the chain has no upstream to fetch them from again (--include-private lets them go)",
  "nothing recorded": "nothing is recorded of them; `sluice scrub` finds it out",
  "from its repository":
    "they came straight from their repositories, where tags can move (--include-private lets them go)",
  "not confirmed":
    "they were found or copied, and no checksum database has confirmed them (--include-private lets them go)",
};

function describeLeftovers(leftovers: readonly Leftover[]): string[] {
  if (leftovers.length === 0) return [];
  const bytes = leftovers.reduce((sum, leftover) => sum + leftover.bytes, 0);
  return [`And ${leftovers.length} that were set aside as broken (${sizeText(bytes)}).`];
}

function nextStep(
  plan: CollectionPlan,
  leftovers: readonly Leftover[],
  { maxBytes, unusedForMs }: Run["limits"],
): string[] {
  if (plan.collected.length + leftovers.length > 0) return ["Nothing was removed. With --yes it is."];
  if (maxBytes === undefined && unusedForMs === undefined)
    return ["Say what may go: --max-size 50GiB, --unused-for 180d"];
  return [];
}

function amountOf(files: number, bytes: number): string {
  return `${files} files (${sizeText(bytes)})`;
}

function day(ms: number): string {
  return ms === 0 ? "never used" : new Date(ms).toISOString().slice(0, 10);
}

function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = tryParseSize(text);
  if (bytes !== undefined) return bytes;
  throw new SluiceError(
    "config_invalid",
    `--max-size ${JSON.stringify(text)} is no size; write 512MiB, 50GiB or 1.5TiB`,
  );
}

function durationOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = tryParseDuration(text);
  if (ms !== undefined) return ms;
  throw new SluiceError("config_invalid", `${flag} ${JSON.stringify(text)} is no duration; write 12h, 30d or 180d`);
}
