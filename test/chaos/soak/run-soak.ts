import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { startFaultProxy } from "../../support/fault-proxy.ts";
import { isAlive } from "../../support/processes.ts";
import { createRandom } from "../../support/random.ts";
import { startSharedParts } from "../../support/shared-parts.ts";
import { SluiceNode } from "../../support/sluice-node.ts";
import { startGeneratedUpstream } from "../generated-upstream.ts";
import { logTrouble } from "../kills/log-trouble.ts";
import { wrongKeys, storedKeys } from "../kills/stored-files.ts";
import { type LoadFigures, SoakLoad } from "./load.ts";
import { type Sample, takeSample } from "./samples.ts";
import { type Trend, trendOf } from "./trend.ts";
import { makeWeather } from "./weather.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Gets a line of JSON for each sample. */
  readonly samplesFile: string;
  readonly log: (line: string) => void;
  /** Ends the run early, with a report of what there is. */
  readonly signal: AbortSignal;
}

export interface SoakReport {
  readonly minutes: number;
  readonly load: LoadFigures;
  readonly faults: ReadonlyMap<string, number>;
  readonly upstreamRequests: number;
  readonly upstreamFailed: number;
  readonly trends: readonly Trend[];
  /** Of the node, all the time. */
  readonly cores: number;
  /** Events that were logged as warnings or errors, and how often. */
  readonly errors: ReadonlyMap<string, number>;
  /** Empty is a good run. */
  readonly problems: readonly string[];
}

const sampleMs = 10_000;
/** Memory tier 32 MiB, Node with its code and heap, buffers of transfers. */
const rssLimitMib = 450;
const maxGrowth = 0.1;
/** What must not grow, by how much it may differ anyway, and of how many samples in a row the least counts. */
const watched = [
  { name: "rssMib", slack: 0, window: 1 },
  // Two minutes: V8 has collected its garbage in that time.
  { name: "heapMib", slack: 10, window: 12 },
  { name: "files", slack: 3, window: 1 },
  { name: "sockets", slack: 5, window: 1 },
  { name: "threads", slack: 1, window: 1 },
  { name: "resources", slack: 10, window: 1 },
  // While the bucket is away nothing is removed; how often that is says nothing of growth.
  { name: "modulesMib", slack: 0, window: 12 },
  { name: "stagingFiles", slack: 2, window: 1 },
  { name: "outboxFiles", slack: 5, window: 1 },
] as const satisfies readonly { readonly name: keyof Sample; readonly slack: number; readonly window: number }[];
const settings = {
  SLUICE_STORE_MEMORY: "32MiB",
  // Much less than what is fetched in the run, so that files are removed all the time.
  SLUICE_STORE_DISK_CACHE_SIZE: "64MiB",
  SLUICE_FETCH_STREAM_FROM: "256KiB",
  SLUICE_FRESHNESS_TTL: "10s",
};

