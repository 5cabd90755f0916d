import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  buildModules,
  fixtureFiles,
  fixtureVersions,
  type FixtureVersion,
  incompressible,
} from "../support/fixture-modules.ts";
import { startFaultyUpstream } from "../support/faulty-upstream.ts";
import { createGoMachine } from "../support/go.ts";

/** The modules of all runs, as a GOPROXY has them. */
export interface ModuleWorld {
  readonly folder: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Fetched before anything goes wrong: `path@version`. */
  readonly known: readonly string[];
  /** Nobody has asked for them when the faults begin. */
  readonly cold: readonly string[];
  /** What go makes of each when it gets it from the folder's own server, without anything in between. */
  readonly sums: ReadonlyMap<string, string>;
}

const coldVersions: readonly FixtureVersion[] = Array.from({ length: 240 }, (_, index) => ({
  path: `example.com/cold/m${index}`,
  version: "v1.0.0",
  files: { "doc.go": `package m${index}\n`, data: incompressible((index % 12) * 10_000) },
  goMod: `module example.com/cold/m${index}\n\ngo 1.21\n`,
}));
const large: FixtureVersion = {
  path: "example.com/cold/large",
  version: "v1.0.0",
  files: { "doc.go": "package large\n", data: incompressible(20_000_000) },
  goMod: "module example.com/cold/large\n\ngo 1.21\n",
};

export async function createModuleWorld(): Promise<ModuleWorld> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-chaos-world-"));
  const files = new Map([...fixtureFiles(), ...buildModules([...coldVersions, large])]);
  for (const [key, bytes] of files) {
    await mkdir(path.dirname(path.join(folder, key)), { recursive: true });
    await writeFile(path.join(folder, key), bytes);
  }
  const known = fixtureVersions.filter(({ path }) => path !== "golang.org/toolchain").map(nameOf);
  const cold = [...coldVersions, large].map(nameOf);
  await using upstream = await startFaultyUpstream({ folder, faults: [], percent: 0, seed: 0 });
  const machine = await createGoMachine({ GOPROXY: upstream.url });
  const { stdout } = await machine.go(["mod", "download", "-json", ...known, ...cold]);
  await machine.remove();
  const sums = new Map(parseDownloads(stdout).map(({ module, sums }) => [module, sums ?? "none"]));
  return { folder, files, known, cold, sums };
}

/** What `go mod download -json` says of one module. */
export interface Download {
  readonly module: string;
  /** Both hashes; undefined when it failed. */
  readonly sums: string | undefined;
  readonly error: string | undefined;
}

export function parseDownloads(stdout: string): readonly Download[] {
  const objects = stdout.split(/^(?=\{)/m).filter((text) => text.trim() !== "");
  return objects.map((text) => {
    const said: Readonly<Record<string, string>> = JSON.parse(text);
    const { Path, Version, Sum, GoModSum, Error: error } = said;
    const sums = error === undefined ? `${Sum} ${GoModSum}` : undefined;
    return { module: `${Path}@${Version}`, sums, error };
  });
}

function nameOf({ path, version }: FixtureVersion): string {
  return `${path}@${version}`;
}
