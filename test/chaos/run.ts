import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createModuleWorld } from "./modules.ts";
import { runSeed } from "./run-seed.ts";
import { topologies, type Topology } from "./site.ts";

const usage = "usage: npm run chaos -- [--seeds 1-200] [--minutes N] [--faults N] [--topology one|workers|pair|nginx]";

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  const { first, last, minutes, faultCount, topology } = options;
  const endsAt = performance.now() + minutes * 60_000;
  const world = await createModuleWorld();
  const failed: number[] = [];
  let passed = 0;
  try {
    for (let seed = first; seed <= last && performance.now() < endsAt; seed++) {
      const { faults, statuses, problems, ...report } = await runSeed({ seed, world, faultCount, topology });
      const seen = [...statuses].map(([status, count]) => `${status}: ${count}`).join(", ");
      console.log(
        `seed ${seed}  ${report.topology}  ${problems.length === 0 ? "ok" : "FAILED"}  ${report.downloads} downloads, ${report.excused} excused  {${seen}}  ${report.maxRssMegabytes} MiB  well after ${report.recoveredMs} ms\n  ${faults.join("\n  ")}`,
      );
      if (problems.length === 0) {
        passed++;
        continue;
      }
      failed.push(seed);
      for (const problem of problems.slice(0, 10)) console.log(`  PROBLEM ${problem}`);
      console.log(`  again: npm run chaos -- --seeds ${seed}-${seed} --faults ${faultCount}`);
    }
  } finally {
    await rm(world.folder, { recursive: true, force: true });
  }
  console.log(`\n${passed} passed, ${failed.length} failed${failed.length > 0 ? `: ${failed.join(", ")}` : ""}`);
  return failed.length === 0 ? 0 : 1;
}

interface Options {
  readonly first: number;
  readonly last: number;
  readonly minutes: number;
  readonly faultCount: number;
  readonly topology: Topology | undefined;
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string", default: "1-200" },
        minutes: { type: "string", default: "Infinity" },
        faults: { type: "string", default: "4" },
        topology: { type: "string" },
      },
    });
    const [, first, last] = /^(\d+)-(\d+)$/.exec(values.seeds) ?? [];
    if (first === undefined || last === undefined) throw new Error(`--seeds is like 1-200, not ${values.seeds}`);
    const minutes = Number(values.minutes);
    if (!(minutes > 0)) throw new Error(`--minutes is a number above 0, not ${values.minutes}`);
    const topology = topologies.find((one) => one === values.topology);
    if (values.topology !== undefined && topology === undefined) throw new Error(`no topology ${values.topology}`);
    return { first: Number(first), last: Number(last), minutes, faultCount: Number(values.faults), topology };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}
