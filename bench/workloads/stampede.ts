import { Agent, get } from "node:http";
import { statSync } from "node:fs";
import path from "node:path";
import { removeFolder, temporaryFolder } from "../folders.ts";
import { Row, takeTurns } from "../measurement.ts";
import { hotFiles } from "../modules.ts";
import { startUpstream } from "../upstream.ts";
import type { Workload } from "./workload.ts";

const clients = 200;
/** Long enough that all clients are there before the upstream answers. */
const upstreamLatencyMs = 250;

/** Everybody wants the same file the moment it is published. */
export const stampede: Workload = {
  names: ["stampede"],
  async run(bench) {
    const upstream = await startUpstream(bench.tree, upstreamLatencyMs);
    const bytes = statSync(path.join(bench.tree, hotFiles.largeZip)).size;
    const head = { workload: "stampede", title: `${clients} clients, one cold 7 MB zip` };
    const requests = new Row({
      ...head,
      title: `${head.title}: upstream requests for the zip`,
      unit: "count",
      aims: [{ is: "at most", factor: 1 }],
    });
    const all = new Row({ ...head, title: `${head.title}: upstream requests in all`, unit: "count", aims: [] });
    const slowest = new Row({ ...head, title: `${head.title}: slowest answer`, unit: "ms", aims: [] });
    try {
      await takeTurns(bench.options.rounds, bench.peers, async (peer, round) => {
        const folder = temporaryFolder(peer.name);
        const running = await peer.start({ folder, tree: bench.tree, upstream: upstream.url.href });
        try {
          upstream.forget();
          const agent = new Agent({ keepAlive: false });
          const url = new URL(hotFiles.largeZip, running.url);
          const times = await Promise.all(Array.from({ length: clients }, () => timeAnswer(url, agent, bytes)));
          bench.progress(`stampede, round ${round + 1}: ${peer.name} ${Math.round(Math.max(...times))} ms`);
          slowest.add(peer.name, Math.max(...times));
          if (!peer.isProxy) return;
          requests.add(peer.name, upstream.counts.get(hotFiles.largeZip) ?? 0);
          all.add(
            peer.name,
            [...upstream.counts.values()].reduce((sum, count) => sum + count, 0),
          );
        } finally {
          await running.stop();
          removeFolder(folder);
        }
      });
    } finally {
      await upstream.close();
    }
    return [requests, all, slowest].map((row) => row.measurement());
  },
};

/** Milliseconds to the last byte. Throws unless it is a 200 with all bytes. */
function timeAnswer(url: URL, agent: Agent, bytes: number): Promise<number> {
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      let received = 0;
      response.on("data", (chunk: Buffer) => (received += chunk.length));
      response.once("error", reject);
      response.once("close", () => {
        if (response.statusCode === 200 && received === bytes) resolve(performance.now() - begin);
        else reject(new Error(`${url.href}: ${response.statusCode} with ${received} of ${bytes} bytes`));
      });
    }).once("error", reject);
  });
}
