import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type FaultyUpstream, type Lie, networkFaults, startFaultyUpstream } from "../support/faulty-upstream.ts";
import { frontEnds } from "../support/front-end.ts";
import { startGitServer } from "../support/git-server.ts";
import { type SharedParts, startSharedParts } from "../support/shared-parts.ts";
import { createSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { SluiceNode } from "../support/sluice-node.ts";
import { createSteppedClock, type SteppedClock } from "../support/stepped-clock.ts";
import { startSumLog, type SumLog } from "../support/sum-log.ts";
import type { ModuleWorld } from "./modules.ts";
import { privatePattern } from "./private-modules.ts";

/** `pair`: clients name both nodes, with `|`. `nginx`: it stands in front of both, as in deploy/. */
export const topologies = ["one", "workers", "pair", "nginx"] as const;
export type Topology = (typeof topologies)[number];

/** What a run is made of besides its topology. */
export interface SiteTraits {
  /** The store of the first node is on a disk that can be filled. */
  readonly hasSmallDisk: boolean;
  /** The clock of the first node can step. */
  readonly hasSteppedClock: boolean;
  /** `sumdb.verify` of all nodes. */
  readonly verify: "when-reachable" | "required";
}

/** Everything of one run, and each link in it. */
export interface Site extends AsyncDisposable {
  readonly topology: Topology;
  readonly traits: SiteTraits;
  /** GOPROXY of the clients. */
  readonly chain: string;
  readonly nodes: readonly SluiceNode[];
  readonly upstreams: readonly FaultyUpstream[];
  /** The checksum database that nodes compare public modules with. */
  readonly log: SumLog;
  readonly shared: SharedParts | undefined;
  /** By name, such as `node 0 > redis`. */
  readonly links: ReadonlyMap<string, FaultProxy>;
  readonly disk: SmallDisk | undefined;
  readonly clock: SteppedClock | undefined;
  /** Of each upstream, from now on, how many in 100 requests fail. */
  setUpstreamFaults(percent: number): void;
  /** What this upstream sends instead of the right bytes, from now on. */
  setLie(upstream: number, lie: Lie | undefined): void;
}

export interface SiteOptions {
  readonly topology: Topology;
  readonly traits: SiteTraits;
  readonly seed: number;
  readonly world: ModuleWorld;
}

interface Weather {
  percent: number;
  lie: Lie | undefined;
}

const smallDiskMegabytes = 160;
/** So that memory has a bound that a run can come near to. */
const memory = "48MiB";

export async function startSite({ topology, traits, seed, world }: SiteOptions): Promise<Site> {
  await using started = new AsyncDisposableStack();
  const links = new Map<string, FaultProxy>();
  const link = async (name: string, port: number): Promise<number> => {
    const proxy = await startFaultProxy(port);
    started.defer(() => proxy.close());
    links.set(name, proxy);
    return proxy.port;
  };
  const isFleet = topology === "pair" || topology === "nginx";
  const shared = isFleet ? started.use(await startSharedParts()) : undefined;
  const weather: Weather[] = [];
  const upstreams: FaultyUpstream[] = [];
  for (const index of [0, 1]) {
    const upstreamWeather: Weather = { percent: 0, lie: undefined };
    const options = { folder: world.folder, faults: networkFaults, seed: seed * 2 + index, stallMs: 1500 };
    upstreams.push(started.use(await startFaultyUpstream(Object.assign(upstreamWeather, options))));
    weather.push(upstreamWeather);
  }
  const log = await startSumLog({ size: 100, vouchFor: world.files });
  started.defer(() => log.close());
  const git = await startGitServer({ root: world.repositories });
  started.defer(() => git.close());
  // One endpoint for all nodes: by it they know that they share a bucket.
  const bucket = shared && (await link("nodes > bucket", portIn(shared.bucket.endpoint)));
  const disk = traits.hasSmallDisk ? createSmallDisk(smallDiskMegabytes) : undefined;
  if (disk !== undefined) started.defer(() => disk.remove());
  const clock = traits.hasSteppedClock ? createSteppedClock() : undefined;
  if (clock !== undefined) started.defer(() => clock.remove());

  const startNode = async (index: number): Promise<SluiceNode> => {
    const isFirst = index === 0;
    const dataDir =
      isFirst && disk !== undefined ? disk.path : await mkdtemp(path.join(tmpdir(), "sluice-chaos-node-"));
    if (dataDir !== disk?.path) started.defer(() => rm(dataDir, { recursive: true, force: true }));
    const own = (part: string, port: number): Promise<number> => link(`node ${index} > ${part}`, port);
    const chain: string[] = [];
    for (const [number, { url }] of upstreams.entries()) {
      chain.push(`http://127.0.0.1:${await own(`upstream ${number}`, portIn(url))}`);
    }
    const database = await own("checksum database", log.port);
    const repositories = await own("git host", git.port);
    const node = await SluiceNode.start({
      upstream: chain.join("|"),
      dataDir,
      env: {
        SLUICE_STORE_MEMORY: memory,
        SLUICE_SUMDB_DATABASE: `${log.verifierKey} http://127.0.0.1:${database}`,
        SLUICE_SUMDB_VERIFY: traits.verify,
        SLUICE_PRIVATE: `[{ pattern = "${privatePattern}", url = "http://127.0.0.1:${repositories}/{path}.git" }]`,
        ...(shared &&
          shared.env({
            bucket,
            database: await own("database", shared.database.port),
            redis: await own("redis", shared.redis.port),
          })),
        ...(isFirst && clock?.env),
      },
      args: topology === "workers" ? ["--workers", "2"] : [],
    });
    started.defer(() => node.stop("SIGKILL"));
    return node;
  };
  const nodes = await Promise.all((isFleet ? [0, 1] : [0]).map(startNode));
  const addresses: string[] = [];
  for (const [index, { port }] of nodes.entries()) {
    addresses.push(`127.0.0.1:${isFleet ? await link(`clients > node ${index}`, port) : port}`);
  }
  let chain = addresses.map((address) => `http://${address}`).join("|");
  if (topology === "nginx") {
    const nginx = frontEnds.find(({ program }) => program === "nginx");
    if (nginx === undefined) throw new Error("nginx is not among the front ends");
    const frontEnd = await nginx.start(addresses);
    started.defer(() => frontEnd.stop());
    chain = frontEnd.url;
  }
  const all = started.move();
  return {
    topology,
    traits,
    chain,
    nodes,
    upstreams,
    log,
    shared,
    links,
    disk,
    clock,
    setUpstreamFaults(percent) {
      for (const one of weather) one.percent = percent;
    },
    setLie(upstream, lie) {
      const one = weather[upstream];
      if (one !== undefined) one.lie = lie;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function portIn(url: string): number {
  return Number(new URL(url).port);
}
