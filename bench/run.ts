import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { resultsFolder, temporaryFolder } from "./folders.ts";
import { checkMachine, describeMachine, loadCore, moveToLoadCore, serverCore } from "./machine.ts";
import type { Measurement } from "./measurement.ts";
import { writeModules } from "./modules.ts";
import { parseOptions, usage, type BenchOptions } from "./options.ts";
import { goproxy } from "./peers/goproxy.ts";
import { nginx } from "./peers/nginx.ts";
import type { Peer } from "./peers/peer.ts";
import { sluice } from "./peers/sluice.ts";
import { formatJson, formatMarkdown } from "./report.ts";
import { cachedDownload, coldDownload, coldDownloadReal, verifiedDownload } from "./workloads/download.ts";
import { faults } from "./workloads/faults.ts";
import { git } from "./workloads/git.ts";
import { hot } from "./workloads/hot.ts";
import { hung } from "./workloads/hung.ts";
import { audit, ownLog } from "./workloads/checksums.ts";
import { stampede } from "./workloads/stampede.ts";
import { workers } from "./workloads/workers.ts";

const workloads = [
  hot,
  cachedDownload,
  coldDownload,
  coldDownloadReal,
  verifiedDownload,
  stampede,
  hung,
  workers,
  faults,
  git,
  ownLog,
  audit,
];
const names = workloads.flatMap((workload) => workload.names);

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const unknown = options.only.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new TypeError(`no workload is named ${unknown.join(", ")}: ${names.join(", ")}`);
    if (options.list) {
      console.log(names.join("\n"));
      return 0;
    }
    return await run(options);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
}

async function run(options: BenchOptions): Promise<number> {
  checkMachine();
  const machine = describeMachine();
  const remarks = [
    `servers alone on core ${serverCore}, everything else on core ${loadCore}; medians of interleaved rounds (min–max)`,
  ];
  const peers: Peer[] = [sluice];
  for (const peer of options.sluiceOnly ? [] : [nginx, goproxy]) {
    const missing = await peer.prepare();
    if (missing === undefined) peers.push(peer);
    else remarks.push(`**the peer ${peer.name} is missing**: ${missing}`);
  }
  moveToLoadCore();
  const tree = temporaryFolder("tree");
  writeModules(tree);
  const wants = (name: string): boolean => options.only.length === 0 || options.only.includes(name);
  const progress = (text: string): void => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
  const remark = (text: string): void => void remarks.push(text);
  const measurements: Measurement[] = [];
  let failures = 0;
  for (const workload of workloads.filter((each) => each.names.some(wants))) {
    try {
      measurements.push(...(await workload.run({ options, peers, tree, wants, progress, remark })));
    } catch (error) {
      failures += 1;
      remarks.push(
        `**${workload.names.join(", ")} failed**: ${error instanceof Error ? error.message : String(error)}`,
      );
      console.error(error);
    }
  }
  const report = { date: new Date().toISOString(), machine, remarks, measurements };
  mkdirSync(resultsFolder, { recursive: true });
  const file = path.join(resultsFolder, `${report.date.replaceAll(":", "-")}.json`);
  writeFileSync(file, formatJson(report));
  console.log(formatMarkdown(report));
  console.error(`also in ${path.relative(process.cwd(), file)}`);
  return failures === 0 ? 0 : 1;
}
