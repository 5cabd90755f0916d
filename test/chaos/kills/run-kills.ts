import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createRandom } from "../../support/random.ts";
import { startGeneratedUpstream } from "../generated-upstream.ts";
import { fullProblems, problemsWithoutDisk } from "./full-check.ts";
import { type KillMode, killModes } from "./modes.ts";
import { type KillFigures, Rig } from "./rig.ts";

export interface KillsOptions {
  readonly count: number;
  readonly seed: number;
  /** How many of so many kills each gets. */
  readonly modes: Readonly<Partial<Record<KillMode, number>>>;
  /** Everything is looked at after so many kills of a mode, and at the end. */
  readonly fullCheckEvery: number;
  /** `performance.now()` when no further kill begins. */
  readonly endsAt?: number;
  readonly log?: (line: string) => void;
  /** Kills go on until this is so of each mode, for up to five times `count`: they may all come between two writes. Default: it is. */
  readonly isEnough?: (figures: KillFigures) => boolean;
}

export interface ModeReport extends KillFigures {
  readonly mode: KillMode;
  readonly warnings: ReadonlyMap<string, number>;
}

export interface KillsReport {
  readonly modes: readonly ModeReport[];
  readonly minutes: number;
  /** Empty is a good run. */
  readonly problems: readonly string[];
}

/** Then something is so wrong that no more is learned. */
const maxProblems = 100;

/** `kill -9` in the middle of ingest, again and again on the same data folders. When and how is chosen by the seed; what is under way at that moment is up to the machine. */
export async function runKills(options: KillsOptions): Promise<KillsReport> {
  const {
    count,
    seed,
    modes,
    fullCheckEvery,
    endsAt = Infinity,
    log = () => undefined,
    isEnough = () => true,
  } = options;
  const startedAt = performance.now();
  const samples = createRandom(seed);
  const problems: string[] = [];
  const report = (problem: string): void => {
    problems.push(problem);
    log(`PROBLEM ${problem}`);
  };
  await using started = new AsyncDisposableStack();
  const codeCache = await mkdtemp(path.join(tmpdir(), "sluice-kills-code-"));
  started.defer(() => rm(codeCache, { recursive: true, force: true }));
  const upstream = started.use(await startGeneratedUpstream(createRandom(seed + 1)));
  const rigs: { readonly rig: Rig; readonly share: number; readonly proven: Set<string> }[] = [];
  for (const [index, mode] of killModes.entries()) {
    const share = modes[mode] ?? 0;
    if (share === 0) continue;
    const random = createRandom(seed * 10 + index);
    const rig = await Rig.create({ mode, upstream, random, codeCache, report });
    started.defer(() => rig.remove());
    // What V8 made of the code is written when a process ends by itself, which those of the rounds never do.
    await rig.start();
    await rig.stop();
    rigs.push({ rig, share, proven: new Set() });
  }
  const shares = rigs.flatMap(({ share }, index) => Array.from({ length: share }, () => index));
  const hasNext = (kills: number): boolean =>
    kills < count || (kills < 5 * count && rigs.some(({ rig }) => !isEnough(rig.figures)));
  for (let kill = 0; hasNext(kill) && performance.now() < endsAt && problems.length < maxProblems; kill++) {
    const next = rigs[shares[kill % shares.length] ?? 0];
    if (next === undefined) throw new Error("there is no mode to kill in");
    const { rig, proven } = next;
    await rig.killOnce();
    if (rig.figures.kills % fullCheckEvery === 0) {
      for (const problem of await fullProblems(rig, samples, proven)) report(`${rig.mode}: ${problem}`);
    }
    if ((kill + 1) % 10 === 0) log(progress(kill + 1, rigs, startedAt));
  }
  for (const { rig } of rigs) {
    for (const problem of await fullProblems(rig, samples, new Set())) report(`${rig.mode}, at the end: ${problem}`);
    for (const problem of await problemsWithoutDisk(rig, samples)) report(`${rig.mode}, at the end: ${problem}`);
  }
  return {
    modes: rigs.map(({ rig }) => ({ mode: rig.mode, warnings: rig.warnings, ...rig.figures })),
    minutes: (performance.now() - startedAt) / 60_000,
    problems,
  };
}

function progress(kills: number, rigs: readonly { readonly rig: Rig }[], startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const acknowledged = rigs.reduce((sum, { rig }) => sum + rig.figures.acknowledged, 0);
  return `${kills} kills, ${(seconds / kills).toFixed(1)} s each; ${acknowledged} files acknowledged`;
}
