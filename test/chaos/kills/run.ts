import { parseArgs } from "node:util";
import { type KillMode, killModes } from "./modes.ts";
import { type KillsOptions, type ModeReport, runKills } from "./run-kills.ts";

const usage = "usage: npm run chaos:kills -- [--count 1000] [--seed 1] [--modes disk,bucket,workers] [--minutes N]";

/** Most kills are of what all nodes have; a node with workers takes three times as long to start. */
const shares: Readonly<Record<KillMode, number>> = { disk: 9, bucket: 8, workers: 3 };

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  const { modes, minutes, problems } = await runKills({ ...options, log: (line) => console.log(line) });
  console.log(`\n${table(modes)}\n`);
  for (const { mode, warnings } of modes) {
    console.log(
      `${mode} logged: ${[...warnings].map(([name, count]) => `${name} ${count}`).join(", ") || "no warning"}`,
    );
  }
  const kills = modes.reduce((sum, one) => sum + one.kills, 0);
  console.log(`\n${kills} kills in ${minutes.toFixed(1)} minutes, seed ${options.seed}: ${problems.length} problems`);
  for (const problem of problems) console.log(`  ${problem}`);
  return problems.length === 0 && kills === options.count ? 0 : 1;
}

function table(modes: readonly ModeReport[]): string {
  const rows = modes.map((one) => [
    one.mode,
    one.kills,
    one.duringStart,
    one.ofOneProcess,
    one.withRequests,
    one.requestsCut,
    one.stagingFilesLeft,
    one.acknowledged,
    `${(median(one.startMs) / 1000).toFixed(2)} s`,
  ]);
  const heads = [
    "mode",
    "kills",
    "before it listened",
    "of one process",
    "with requests under way",
    "requests cut",
    "files left in staging",
    "files acknowledged",
    "start, median",
  ];
  return [heads, heads.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function readOptions(): KillsOptions | undefined {
  try {
    const { values } = parseArgs({
      options: {
        count: { type: "string", default: "1000" },
        seed: { type: "string", default: "1" },
        modes: { type: "string", default: killModes.join(",") },
        minutes: { type: "string", default: "Infinity" },
      },
    });
    const [count, seed, minutes] = [Number(values.count), Number(values.seed), Number(values.minutes)];
    if (!(count > 0 && minutes > 0) || !Number.isInteger(seed))
      throw new Error("--count, --seed and --minutes are numbers");
    const names = values.modes.split(",");
    const unknown = names.find((name) => !killModes.some((mode) => mode === name));
    if (unknown !== undefined) throw new Error(`no mode ${unknown}`);
    const modes = Object.fromEntries(
      killModes.filter((mode) => names.includes(mode)).map((mode) => [mode, shares[mode]]),
    );
    return { count, seed, modes, fullCheckEvery: 50, endsAt: performance.now() + minutes * 60_000 };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}
