import { parseArgs } from "node:util";

/** What the command line asks for. */
export interface BenchOptions {
  /** Names of workloads, or of groups of them; empty: all. */
  readonly only: readonly string[];
  /** How long one load run of one peer takes. */
  readonly seconds: number;
  /** How often each peer takes its turn in workloads of seconds. */
  readonly rounds: number;
  /** The same for workloads that download a whole project, which take minutes. */
  readonly downloadRounds: number;
  /** For profiling: no peers, no ratios. */
  readonly sluiceOnly: boolean;
}

export const usage = `npm run bench -- [options]
  --only NAME,…          only these workloads (all names: --list)
  --seconds N            length of one load run (default 3)
  --rounds N             turns of each peer (default 5)
  --download-rounds N    turns in the workloads that download a project (default 3)
  --sluice-only          without nginx, goproxy and the direct way
  --list                 names the workloads`;

/** Throws a TypeError with a sentence for people when an option is unknown or no positive number. */
export function parseOptions(args: readonly string[]): BenchOptions & { readonly list: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: "" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "5" },
      "download-rounds": { type: "string", default: "3" },
      "sluice-only": { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  return {
    only: values.only.split(",").filter((name) => name !== ""),
    seconds: positive("--seconds", values.seconds),
    rounds: positive("--rounds", values.rounds),
    downloadRounds: positive("--download-rounds", values["download-rounds"]),
    sluiceOnly: values["sluice-only"],
    list: values.list,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`${name} needs a whole number from 1, not ${text}`);
  return value;
}
