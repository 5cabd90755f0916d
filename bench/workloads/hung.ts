import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryFolder } from "../folders.ts";
import { Row, takeTurns } from "../measurement.ts";
import { hotFiles } from "../modules.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { hangingPrefix, startUpstream, type BenchUpstream } from "../upstream.ts";
import { runWrk } from "../wrk.ts";
import type { Workload } from "./workload.ts";

const fetches = 100;
/** A proxy may bound its fetches, so not all of them need to reach the upstream. */
const reachUpstream = 8;
const settleMs = 500;
const connections = 8;

/** Hits never wait for misses: the same load, alone and while an upstream leaves many fetches without an answer. */
export const hung: Workload = {
  names: ["hung"],
  async run(bench) {
    const upstream = await startUpstream(bench.tree, 0);
    const head = { workload: "hung", aims: [] };
    const rows = {
      idle50: new Row({ ...head, title: "hits, nothing else: p50", unit: "ms" }),
      idle99: new Row({ ...head, title: "hits, nothing else: p99", unit: "ms" }),
      hung50: new Row({ ...head, title: `hits while ${fetches} fetches hang: p50`, unit: "ms" }),
      hung99: new Row({ ...head, title: `hits while ${fetches} fetches hang: p99`, unit: "ms" }),
      ratio: new Row({
        ...head,
        title: `p99 of hits while ${fetches} fetches hang, to p99 alone`,
        unit: "×",
        aims: [{ is: "at most", factor: 1.5 }],
      }),
    };
    const running: RunningPeer[] = [];
    try {
      for (const peer of bench.peers.filter(({ isProxy }) => isProxy)) {
        const folder = temporaryFolder(peer.name);
        running.push(await peer.start({ folder, tree: bench.tree, upstream: upstream.url.href }));
      }
      await takeTurns(bench.options.rounds, running, async (peer, round) => {
        const url = new URL(hotFiles.info, peer.url);
        await (await fetch(url)).arrayBuffer();
        const load = { seconds: bench.options.seconds, connections };
        const idle = await runWrk(url, load);
        const busy = await whileHanging(peer, upstream, round, () => runWrk(url, load));
        bench.progress(`hung, round ${round + 1}: ${peer.name} p99 ${idle.p99Ms} ms, then ${busy.p99Ms} ms`);
        rows.idle50.add(peer.name, idle.p50Ms);
        rows.idle99.add(peer.name, idle.p99Ms);
        rows.hung50.add(peer.name, busy.p50Ms);
        rows.hung99.add(peer.name, busy.p99Ms);
        rows.ratio.add(peer.name, busy.p99Ms / idle.p99Ms);
      });
    } finally {
      upstream.cutHanging();
      await Promise.all(running.map((peer) => peer.stop()));
      await upstream.close();
    }
    return Object.values(rows).map((row) => row.measurement());
  },
};

async function whileHanging<T>(
  peer: RunningPeer,
  upstream: BenchUpstream,
  round: number,
  run: () => Promise<T>,
): Promise<T> {
  const agent = new Agent();
  const requests = Array.from({ length: fetches }, (_, index) => {
    const url = new URL(`${hangingPrefix}r${round}m${index}/@v/v1.0.0.zip`, peer.url);
    // An error is what this request is about to end with.
    return get(url, { agent }, (response) => response.resume()).on("error", () => {});
  });
  await upstream.hanging(reachUpstream);
  await delay(settleMs);
  try {
    return await run();
  } finally {
    for (const request of requests) request.destroy();
    upstream.cutHanging();
  }
}
