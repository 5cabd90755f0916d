import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type FaultyUpstream, networkFaults, startFaultyUpstream } from "../support/faulty-upstream.ts";
import { frontEnds } from "../support/front-end.ts";
import { type SharedParts, startSharedParts } from "../support/shared-parts.ts";
import { createSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { SluiceNode } from "../support/sluice-node.ts";

/** `pair`: clients name both nodes, with `|`. `nginx`: it stands in front of both, as in deploy/. */
export const topologies = ["one", "workers", "pair", "nginx"] as const;
export type Topology = (typeof topologies)[number];

/** Everything of one run, and each link in it. */
export interface Site extends AsyncDisposable {
  readonly topology: Topology;
  /** GOPROXY of the clients. */
  readonly chain: string;
  readonly nodes: readonly SluiceNode[];
  readonly upstreams: readonly FaultyUpstream[];
  readonly shared: SharedParts | undefined;
  /** By name, such as `node 0 > redis`. */
  readonly links: ReadonlyMap<string, FaultProxy>;
  /** Of the first node; its store is on it. */
  readonly disk: SmallDisk | undefined;
  /** Of each upstream, from now on, how many in 100 requests fail. */
  setUpstreamFaults(percent: number): void;
}

export interface SiteOptions {
  readonly topology: Topology;
  readonly seed: number;
  /** In the GOPROXY layout. */
  readonly folder: string;
  readonly hasSmallDisk: boolean;
}

const smallDiskMegabytes = 160;
/** So that memory has a bound that a run can come near to. */
const memory = "48MiB";

export async function startSite({ topology, seed, folder, hasSmallDisk }: SiteOptions): Promise<Site> {
  await using started = new AsyncDisposableStack();
  const links = new Map<string, FaultProxy>();
  const link = async (name: string, port: number): Promise<FaultProxy> => {
    const proxy = await startFaultProxy(port);
    started.defer(() => proxy.close());
    links.set(name, proxy);
    return proxy;
  };
  const isFleet = topology === "pair" || topology === "nginx";
  const shared = isFleet ? started.use(await startSharedParts()) : undefined;
  const weather = { faults: networkFaults, percent: 0 };
  const upstreams: FaultyUpstream[] = [];
  for (const index of [0, 1]) {
    const options = Object.assign(Object.create(weather), { folder, seed: seed * 2 + index, stallMs: 1500 });
    upstreams.push(started.use(await startFaultyUpstream(options)));
  }
  // One endpoint for all nodes: by it they know that they share a bucket.
  const bucketPort = shared && (await link("nodes > bucket", portIn(shared.bucket.endpoint))).port;
  const disk = hasSmallDisk ? createSmallDisk(smallDiskMegabytes) : undefined;
  if (disk !== undefined) started.defer(() => disk.remove());
  const nodes: SluiceNode[] = [];
  const addresses: string[] = [];
  for (const index of isFleet ? [0, 1] : [0]) {
    const dataDir =
      index === 0 && disk !== undefined ? disk.path : await mkdtemp(path.join(tmpdir(), "sluice-chaos-node-"));
    if (dataDir !== disk?.path) started.defer(() => rm(dataDir, { recursive: true, force: true }));
    const chain: string[] = [];
    for (const [number, upstream] of upstreams.entries()) {
      const { port } = await link(`node ${index} > upstream ${number}`, portIn(upstream.url));
      chain.push(`http://127.0.0.1:${port}`);
    }
    const ports = shared && {
      bucket: bucketPort,
      database: (await link(`node ${index} > database`, shared.database.port)).port,
      redis: (await link(`node ${index} > redis`, shared.redis.port)).port,
    };
    const node = await SluiceNode.start({
      upstream: chain.join("|"),
      dataDir,
      env: { SLUICE_STORE_MEMORY: memory, ...shared?.env(ports) },
      args: topology === "workers" ? ["--workers", "2"] : [],
    });
    started.defer(() => node.stop("SIGKILL"));
    nodes.push(node);
    const front = isFleet ? await link(`clients > node ${index}`, node.port) : undefined;
    addresses.push(`127.0.0.1:${front?.port ?? node.port}`);
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
    chain,
    nodes,
    upstreams,
    shared,
    links,
    disk,
    setUpstreamFaults: (percent) => void (weather.percent = percent),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function portIn(url: string): number {
  return Number(new URL(url).port);
}
