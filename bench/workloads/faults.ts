import { once } from "node:events";
import { globSync, mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
import path from "node:path";
import {
  type FaultyUpstream,
  type NetworkFault,
  networkFaults,
  startFaultyUpstream,
} from "../../test/support/faulty-upstream.ts";
import { clientFolder, removeFolder, temporaryFolder } from "../folders.ts";
import { goEnvironment, tryGo } from "../go-client.ts";
import { Row, type Contestant, type Measurement } from "../measurement.ts";
import type { Peer } from "../peers/peer.ts";
import { projectFiles, type ProjectFiles } from "../project-files.ts";
import { freePort } from "../server-process.ts";
import type { Bench, Workload } from "./workload.ts";

/** Of all requests to the upstream. */
const percent = 30;
const seed = 1;
const upstreamLatencyMs = 25;
/** go looks versions up one after the other before it downloads them, so each stall that is waited out counts whole. */
const limitMs = 600_000;

/** What stands before the good upstream in a chain with `|`. */
type Neighbour = "dead" | "hanging";

interface Scene {
  readonly name: string;
  readonly title: string;
  readonly faults: readonly NetworkFault[];
  readonly neighbour?: Neighbour;
}

const failing = `${percent} % of upstream requests fail`;
const scenes: readonly Scene[] = [
  { name: "faults-none", title: "no faults", faults: [] },
  { name: "faults-503", title: `${failing}: 503`, faults: ["503"] },
  { name: "faults-reset", title: `${failing}: reset`, faults: ["reset"] },
  { name: "faults-cut", title: `${failing}: cut bodies`, faults: ["cut"] },
  { name: "faults-stall", title: `${failing}: 5 s stalls`, faults: ["stall"] },
  { name: "faults-mixed", title: `${failing}: all of these`, faults: networkFaults },
  { name: "faults-dead", title: "a dead upstream | a good one", faults: [], neighbour: "dead" },
  { name: "faults-hanging", title: "a hanging upstream | a good one", faults: [], neighbour: "hanging" },
];

interface Outcome {
  readonly modules: number;
  readonly notFounds: number;
  readonly seconds: number;
  readonly requests: number;
}

/** Every module of a real project, with nothing kept before, no retry by hand, and an upstream that often fails. */
export const faults: Workload = {
  names: ["faults", ...scenes.map(({ name }) => name)],
  async run(bench) {
    const project = await projectFiles();
    const measurements: Measurement[] = [];
    const wanted = scenes.filter(({ name }) => bench.wants("faults") || bench.wants(name));
    for (const scene of wanted) {
      const title = `${project.modules.length} modules, ${scene.title}`;
      const rows = {
        modules: new Row({
          workload: scene.name,
          title: `${title}: modules downloaded`,
          unit: "count",
          aims: [{ is: "at least", factor: project.modules.length }],
        }),
        notFounds: new Row({
          workload: scene.name,
          title: `${title}: 404s that go saw`,
          unit: "count",
          aims: [{ is: "at most", factor: 0 }],
        }),
        seconds: new Row({ workload: scene.name, title: `${title}: time`, unit: "s", aims: [] }),
        requests: new Row({ workload: scene.name, title: `${title}: upstream requests`, unit: "count", aims: [] }),
      };
      for (const peer of [...bench.peers.filter(({ isProxy }) => isProxy), undefined]) {
        if (peer === undefined && bench.options.sluiceOnly) continue;
        const name: Contestant = peer?.name ?? "direct";
        const outcome = await play(scene, project, peer);
        report(bench, `${scene.name}: ${name}`, outcome);
        for (const [key, value] of Object.entries(outcome)) if (isRow(rows, key)) rows[key].add(name, value);
      }
      measurements.push(...Object.values(rows).map((row) => row.measurement()));
    }
    return measurements;
  },
};

function isRow<Rows extends object>(rows: Rows, key: PropertyKey): key is keyof Rows {
  return Object.hasOwn(rows, key);
}

function report(bench: Bench, who: string, { modules, notFounds, seconds, requests }: Outcome): void {
  bench.progress(`${who}: ${modules} modules, ${notFounds} × 404, ${seconds.toFixed(1)} s, ${requests} requests`);
}

async function play(scene: Scene, project: ProjectFiles, peer: Peer | undefined): Promise<Outcome> {
  const options = { folder: project.tree, faults: scene.faults, percent, seed, latencyMs: upstreamLatencyMs };
  await using upstream = await startFaultyUpstream(options);
  const neighbour = await startNeighbour(scene.neighbour);
  const chain = neighbour === undefined ? upstream.url : `${neighbour.url}|${upstream.url}`;
  const folder = temporaryFolder("faults");
  try {
    if (peer === undefined) return await download(chain, project, upstream);
    const running = await peer.start({ folder, tree: folder, upstream: chain });
    try {
      return await download(running.url.href, project, upstream);
    } finally {
      await running.stop();
    }
  } finally {
    neighbour?.server?.close();
    removeFolder(folder);
  }
}

async function download(chain: string, { modules }: ProjectFiles, upstream: FaultyUpstream): Promise<Outcome> {
  const folder = clientFolder();
  try {
    const work = path.join(folder, "work");
    mkdirSync(work);
    const begin = performance.now();
    const env = { ...goEnvironment(folder), GOPROXY: chain };
    const output = await tryGo(["mod", "download", "-json", ...modules], { cwd: work, env, timeoutMs: limitMs });
    const seconds = (performance.now() - begin) / 1000;
    return {
      // Written last, when the zip is there and was checked.
      modules: globSync("**/@v/*.ziphash", { cwd: path.join(folder, "modcache/cache/download") }).length,
      notFounds: output.split("404 Not Found").length - 1,
      seconds,
      requests: upstream.requests,
    };
  } finally {
    removeFolder(folder);
  }
}

async function startNeighbour(
  kind: Neighbour | undefined,
): Promise<{ readonly url: string; readonly server?: Server } | undefined> {
  if (kind === undefined) return undefined;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  if (kind === "dead") return { url };
  // Takes connections and never says anything.
  const server = createServer((socket) =>
    socket
      .on("error", () => undefined)
      .resume()
      .unref(),
  ).listen(port, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  return { url, server };
}
