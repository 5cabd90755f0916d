import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { runSoak, type SoakOptions, type SoakReport } from "./run-soak.ts";

const usage = "usage: npm run chaos:soak -- [--minutes 60] [--seed 1] [--samples FILE]";

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  console.log(`samples: ${options.samplesFile}`);
  const report = await runSoak(options);
  console.log(`\n${summary(report)}\n\n${report.problems.length} problems`);
  for (const problem of report.problems.slice(0, 30)) console.log(`  ${problem}`);
  return report.problems.length === 0 ? 0 : 1;
}

function summary({ minutes, load, faults, trends, cores, errors, ...upstream }: SoakReport): string {
  const rows = trends.map(({ name, median, least, most, growth }) => [
    name,
    median,
    least,
    most,
    `${(growth * 100).toFixed(1)} %`,
  ]);
  const heads = ["last two thirds", "median", "least", "most", "growth"];
  const table = [heads, heads.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
  const requests = [...load.requests].map(
    ([what, count]) => `${what} ${count}${load.slowest.has(what) ? ` (slowest ${load.slowest.get(what)} ms)` : ""}`,
  );
  return [
    `${minutes.toFixed(0)} minutes, ${cores.toFixed(2)} cores`,
    `requests: ${requests.join(", ")}`,
    `wrong bytes: ${load.wrongBytes}; 404 of what exists: ${load.falseNotFounds}`,
    `upstream: ${upstream.upstreamRequests} requests, ${upstream.upstreamFailed} of them failed on purpose`,
    `faults: ${list(faults)}`,
    `warnings and errors in the log: ${list(errors)}`,
    "",
    table,
  ].join("\n");
}

function list(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(", ") || "none";
}

function readOptions(): SoakOptions | undefined {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "60" },
        seed: { type: "string", default: "1" },
        samples: { type: "string", default: path.join(tmpdir(), `sluice-soak-${process.pid}.jsonl`) },
      },
    });
    const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
    if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error("--minutes and --seed are numbers");
    return { minutes, seed, samplesFile: values.samples, log: (line) => console.log(line), signal: ending.signal };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}
