import { setTimeout as delay } from "node:timers/promises";
import { createRandom, type Random } from "../support/random.ts";
import { lacksMount } from "../support/small-disk.ts";
import type { SluiceNode } from "../support/sluice-node.ts";
import { lacksSteppedClock } from "../support/stepped-clock.ts";
import { isDuring, leakedNames, unexcused, type Window, wrongFiles } from "./checks.ts";
import { Clients } from "./clients.ts";
import { type Fault, faultsOf, hurtsChecksums, isLie } from "./faults.ts";
import type { ModuleWorld } from "./modules.ts";
import { type Site, type SiteTraits, startSite, topologies, type Topology } from "./site.ts";

export interface SeedReport {
  readonly seed: number;
  readonly topology: Topology;
  readonly traits: SiteTraits;
  readonly faults: readonly string[];
  /** Downloads of one module, those of them that were under way during a fault, and those that failed and may. */
  readonly downloads: number;
  readonly duringFaults: number;
  readonly excused: number;
  readonly statuses: ReadonlyMap<string, number>;
  readonly maxRssMegabytes: number;
  readonly recoveredMs: number;
  readonly tookMs: number;
  /** Empty is a good run. */
  readonly problems: readonly string[];
  /** What each node wrote. */
  readonly outputs: readonly string[];
}

export interface SeedOptions {
  readonly seed: number;
  readonly world: ModuleWorld;
  /** Default 4. */
  readonly faultCount?: number;
  /** Default: by the seed. */
  readonly topology?: Topology | undefined;
}

/** Memory tier 48 MiB, Node with its code and heap about 150 MiB, buffers of transfers; each further process its heap and buffers. */
const rssLimitMegabytes = { one: 450, workers: 800, pair: 500, nginx: 500 } as const;
/** For everything to be well again: connections are tried again after seconds, an upstream's breaker closes within 10 s. */
const recoveryMs = 60_000;
/** A checksum database that did not answer is asked again after a rest, which is not longer than this after so short a fault. */
const checksumsRestMs = 4500;

/** One run: everything in it that is chosen is chosen by the seed. */
export async function runSeed({ seed, world, faultCount = 4, ...options }: SeedOptions): Promise<SeedReport> {
  const startedAt = performance.now();
  const random = createRandom(seed);
  const drawn = random.pick(topologies);
  const topology = options.topology ?? drawn;
  const traits: SiteTraits = {
    hasSmallDisk: random.chance(40) && !lacksMount(),
    hasSteppedClock: random.chance(40) && !lacksSteppedClock(),
    verify: random.pick(["when-reachable", "required"]),
  };
  await using site = await startSite({ topology, traits, seed, world });
  const clients = new Clients(site.chain, world, createRandom(seed + 1_000_000));
  const problems: string[] = [];
  const before = await clients.download(world.known);
  problems.push(...unexcused(before, [], world));
  problems.push(...(await problemsUntilWell(site)).problems);

  using memory = watchMemory(site);
  const windows: Window[] = [];
  clients.start(2);
  try {
    for (const fault of drawFaults(site, random, faultCount)) {
      if (problems.length > 0) break;
      const { window, problem } = await suffer(site, fault, random);
      windows.push(window);
      if (problem !== undefined) problems.push(problem);
    }
  } finally {
    await clients.end();
  }
  const recovery = await problemsUntilWell(site);
  problems.push(...recovery.problems, ...unexcused(clients.attempts, windows, world));
  const maxRssMegabytes = memory.maxMegabytes();
  if (maxRssMegabytes > rssLimitMegabytes[topology]) problems.push(`a node used ${maxRssMegabytes} MiB of memory`);

  const some = world.cold.filter((_, index) => index % 4 === 0);
  const after = await clients.download([...world.known, ...some]);
  problems.push(...unexcused(after, [], world).map((problem) => `afterwards: ${problem}`));
  if (clients.statuses.has("404")) problems.push(`clients got ${clients.statuses.get("404")} times 404`);
  problems.push(...(await problemsUntilWell(site)).problems);
  problems.push(...(await wrongFiles(site, world)).map((file) => `wrong bytes are stored: ${file}`));
  problems.push(...leakedNames(site));
  return {
    seed,
    topology,
    traits,
    faults: windows.map(({ name }) => name),
    downloads: before.length + clients.attempts.length + after.length,
    duringFaults: clients.attempts.filter((attempt) => windows.some((window) => isDuring(window, attempt))).length,
    excused: clients.attempts.filter(({ problem }) => problem !== undefined).length,
    statuses: clients.statuses,
    maxRssMegabytes,
    recoveredMs: recovery.ms,
    tookMs: Math.round(performance.now() - startedAt),
    problems,
    outputs: site.nodes.map(({ output }) => output),
  };
}

