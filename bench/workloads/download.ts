import { removeFolder, temporaryFolder } from "../folders.ts";
import { machineChain, timeDownload } from "../go-client.ts";
import { writeLog } from "../log-files.ts";
import { Row, takeTurns, type Aim, type Contestant, type Measurement } from "../measurement.ts";
import type { Peer, PeerStart, RunningPeer } from "../peers/peer.ts";
import { sluice } from "../peers/sluice.ts";
import { projectFiles } from "../project-files.ts";
import type { Usage } from "../server-process.ts";
import { startUpstream } from "../upstream.ts";
import type { Bench, Workload } from "./workload.ts";

/** What a well-connected upstream takes for the first byte. */
const upstreamLatencyMs = 25;
/** Records of the checksum database; its modules stand among them as far apart as it has room. */
const logSize = 100_000;

/** `go mod download all` of a real project, whose files every server has. */
export const cachedDownload: Workload = {
  names: ["download-cached"],
  async run(bench) {
    const { tree, modules } = await projectFiles();
    const upstream = await startUpstream(tree, 0);
    const running: RunningPeer[] = [];
    try {
      for (const peer of bench.peers) {
        const started = await peer.start({ folder: temporaryFolder(peer.name), tree, upstream: upstream.url.href });
        running.push(started);
        if (peer.isProxy) await timeDownload(started.url.href);
      }
      const rows = new DownloadRows("download-cached", `cached \`go mod download all\`, ${modules.length} modules`, [
        { is: "at most", factor: 1, of: "nginx" },
      ]);
      await takeTurns(bench.options.downloadRounds, running, async (peer, round) => {
        const before = peer.usage().cpuSeconds;
        const seconds = await timeDownload(peer.url.href);
        const { cpuSeconds, peakRssBytes } = peer.usage();
        bench.progress(`download-cached, round ${round + 1}: ${peer.name} ${seconds.toFixed(2)} s`);
        rows.add(peer.name, seconds, { cpuSeconds: cpuSeconds - before, peakRssBytes });
      });
      return rows.measurements();
    } finally {
      await Promise.all(running.map((peer) => peer.stop()));
      await upstream.close();
    }
  },
};

/** The same with empty stores, from a loopback upstream that is as far away as a good one and never varies. */
export const coldDownload: Workload = {
  names: ["download-cold"],
  async run(bench) {
    const { tree, modules } = await projectFiles();
    const upstream = await startUpstream(tree, upstreamLatencyMs);
    try {
      const title = `cold \`go mod download all\`, ${modules.length} modules, upstream at ${upstreamLatencyMs} ms`;
      return await measureCold(bench, { workload: "download-cold", title, chain: upstream.url.href, mayFail: false });
    } finally {
      await upstream.close();
    }
  },
};

/** The same from the machine's own chain: real, and as noisy as that is. */
export const coldDownloadReal: Workload = {
  names: ["download-cold-real"],
  async run(bench) {
    const { modules } = await projectFiles();
    const title = `cold \`go mod download all\`, ${modules.length} modules, this machine's own upstream`;
    return measureCold(bench, { workload: "download-cold-real", title, chain: machineChain(), mayFail: true });
  },
};

/** The same through a Sluice that compares every file with a checksum database behind the same upstream, and one that does not. */
export const verifiedDownload: Workload = {
  names: ["download-verified"],
  async run(bench) {
    const { tree, modules } = await projectFiles();
    const log = writeLog(tree, logSize);
    const upstream = await startUpstream(tree, upstreamLatencyMs);
    try {
      const rows = new DownloadRows(
        "download-verified",
        `cold \`go mod download all\`, ${modules.length} modules, verified, upstream at ${upstreamLatencyMs} ms`,
        [{ is: "at most", factor: 1.05, of: "unverified" }],
      );
      await takeTurns(bench.options.downloadRounds, ["sluice", "unverified"] as const, async (contestant, round) => {
        const chain = { upstream: upstream.url.href, ...(contestant === "sluice" ? { log } : {}) };
        const [seconds, usage] = await downloadThrough(sluice, chain);
        bench.progress(`download-verified, round ${round + 1}: ${contestant} ${seconds.toFixed(2)} s`);
        rows.add(contestant, seconds, usage);
      });
      return rows.measurements();
    } finally {
      await upstream.close();
    }
  },
};

async function measureCold(
  bench: Bench,
  { workload, title, chain, mayFail }: { workload: string; title: string; chain: string; mayFail: boolean },
): Promise<Measurement[]> {
  const rows = new DownloadRows(workload, title, [{ is: "at most", factor: 1.1, of: "direct" }]);
  const direct = bench.options.sluiceOnly ? [] : ["direct" as const];
  const contestants = [...direct, ...bench.peers.filter((peer) => peer.isProxy)];
  await takeTurns(bench.options.downloadRounds, contestants, async (contestant, round) => {
    const name = contestant === "direct" ? contestant : contestant.name;
    try {
      if (contestant === "direct") rows.add(name, await timeDownload(chain));
      else rows.add(name, ...(await downloadThrough(contestant, { upstream: chain })));
      bench.progress(`${workload}, round ${round + 1}: ${name} done`);
    } catch (error) {
      if (!mayFail) throw error;
      // A real upstream refuses a file now and then, whoever asks. It costs this one a sample, not the others the run.
      bench.progress(`${workload}, round ${round + 1}: ${name} FAILED: ${String(error)}`);
      bench.remark(`**${workload}: ${name} failed in round ${round + 1}** and has a sample less`);
    }
  });
  return rows.measurements();
}

/** Through a server that has nothing yet; answers the seconds it took, and what the server used. */
async function downloadThrough(
  peer: Peer,
  chain: Pick<PeerStart, "upstream" | "log">,
): Promise<[seconds: number, usage: Usage]> {
  const folder = temporaryFolder(peer.name);
  const running = await peer.start({ folder, tree: folder, ...chain });
  try {
    const before = running.usage().cpuSeconds;
    const seconds = await timeDownload(running.url.href);
    const { cpuSeconds, peakRssBytes } = running.usage();
    if (chain.log !== undefined) await checkAllVerified(running.url);
    return [seconds, { cpuSeconds: cpuSeconds - before, peakRssBytes }];
  } finally {
    await running.stop();
    removeFolder(folder);
  }
}

/** A Sluice that went on without its database would be fast for no good reason. */
async function checkAllVerified(url: URL): Promise<void> {
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  const [, count] = /^sluice_unverified_files (\d+)$/m.exec(metrics) ?? [];
  if (count !== "0") throw new Error(`${count ?? "unknown"} files were not verified`);
}

class DownloadRows {
  readonly #seconds: Row;
  readonly #cpu: Row;
  readonly #memory: Row;

  constructor(workload: string, title: string, aims: readonly Aim[]) {
    this.#seconds = new Row({ workload, title, unit: "s", aims });
    this.#cpu = new Row({ workload, title: `${title}: server's CPU`, unit: "CPU s", aims: [] });
    this.#memory = new Row({ workload, title: `${title}: server's peak memory`, unit: "bytes", aims: [] });
  }

  add(contestant: Contestant, seconds: number, usage?: Usage): void {
    this.#seconds.add(contestant, seconds);
    if (usage === undefined) return;
    this.#cpu.add(contestant, usage.cpuSeconds);
    this.#memory.add(contestant, usage.peakRssBytes);
  }

  measurements(): Measurement[] {
    return [this.#seconds, this.#cpu, this.#memory].map((row) => row.measurement());
  }
}
