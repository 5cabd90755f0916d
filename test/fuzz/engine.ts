import { readdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { ProtocolError } from "../../src/protocol/error.ts";
import { createRandom } from "../support/random.ts";
import { mutate } from "./mutate.ts";

/** What a `*.fuzz.ts` file exports. */
export interface FuzzTarget {
  readonly name: string;
  /** Every error but a ProtocolError is a finding: a crash, or an invariant the target checks itself. */
  readonly fuzz: (input: Uint8Array) => void;
  /** Inputs to start from, mostly valid ones. */
  readonly seeds: readonly Uint8Array[];
  /** Words of the format, inserted here and there. */
  readonly dictionary?: readonly string[];
}

export interface Finding {
  readonly error: Error;
  /** Shortened as far as the error stayed the same. */
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly executions: number;
  /** How many kinds of outcome (success, or an error's code and wording) were seen. */
  readonly outcomes: number;
  readonly slowestMs: number;
  readonly finding: Finding | undefined;
}

export interface FuzzOptions {
  readonly seed: number;
  /** Asked before each execution. */
  readonly goesOn: (executions: number) => boolean;
}

/** A single input of this size that takes longer lets one client stop the server. */
const slowMs = 5_000;
/** Bounds the corpus too, should some target word every error differently. */
const maxOutcomes = 512;
const shrinkAttempts = 2_000;

/** All targets beside this file, sorted by name. Throws for a file that does not keep the convention. */
export async function loadTargets(): Promise<FuzzTarget[]> {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".fuzz.ts"));
  const targets = await Promise.all(
    files.map(async (file) => {
      const target: unknown = await import(pathToFileURL(path.join(import.meta.dirname, file)).href);
      if (!isTarget(target))
        throw new Error(`test/fuzz/${file} must export \`name\`, \`fuzz\` and at least one of \`seeds\``);
      return target;
    }),
  );
  return targets.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Runs the seeds, then mutations of them, until a finding or until `goesOn` says no. An input with a new kind of outcome joins
 * the corpus, so that changes add up. The same seed and number of executions repeat the same inputs.
 */
export function fuzzTarget(target: FuzzTarget, options: FuzzOptions): FuzzReport {
  const random = createRandom(options.seed);
  const corpus = target.seeds.map((seed) => Uint8Array.from(seed));
  const dictionary = (target.dictionary ?? []).map((word) => Buffer.from(word));
  const maxBytes = 2 * Math.max(2048, ...corpus.map((seed) => seed.length));
  const outcomes = new Set<string>();
  let executions = 0;
  let slowestMs = 0;
  while (options.goesOn(executions)) {
    // Half of the time from the seeds: what joined the corpus is mostly invalid.
    const parents = random.chance(50) ? target.seeds : corpus;
    const input = target.seeds[executions] ?? mutate(random, { corpus: parents, dictionary, maxBytes });
    executions++;
    const { outcome, error, tookMs } = execute(target, input);
    slowestMs = Math.max(slowestMs, tookMs);
    if (error !== undefined) {
      const finding = { error, input: tookMs > slowMs ? input : shrink(target, input, outcome) };
      return { executions, outcomes: outcomes.size, slowestMs, finding };
    }
    if (outcomes.has(outcome) || outcomes.size === maxOutcomes) continue;
    outcomes.add(outcome);
    corpus.push(Uint8Array.from(input));
  }
  return { executions, outcomes: outcomes.size, slowestMs, finding: undefined };
}

interface Execution {
  readonly outcome: string;
  readonly error: Error | undefined;
  readonly tookMs: number;
}

export function execute(target: FuzzTarget, input: Uint8Array): Execution {
  const startedAt = performance.now();
  let outcome = "ok";
  let finding: Error | undefined;
  try {
    // A copy: the target may keep or change what it is given.
    target.fuzz(Uint8Array.from(input));
  } catch (error) {
    const thrown = error instanceof Error ? error : new Error(`thrown: ${String(error)}`);
    outcome = `${error instanceof ProtocolError ? error.code : thrown.name} ${wording(thrown.message)}`;
    if (!(error instanceof ProtocolError)) finding = thrown;
  }
  const tookMs = performance.now() - startedAt;
  if (finding === undefined && tookMs > slowMs) finding = new Error(`took ${Math.round(tookMs)} ms`);
  return { outcome, error: finding, tookMs };
}

/** The last plain words of a message, which give the reason: what stands between them, or in quotes, are values. */
function wording(message: string): string {
  const words = message
    .slice(-2000)
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, "…")
    .split(" ")
    .filter((word) => /^[A-Za-z]+[:;,]?$/.test(word));
  return words.slice(-4).join(" ");
}

/** Leaves out parts, ever smaller ones, while the outcome stays the same. */
function shrink(target: FuzzTarget, input: Uint8Array, outcome: string): Uint8Array {
  let shortest = input;
  let attempts = 0;
  for (let size = input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < shortest.length && attempts < shrinkAttempts; attempts++) {
      const shorter = Buffer.concat([shortest.subarray(0, at), shortest.subarray(at + size)]);
      const { outcome: same, error } = execute(target, shorter);
      if (error !== undefined && same === outcome) shortest = shorter;
      else at += size;
    }
  }
  return Uint8Array.from(shortest);
}

function isTarget(value: unknown): value is FuzzTarget {
  if (typeof value !== "object" || value === null) return false;
  if (!("name" in value && "fuzz" in value && "seeds" in value)) return false;
  const { name, fuzz, seeds } = value;
  const hasSeeds = Array.isArray(seeds) && seeds.length > 0 && seeds.every((seed) => seed instanceof Uint8Array);
  return typeof name === "string" && typeof fuzz === "function" && hasSeeds;
}
