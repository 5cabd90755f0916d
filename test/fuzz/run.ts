import { parseArgs } from "node:util";
import { execute, fuzzTarget, loadTargets, type Finding, type FuzzTarget } from "./engine.ts";

const usage = `usage: node test/fuzz/run.ts [--seconds N] [--seed S] [target…]
       node test/fuzz/run.ts --input BASE64 target`;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  const known = await loadTargets();
  const unknown = options.names.filter((name) => known.every((target) => target.name !== name));
  if (unknown.length > 0) {
    console.error(`no target named ${unknown.join(", ")}; there are ${known.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  const targets = options.names.length === 0 ? known : known.filter(({ name }) => options.names.includes(name));
  const { input } = options;
  let failed = 0;
  for (const target of targets) {
    const passed = input === undefined ? fuzz(target, options.seconds, options.seed) : repeat(target, input);
    if (!passed) failed++;
  }
  console.log(`\n${targets.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

interface Options {
  readonly seconds: number;
  readonly seed: number;
  readonly input: Uint8Array | undefined;
  readonly names: readonly string[];
}

function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      options: { seconds: { type: "string" }, seed: { type: "string" }, input: { type: "string" } },
      allowPositionals: true,
    });
    const seconds = Number(values.seconds ?? "10");
    const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
    if (!(seconds > 0)) throw new Error(`--seconds must be a number above 0, not ${values.seconds}`);
    if (!Number.isSafeInteger(seed)) throw new Error(`--seed must be an integer, not ${values.seed}`);
    if (values.input !== undefined && positionals.length !== 1) throw new Error("--input needs exactly one target");
    const input = values.input === undefined ? undefined : Buffer.from(values.input, "base64");
    return { seconds, seed, input, names: positionals };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}

function fuzz(target: FuzzTarget, seconds: number, seed: number): boolean {
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  const { executions, outcomes, slowestMs, finding } = fuzzTarget(target, {
    seed,
    goesOn: () => performance.now() < endsAt,
  });
  const took = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    `${target.name}: ${executions} executions in ${took} s, ${outcomes} kinds of outcome, slowest ${slowestMs.toFixed(1)} ms, seed ${seed}`,
  );
  if (finding === undefined) return true;
  printFinding(target, finding);
  return false;
}

function repeat(target: FuzzTarget, input: Uint8Array): boolean {
  const { outcome, error, tookMs } = execute(target, input);
  console.log(`${target.name}: ${outcome}, ${tookMs.toFixed(1)} ms`);
  if (error === undefined) return true;
  printFinding(target, { error, input });
  return false;
}

function printFinding(target: FuzzTarget, { error, input }: Finding): void {
  console.log(`FINDING in ${target.name} with ${input.length} bytes: ${error.stack ?? error.message}`);
  console.log(`  repeat it: node test/fuzz/run.ts --input '${Buffer.from(input).toString("base64")}' ${target.name}`);
}
