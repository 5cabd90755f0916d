import { createHash } from "node:crypto";
import { temporaryFolder } from "../folders.ts";
import { Row, takeTurns, type Aim, type Measurement, type Unit } from "../measurement.ts";
import { writeLog } from "../log-files.ts";
import { hotFiles } from "../modules.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { startUpstream } from "../upstream.ts";
import { runWrk } from "../wrk.ts";
import type { Bench, Workload } from "./workload.ts";

interface HotFile {
  readonly name: string;
  readonly title: string;
  readonly path: string;
  readonly unit: Extract<Unit, "requests/s" | "bytes/s">;
  readonly connections: number;
  readonly aims: readonly Aim[];
}

const nearNginx: Aim = { is: "at least", factor: 0.75, of: "nginx" };
const small = {
  unit: "requests/s",
  connections: 64,
  aims: [nearNginx, { is: "at least", factor: 1.7, of: "goproxy" }],
} as const;
/** goproxy asks the database itself every time. */
const ofDatabase = { ...small, aims: [nearNginx] } as const;

const files: readonly HotFile[] = [
  { ...small, name: "info", title: "hot `.info`", path: hotFiles.info },
  { ...small, name: "mod", title: "hot `.mod`", path: hotFiles.mod },
  { ...small, name: "list", title: "hot `list`", path: hotFiles.list },
  { ...ofDatabase, name: "sumdb-lookup", title: "hot look-up of a checksum database", path: hotFiles.lookup },
  { ...ofDatabase, name: "sumdb-tile", title: "hot tile of a checksum database, 8 KB", path: hotFiles.tile },
  { ...small, name: "zip-18k", title: "hot zip, 18 KB", path: hotFiles.smallZip },
  {
    name: "zip-7m",
    title: "hot zip, 7 MB",
    path: hotFiles.largeZip,
    unit: "bytes/s",
    connections: 8,
    aims: [{ is: "at least", factor: 0.9, of: "nginx" }],
  },
];

/** Enough for full tiles on two levels. */
const logSize = 70_000;

/** What a proxy does all day: files it has. */
export const hot: Workload = {
  names: files.map(({ name }) => name),
  async run(bench) {
    const log = writeLog(bench.tree, logSize);
    const upstream = await startUpstream(bench.tree, 0);
    const running: RunningPeer[] = [];
    try {
      for (const peer of bench.peers) {
        const folder = temporaryFolder(peer.name);
        running.push(await peer.start({ folder, tree: bench.tree, upstream: upstream.url.href, log }));
      }
      return await measure(bench, running);
    } finally {
      await Promise.all(running.map((peer) => peer.stop()));
      await upstream.close();
    }
  },
};

async function measure(bench: Bench, running: readonly RunningPeer[]): Promise<Measurement[]> {
  const wanted = files.filter(({ name }) => bench.wants(name));
  const rows: Row[] = [];
  for (const file of wanted) {
    await warm(running, file.path);
    const head = { workload: file.name, aims: [] };
    const main = new Row({ ...head, title: file.title, unit: file.unit, aims: file.aims });
    const p50 = new Row({ ...head, title: `${file.title}, p50`, unit: "ms" });
    const p99 = new Row({ ...head, title: `${file.title}, p99`, unit: "ms" });
    rows.push(main, p50, p99);
    await takeTurns(bench.options.rounds, running, async (peer, round) => {
      const { seconds } = bench.options;
      const run = await runWrk(new URL(file.path, peer.url), { seconds, connections: file.connections });
      const value = file.unit === "bytes/s" ? run.bytesPerSecond : run.requestsPerSecond;
      bench.progress(`${file.name}, round ${round + 1}: ${peer.name} ${Math.round(value)} ${file.unit}`);
      main.add(peer.name, value);
      p50.add(peer.name, run.p50Ms);
      p99.add(peer.name, run.p99Ms);
    });
  }
  const memory = new Row({ workload: "hot", title: "peak memory after all hot runs", unit: "bytes", aims: [] });
  for (const peer of running) memory.add(peer.name, peer.usage().peakRssBytes);
  return [...rows, memory].map((row) => row.measurement());
}

/** Asks everybody twice, the first fetches it, and throws unless all answer the same bytes. */
async function warm(running: readonly RunningPeer[], file: string): Promise<void> {
  const bodies = new Map<string, string>();
  for (const peer of [...running, ...running]) {
    const response = await fetch(new URL(file, peer.url), { headers: { "accept-encoding": "gzip" } });
    if (response.status !== 200) throw new Error(`${peer.name} answers ${response.status} to ${file}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    // One of them sends a list without its last line end.
    const compared = file.endsWith("/list") ? bytes.toString().trimEnd() : bytes;
    bodies.set(peer.name, createHash("sha256").update(compared).digest("hex"));
  }
  if (new Set(bodies.values()).size > 1) throw new Error(`the peers disagree about ${file}`);
}
