import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { startSumLog } from "../../test/support/sum-log.ts";
import { removeFolder, temporaryFolder } from "../folders.ts";
import { serverCore } from "../machine.ts";
import { Row, takeTurns } from "../measurement.ts";
import type { Workload } from "./workload.ts";

const programFolder = path.join(import.meta.dirname, "../programs");
const sluiceProgram = path.join(import.meta.dirname, "../../src/cli/main.ts");
const auditedRecords = 100_000;

/** Private versions that enter our own log, each safe on the disk before it is answered. */
export const ownLog: Workload = {
  names: ["sumdb-append"],
  async run(bench) {
    const rows: Row[] = [];
    for (const [askers, title] of [
      [1, "new records of our own log, one asker"],
      [64, "new records of our own log, 64 askers"],
    ] as const) {
      const row = new Row({ workload: "sumdb-append", title, unit: "records/s", aims: [] });
      rows.push(row);
      await takeTurns(bench.options.rounds, ["sluice"] as const, async (contestant, round) => {
        const folder = temporaryFolder("append");
        const program = path.join(programFolder, "append.ts");
        const perSecond = Number(await onServerCore([program, folder, String(bench.options.seconds), String(askers)]));
        bench.progress(`sumdb-append, round ${round + 1}: ${Math.round(perSecond)} /s for ${askers}`);
        row.add(contestant, perSecond);
        removeFolder(folder);
      });
    }
    return rows.map((row) => row.measurement());
  },
};

/** `sluice sumdb verify`: every record and every hash of a log, read and computed again, and as many look-ups as it does by itself. */
export const audit: Workload = {
  names: ["sumdb-audit"],
  async run(bench) {
    const log = await startSumLog({ size: auditedRecords });
    const title = `audit of a log with ${auditedRecords} records`;
    const row = new Row({ workload: "sumdb-audit", title, unit: "s", aims: [] });
    try {
      await takeTurns(bench.options.rounds, ["sluice"] as const, async (contestant, round) => {
        const begin = performance.now();
        await onServerCore([sluiceProgram, "sumdb", "verify", log.url, "--key", log.verifierKey]);
        const seconds = (performance.now() - begin) / 1000;
        bench.progress(`sumdb-audit, round ${round + 1}: ${seconds.toFixed(2)} s`);
        row.add(contestant, seconds);
      });
    } finally {
      await log.close();
    }
    return [row.measurement()];
  },
};

/** Runs a program of ours to its end, where a server would be, and answers what it printed. */
async function onServerCore(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("taskset", ["-c", String(serverCore), process.execPath, ...args]);
  return stdout;
}
