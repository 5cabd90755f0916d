import { readFile } from "node:fs/promises";
import path from "node:path";
import { startCli } from "../../support/cli.ts";
import { createGoMachine } from "../../support/go.ts";
import type { Random } from "../../support/random.ts";
import { waitFor } from "../../support/wait-for.ts";
import { generatedFile } from "../generated-modules.ts";
import type { Rig } from "./rig.ts";
import { brokenDatabases, bucketKeys, storedKeys, wrongKeys } from "./stored-files.ts";

/**
 * Everything that is stored, with the sources off: what is wrong with it. The rig's node is stopped afterwards. Objects of a bucket that
 * are in `proven` are not read again; those that are right are added.
 */
export async function fullProblems(rig: Rig, random: Random, proven: Set<string>): Promise<readonly string[]> {
  const problems: string[] = [];
  await rig.stop();
  await rig.parts.bucket?.link.setFault(undefined);
  await rig.start({ GOPROXY: "off" });
  const files = [...rig.acknowledged].filter((key) => !key.endsWith("/list"));
  const sample = files.length === 0 ? [] : Array.from({ length: 200 }, () => random.pick(files));
  problems.push(...(await rig.missing(sample)).map((one) => `lost, with sources off: ${one}`));
  problems.push(...(await goProblems(rig.url, wholeModules(rig, random, 12))));
  if (rig.parts.bucket !== undefined) problems.push(...(await bucketProblems(rig, files, proven)));
  await rig.stop();
  problems.push(...(await brokenDatabases(rig.dataDir)));
  const stored = await storedKeys(rig.dataDir, "");
  const onDisk = new Set(stored);
  const gone = files.filter((key) => !onDisk.has(key));
  problems.push(...gone.map((key) => `clients have got it, and it is not on the disk: ${key}`));
  const wrong = await wrongKeys(rig.dataDir, stored);
  problems.push(...wrong.map((key) => `wrong bytes are stored: ${key}`));
  problems.push(...(await scrubProblems(rig)));
  return problems;
}

/** A node whose disk is lost serves from the bucket what clients have got. */
export async function problemsWithoutDisk(rig: Rig, random: Random): Promise<readonly string[]> {
  const files = [...rig.acknowledged].filter((key) => !key.endsWith("/list"));
  if (rig.parts.bucket === undefined || files.length === 0) return [];
  await rig.loseDisk();
  await rig.start({ GOPROXY: "off" });
  const missing = await rig.missing(Array.from({ length: 300 }, () => random.pick(files)));
  await rig.stop();
  return missing.map((one) => `lost with the disk: ${one}`);
}

/** Versions of which clients have got all three files. */
function wholeModules(rig: Rig, random: Random, count: number): readonly string[] {
  const whole = [...rig.acknowledged].flatMap((key) => {
    const [, base, module, version] = /^((.+)\/@v\/(.+))\.zip$/.exec(key) ?? [];
    const isWhole = rig.acknowledged.has(`${base}.info`) && rig.acknowledged.has(`${base}.mod`);
    return isWhole ? [`${module}@${version}`] : [];
  });
  return whole.length === 0 ? [] : [...new Set(Array.from({ length: count }, () => random.pick(whole)))];
}

async function goProblems(url: string, modules: readonly string[]): Promise<readonly string[]> {
  if (modules.length === 0) return [];
  const machine = await createGoMachine({ GOPROXY: url });
  try {
    const { code, stdout, stderr } = await machine.go(["mod", "download", "-json", ...modules]);
    if (code !== 0) return [`go, with sources off: ${stdout}${stderr}`.slice(0, 1000)];
    const problems: string[] = [];
    for (const module of modules) {
      const base = module.replace("@", "/@v/");
      for (const kind of ["mod", "zip"]) {
        const bytes = await readFile(path.join(machine.modCache, "cache/download", `${base}.${kind}`));
        if (!bytes.equals(generatedFile(`${base}.${kind}`) ?? Buffer.alloc(0)))
          problems.push(`go has another ${base}.${kind}`);
      }
    }
    return problems;
  } finally {
    await machine.remove();
  }
}

/** Nothing waits for the bucket any more, and it has all that clients have got. */
async function bucketProblems(
  rig: Rig,
  acknowledged: readonly string[],
  proven: Set<string>,
): Promise<readonly string[]> {
  const { bucket } = rig.parts;
  if (bucket === undefined) return [];
  const waiting = await waitFor(
    async () => {
      const metrics = await (await fetch(`${rig.url}/metrics`)).text();
      const count = /^sluice_outbox_files (\d+)$/m.exec(metrics)?.[1];
      if (count !== "0") throw new Error(`${count} files wait for the bucket`);
      return [];
    },
    { timeout: 90_000, interval: 100 },
  ).catch((error: unknown) => [String(error)]);
  const { keys, wrong } = await bucketKeys(bucket, proven);
  return [
    ...waiting,
    ...wrong.map((key) => `wrong bytes in the bucket: ${key}`),
    ...acknowledged.filter((key) => !keys.has(key)).map((key) => `not in the bucket: ${key}`),
  ];
}

async function scrubProblems(rig: Rig): Promise<readonly string[]> {
  const { ended } = startCli(["scrub", "--data-dir", rig.dataDir, "--dry-run"], {
    cwd: rig.dataDir,
    env: { ...rig.parts.env, GOSUMDB: "off", GOPROXY: "off" },
  });
  const { code, stdout, stderr } = await ended;
  return code === 0 ? [] : [`sluice scrub: ${stdout}${stderr}`.slice(0, 1000)];
}
