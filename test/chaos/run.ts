import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { lacksMount } from "../support/small-disk.ts";
import { lacksSteppedClock } from "../support/stepped-clock.ts";
import { createModuleWorld } from "./modules.ts";
import { runSeed, type SeedReport } from "./run-seed.ts";
import { topologies, type Topology } from "./site.ts";

const usage =
  "usage: npm run chaos -- [--seeds 1-200] [--jobs N] [--minutes N] [--faults N] [--topology one|workers|pair|nginx]";
const logFolder = fileURLToPath(new URL("../../.tmp/chaos/", import.meta.url));

interface Options {
  readonly first: number;
  readonly last: number;
  readonly jobs: number;
  readonly minutes: number;
  readonly faultCount: number;
  readonly topology: Topology | undefined;
}

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  if (process.send !== undefined) return work(options);
  if (lacksMount()) console.log("no disk is filled: mounting a small one takes root");
  if (lacksSteppedClock()) console.log("no clock steps: libfaketime is missing, install Debian's package faketime");
  const startedAt = performance.now();
  const endsAt = startedAt + options.minutes * 60_000;
  const failed: number[] = [];
  let passed = 0;
  let next = options.first;
  await Promise.all(
    Array.from({ length: options.jobs }, async () => {
      const child = fork(process.argv[1] ?? "", process.argv.slice(2));
      // Each does one seed after the other, and tells of each whether it is good.
      child.on("message", (message) => {
        if (message === "passed") passed += 1;
        else if (typeof message === "number") failed.push(message);
        if (next > options.last || performance.now() > endsAt) child.send("end");
        else child.send(next++);
      });
      const [code]: unknown[] = await once(child, "exit");
      if (code !== 0) throw new Error(`a job ended with ${String(code)}`);
    }),
  );
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  console.log(`\n${minutes} minutes`);
  console.log(`${passed} passed, ${failed.length} failed${failed.length > 0 ? `: ${failed.join(", ")}` : ""}`);
  return failed.length === 0 && passed > 0 ? 0 : 1;
}

/** A process of its own, so that no job waits for what another one does. */
async function work({ faultCount, topology }: Options): Promise<number> {
  const world = await createModuleWorld();
  try {
    for (let told: unknown = "ready"; ;) {
      // Whoever started this has ended.
      if (!process.connected) return 1;
      process.send?.(told);
      const [seed]: unknown[] = await once(process, "message");
      if (typeof seed !== "number") return 0;
      const isGood = await runSeed({ seed, world, faultCount, topology }).then(
        (report) => tell(report, { faultCount, topology }),
        (error: unknown) => {
          console.log(`seed ${seed}  FAILED  ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
          return false;
        },
      );
      told = isGood ? "passed" : seed;
    }
  } finally {
    await world.remove();
    if (process.connected) process.disconnect?.();
  }
}

/** Whether it was a good run. */
async function tell(report: SeedReport, options: Pick<Options, "faultCount" | "topology">): Promise<boolean> {
  const { seed, topology, traits, faults, statuses, problems } = report;
  const isGood = problems.length === 0;
  const seen = [...statuses].map(([status, count]) => `${status}: ${count}`).join(", ");
  const lines = [
    `seed ${seed}  ${topology}  ${isGood ? "ok" : "FAILED"}  ${report.downloads} downloads, ${report.excused} excused  {${seen}}  ${report.maxRssMegabytes} MiB  well after ${report.recoveredMs} ms  took ${Math.round(report.tookMs / 1000)} s`,
    `verify ${traits.verify}${traits.hasSmallDisk ? ", small disk" : ""}${traits.hasSteppedClock ? ", stepped clock" : ""}`,
    ...faults,
  ];
  if (!isGood) {
    const again = options.topology === undefined ? "" : ` --topology ${options.topology}`;
    lines.push(...problems.slice(0, 10).map((problem) => `PROBLEM ${problem}`));
    lines.push(`again: npm run chaos -- --seeds ${seed}-${seed} --faults ${options.faultCount}${again}`);
    lines.push(`logs of the nodes: ${await keepOutputs(report)}`);
  }
  console.log(lines.join("\n  "));
  return isGood;
}

async function keepOutputs({ seed, outputs }: SeedReport): Promise<string> {
  const folder = path.join(logFolder, `seed-${seed}`);
  await mkdir(folder, { recursive: true });
  for (const [index, output] of outputs.entries()) await writeFile(path.join(folder, `node-${index}.log`), output);
  return folder;
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string", default: "1-200" },
        jobs: { type: "string", default: "1" },
        minutes: { type: "string", default: "Infinity" },
        faults: { type: "string", default: "4" },
        topology: { type: "string" },
      },
    });
    const [, first, last] = /^(\d+)-(\d+)$/.exec(values.seeds) ?? [];
    if (first === undefined || last === undefined) throw new Error(`--seeds is like 1-200, not ${values.seeds}`);
    const minutes = Number(values.minutes);
    if (!(minutes > 0)) throw new Error(`--minutes is a number above 0, not ${values.minutes}`);
    const jobs = Number(values.jobs);
    if (!(jobs >= 1)) throw new Error(`--jobs is a number from 1 on, not ${values.jobs}`);
    const topology = topologies.find((one) => one === values.topology);
    if (values.topology !== undefined && topology === undefined) throw new Error(`no topology ${values.topology}`);
    const faultCount = Number(values.faults);
    return { first: Number(first), last: Number(last), jobs, minutes, faultCount, topology };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}