/** Each one but once. */
function* drawFaults(site: Site, random: Random, count: number): Generator<Fault> {
  const choices = [...faultsOf(site, random)];
  let isUncompared = false;
  for (let drawn = 0; drawn < count && choices.length > 0;) {
    const [choose] = choices.splice(random.int(choices.length), 1);
    const fault = choose?.();
    // Without its database a Sluice may, where that is allowed, keep what it could not compare, and does not know yet that it is back.
    if (fault === undefined || (isUncompared && isLie(fault))) continue;
    isUncompared ||= hurtsChecksums(fault) && site.traits.verify === "when-reachable";
    drawn += 1;
    yield fault;
  }
}

async function suffer(
  site: Site,
  fault: Fault,
  random: Random,
): Promise<{ readonly window: Window; readonly problem: string | undefined }> {
  const { name, mayFail } = fault;
  const from = performance.now();
  await inTime(`${name}: to hurt`, fault.hurt());
  await delay(300 + random.int(2500));
  await inTime(`${name}: to heal`, fault.heal());
  // What may fail because of it may do so until the nodes are ready again, and no longer.
  const healedAt = performance.now();
  let problem: string | undefined;
  while (!(await areReady(site)) && problem === undefined) {
    if (performance.now() > healedAt + recoveryMs) problem = `not ready ${recoveryMs} ms after: ${name}`;
    await delay(50);
  }
  if (hurtsChecksums(fault) && site.traits.verify === "required") await delay(checksumsRestMs);
  return { window: { name, mayFail, from, to: performance.now() }, problem };
}

/** Of parts, which are started and killed here: what takes longer never comes to an end. */
async function inTime(what: string, work: unknown): Promise<void> {
  const over = new AbortController();
  const late = delay(recoveryMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what} takes more than ${recoveryMs} ms`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
  }
}

async function areReady(site: Site): Promise<boolean> {
  const ready = await Promise.all(site.nodes.map((node) => node.isReady()));
  return ready.every(Boolean);
}

/**
 * Every part of every node is well, and nothing waits to be sent; without a restart. An upstream that was down is so until a
 * request finds it well, so there are some.
 */
async function problemsUntilWell(site: Site): Promise<{ readonly problems: readonly string[]; readonly ms: number }> {
  const from = performance.now();
  for (let round = 0; ; round++) {
    const parts = await Promise.all(site.nodes.map((node) => node.parts().catch((error: unknown) => String(error))));
    const sick = parts.flatMap((text, index) =>
      text.endsWith("ready\n")
        ? text
            .split("\n")
            .filter((line) => /^\[down\]|outbox: (?!empty)/.test(line))
            .map((line) => `node ${index}: ${line}`)
        : [`node ${index}: ${text}`],
    );
    const ms = Math.round(performance.now() - from);
    if (sick.length === 0 && ms <= recoveryMs) return { problems: [], ms };
    if (ms > recoveryMs) return { problems: [`not well again after ${recoveryMs} ms`, ...sick], ms };
    await Promise.all([delay(200), ...site.nodes.map((node) => askForUnknown(node, round))]);
  }
}

/** For a module that no upstream has, so that all of them are asked. What the answer is does not matter. */
async function askForUnknown({ url }: SluiceNode, round: number): Promise<void> {
  // The request goes on without us.
  const signal = AbortSignal.timeout(500);
  await fetch(`${url}/example.com/nobody/m${round}/@v/list`, { signal }).then(
    (answer) => answer.arrayBuffer(),
    () => undefined,
  );
}

/** Until it is disposed of. */
function watchMemory(site: Site): Disposable & { maxMegabytes(): number } {
  let max = 0;
  const sample = (): void => {
    for (const node of site.nodes) max = Math.max(max, Math.round(node.rssBytes() / 1024 / 1024));
  };
  const timer = setInterval(sample, 250);
  return {
    maxMegabytes: () => {
      sample();
      return max;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
