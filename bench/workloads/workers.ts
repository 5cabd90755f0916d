import { temporaryFolder } from "../folders.ts";
import { loadCore, serverCore } from "../machine.ts";
import { Row, takeTurns, type Measurement } from "../measurement.ts";
import { hotFiles } from "../modules.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { startUpstream } from "../upstream.ts";
import { runWrk } from "../wrk.ts";
import type { Bench, Workload } from "./workload.ts";

const fronts = 2;
const connections = 64;
const files = [
  { title: "hot `.info`", path: hotFiles.info },
  { title: "hot zip, 18 KB", path: hotFiles.smallZip },
];

/**
 * How much more two processes answer than one. The load needs a core, too, so where there are only two, this is told by what a
 * request costs: `fronts` cores answer so many times more as they have cores, and less by what each request costs more.
 */
export const workers: Workload = {
  names: ["workers"],
  async run(bench) {
    const upstream = await startUpstream(bench.tree, 0);
    const env = { GOPROXY: upstream.url.href };
    const running: RunningPeer[] = [];
    try {
      const one = await startSluice(temporaryFolder("sluice"), env);
      running.push(one);
      const several = await startSluice(temporaryFolder("sluice"), { ...env, SLUICE_WORKERS: String(fronts) }, [
        serverCore,
        loadCore,
      ]);
      running.push(several);
      const measurements: Measurement[] = [];
      for (const file of files) measurements.push(...(await measure(bench, { one, several, file })));
      return measurements;
    } finally {
      await Promise.all(running.map((peer) => peer.stop()));
      await upstream.close();
    }
  },
};

interface Pair {
  readonly one: RunningPeer;
  readonly several: RunningPeer;
  readonly file: (typeof files)[number];
}

async function measure(bench: Bench, { one, several, file }: Pair): Promise<Measurement[]> {
  const head = { workload: "workers", aims: [] };
  const alone = new Row({ ...head, title: `${file.title}, one process, requests per CPU second`, unit: "count" });
  const together = new Row({
    ...head,
    title: `${file.title}, ${fronts} workers, requests per CPU second`,
    unit: "count",
  });
  const gain = new Row({
    ...head,
    title: `${file.title}, ${fronts} workers to one process, by CPU cost`,
    unit: "×",
    aims: [{ is: "at least", factor: 1.7 }],
  });
  await takeTurns(bench.options.rounds, [0], async (_turn, round) => {
    const single = await requestsPerCpuSecond(bench, one, file.path);
    const shared = await requestsPerCpuSecond(bench, several, file.path);
    bench.progress(`workers, round ${round + 1}: ${file.title} ${Math.round(single)}, then ${Math.round(shared)}`);
    alone.add("sluice", single);
    together.add("sluice", shared);
    gain.add("sluice", (fronts * shared) / single);
  });
  return [alone, together, gain].map((row) => row.measurement());
}

async function requestsPerCpuSecond({ options }: Bench, peer: RunningPeer, path: string): Promise<number> {
  const url = new URL(path, peer.url);
  // Each front has to read it once.
  for (let time = 0; time < 4 * fronts; time += 1) await (await fetch(url)).arrayBuffer();
  const before = peer.usage().cpuSeconds;
  const { requestsPerSecond } = await runWrk(url, { seconds: options.seconds, connections });
  return (requestsPerSecond * options.seconds) / (peer.usage().cpuSeconds - before);
}