/** One node with MinIO, PostgreSQL and Redis under mixed load, while the upstream fails and parts go away now and then. */
export async function runSoak({ minutes, seed, samplesFile, log, signal }: SoakOptions): Promise<SoakReport> {
  const random = createRandom(seed);
  await using started = new AsyncDisposableStack();
  const upstream = started.use(await startGeneratedUpstream(createRandom(seed + 1)));
  const shared = started.use(await startSharedParts());
  const link = async (port: number) => {
    const proxy = await startFaultProxy(port);
    started.defer(() => proxy.close());
    return proxy;
  };
  const links = {
    upstream: await link(upstream.port),
    bucket: await link(Number(new URL(shared.bucket.endpoint).port)),
    database: await link(shared.database.port),
    redis: await link(shared.redis.port),
  };
  const dataDir = await mkdtemp(path.join(tmpdir(), "sluice-soak-"));
  started.defer(() => rm(dataDir, { recursive: true, force: true }));
  const ports = { bucket: links.bucket.port, database: links.database.port, redis: links.redis.port };
  const node = await SluiceNode.start({
    upstream: `http://127.0.0.1:${links.upstream.port}`,
    dataDir,
    env: { ...settings, ...shared.env(ports) },
  });
  started.defer(() => node.stop("SIGKILL"));
  const load = new SoakLoad(node, createRandom(seed + 2));
  await load.warmUp();
  log("everything runs, and what is known is stored");

  const ending = new AbortController();
  const weather = makeWeather({ upstream, shared, links, random, signal: ending.signal });
  load.start();
  // Also when this fails half-way: else they would go on for ever.
  started.defer(async () => {
    ending.abort();
    await Promise.allSettled([weather, load.end()]);
  });
  weather.catch(() => undefined);
  const samples = await watch({ node, minutes, samplesFile, log, signal, load: load.figures });
  ending.abort();
  const faults = await weather;
  await load.end();
  const rss = Math.max(...samples.map(({ rssMib }) => rssMib));
  const trends = watched.map(({ name, window }) => trendOf(samples, name, window));
  const problems = [...load.figures.problems, ...growing(trends)];
  if (rss > rssLimitMib) problems.push(`it used ${rss} MiB of memory, more than ${rssLimitMib}`);
  problems.push(...(await problemsAtEnd(node)));
  const { warnings, troubles } = logTrouble(node.output);
  problems.push(...troubles.map((trouble) => `it logged: ${trouble}`));
  const last = samples.at(-1);
  return {
    minutes: (last?.seconds ?? 0) / 60,
    load: load.figures,
    faults,
    upstreamRequests: upstream.requests,
    upstreamFailed: upstream.failed,
    trends,
    cores: (last?.cpuSeconds ?? 0) / (last?.seconds ?? 1),
    errors: Map.groupBy(warnings, (name) => name)
      .entries()
      .reduce((all, [name, each]) => all.set(name, each.length), new Map<string, number>()),
    problems,
  };
}

async function watch(
  options: Omit<SoakOptions, "seed"> & { readonly node: SluiceNode; readonly load: LoadFigures },
): Promise<readonly Sample[]> {
  const { node, minutes, samplesFile, log, load, signal } = options;
  const samples: Sample[] = [];
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  let told = 0;
  while (seconds() < minutes * 60 && !signal.aborted) {
    await delay(sampleMs - ((performance.now() - startedAt) % sampleMs), undefined, { signal }).catch(() => undefined);
    if (!isAlive(node.pid)) {
      load.problems.push(`it ended by itself after ${seconds()} s:\n${node.output.slice(-5000)}`);
      return samples;
    }
    try {
      const sample = await takeSample(node, seconds());
      samples.push(sample);
      await appendFile(samplesFile, `${JSON.stringify(sample)}\n`);
      if (samples.length % 6 === 0) log(JSON.stringify(sample));
    } catch (error) {
      load.problems.push(`no sample after ${seconds()} s: ${inspect(error)}`);
    }
    for (const problem of load.problems.slice(told, told + 20)) log(`PROBLEM ${problem}`);
    told = load.problems.length;
  }
  return samples;
}

/** From what it used over the last two thirds of the run. */
function growing(trends: readonly Trend[]): readonly string[] {
  return watched.flatMap(({ name, slack }) => {
    const trend = trends.find((one) => one.name === name);
    if (trend === undefined || trend.growth <= maxGrowth || trend.growth * trend.median <= slack) return [];
    return [`${name} grows: by ${(trend.growth * 100).toFixed(1)} % over two thirds of the run`];
  });
}

/** Nothing waits any more, nothing is down, and what is on the disk is right. */
async function problemsAtEnd(node: SluiceNode): Promise<readonly string[]> {
  const endsAt = performance.now() + 90_000;
  // Of a node that has ended, too, there is a report.
  const ask = (): Promise<string> => node.parts().catch((error: unknown) => `[down] the node: ${String(error)}`);
  let parts = await ask();
  while (/^\[down\]|outbox: (?!empty)/m.test(parts) && performance.now() < endsAt) {
    await delay(200);
    parts = await ask();
  }
  const sick = parts.split("\n").filter((line) => /^\[down\]|outbox: (?!empty)/.test(line));
  const wrong = await wrongKeys(node.dataDir, await storedKeys(node.dataDir, ""));
  return [...sick.map((line) => `at the end: ${line}`), ...wrong.map((key) => `wrong bytes are stored: ${key}`)];
}
