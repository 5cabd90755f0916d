import { setTimeout as delay } from "node:timers/promises";
import { createRandom, type Random } from "../support/random.ts";
import { unexcused, type Window, wrongFiles } from "./checks.ts";
import { Clients } from "./clients.ts";
import { type Fault, faultsOf } from "./faults.ts";
import type { ModuleWorld } from "./modules.ts";
import { type Site, startSite, topologies, type Topology } from "./site.ts";

export interface SeedReport {
  readonly seed: number;
  readonly topology: Topology;
  readonly faults: readonly string[];
  /** Downloads of one module, and those of them that failed and may. */
  readonly downloads: number;
  readonly excused: number;
  readonly statuses: ReadonlyMap<string, number>;
  readonly maxRssMegabytes: number;
  readonly recoveredMs: number;
  /** Empty is a good run. */
  readonly problems: readonly string[];
}

export interface SeedOptions {
  readonly seed: number;
  readonly world: ModuleWorld;
  /** Default 4. */
  readonly faultCount?: number;
  /** Default: by the seed. */
  readonly topology?: Topology | undefined;
}

/** Memory tier 48 MiB, Node with its code and heap about 150 MiB, buffers of transfers; each further process the latter two. */
const rssLimitMegabytes = { one: 450, workers: 900, pair: 500, nginx: 500 } as const;
/** For everything to be well again: connections are tried again after seconds, an upstream's breaker closes within 10 s. */
const recoveryMs = 60_000;
/** Above `fail_timeout` in deploy/nginx.conf: it asks a node again, before the other one is hurt. */
const nginxRestMs = 5500;

/** One run: everything in it that is chosen is chosen by the seed. */
export async function runSeed({ seed, world, faultCount = 4, ...options }: SeedOptions): Promise<SeedReport> {
  const random = createRandom(seed);
  const drawn = random.pick(topologies);
  const topology = options.topology ?? drawn;
  const hasSmallDisk = random.chance(40);
  await using site = await startSite({ topology, seed, folder: world.folder, hasSmallDisk });
  const clients = new Clients(site.chain, world, createRandom(seed + 1_000_000));
  const problems: string[] = [];
  const before = await clients.download(world.known);
  problems.push(...unexcused(before, [], world));
  problems.push(...(await problemsUntilWell(site)).problems);

  const memory = watchMemory(site);
  const windows: Window[] = [];
  clients.start(2);
  for (let count = 0; count < faultCount && problems.length === 0; count++) {
    const fault = random.pick(faultsOf(site, random))();
    windows.push(await suffer(site, fault, random));
  }
  await clients.end();
  const recovery = await problemsUntilWell(site);
  problems.push(...recovery.problems, ...unexcused(clients.attempts, windows, world));
  const maxRssMegabytes = memory.stop();
  if (maxRssMegabytes > rssLimitMegabytes[topology]) problems.push(`a node used ${maxRssMegabytes} MiB of memory`);

  const after = await clients.download([...world.known, ...world.cold.slice(0, 60)]);
  problems.push(...unexcused(after, [], world).map((problem) => `afterwards: ${problem}`));
  if (clients.statuses.has("404")) problems.push(`clients got ${clients.statuses.get("404")} times 404`);
  problems.push(...(await problemsUntilWell(site)).problems);
  problems.push(...(await wrongFiles(site, world)).map((file) => `wrong bytes are stored: ${file}`));
  return {
    seed,
    topology,
    faults: windows.map(({ name }) => name),
    downloads: before.length + clients.attempts.length + after.length,
    excused: clients.attempts.filter(({ problem }) => problem !== undefined).length,
    statuses: clients.statuses,
    maxRssMegabytes,
    recoveredMs: recovery.ms,
    problems,
  };
}

async function suffer(site: Site, fault: Fault, random: Random): Promise<Window> {
  const from = performance.now();
  await fault.hurt();
  await delay(300 + random.int(2500));
  await fault.heal();
  // What may fail because of it may do so until the nodes are ready again, and no longer.
  while (!(await areReady(site))) await delay(50);
  const to = performance.now();
  const isAboutNodes = /^(node|clients)/.test(fault.name);
  if (site.topology === "nginx" && isAboutNodes) await delay(nginxRestMs);
  return { name: fault.name, mayFail: fault.mayFail, from, to };
}

async function areReady(site: Site): Promise<boolean> {
  const ready = await Promise.all(site.nodes.map((node) => node.isReady()));
  return ready.every(Boolean);
}

/** Every part of every node is well, and nothing waits to be sent; without a restart. */
async function problemsUntilWell(site: Site): Promise<{ readonly problems: readonly string[]; readonly ms: number }> {
  const from = performance.now();
  for (;;) {
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
    if (sick.length === 0) return { problems: [], ms };
    if (ms > recoveryMs) return { problems: sick.map((line) => `not well again after ${recoveryMs} ms: ${line}`), ms };
    await delay(200);
  }
}

function watchMemory(site: Site): { stop(): number } {
  let max = 0;
  const sample = (): void => {
    for (const node of site.nodes) max = Math.max(max, Math.round(node.rssBytes() / 1024 / 1024));
  };
  const timer = setInterval(sample, 250);
  return {
    stop: () => {
      clearInterval(timer);
      sample();
      return max;
    },
  };
}
