import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  buildModules,
  type FixtureFiles,
  fixtureFiles,
  fixtureVersions,
  type FixtureVersion,
  incompressible,
} from "../support/fixture-modules.ts";
import { startFaultyUpstream } from "../support/faulty-upstream.ts";
import { startGitServer } from "../support/git-server.ts";
import { createGoMachine } from "../support/go.ts";
import { gitOf } from "../support/sumdb-scene.ts";
import { buildPrivateModules, privatePattern } from "./private-modules.ts";

/** The modules of all runs: the public ones as a GOPROXY has them, the private ones in repositories. */
export interface ModuleWorld {
  /** In the GOPROXY layout. */
  readonly folder: string;
  readonly files: FixtureFiles;
  /** Root of the private repositories, for a git server. */
  readonly repositories: string;
  /** Fetched before anything goes wrong: `path@version`. */
  readonly known: readonly string[];
  /** Nobody has asked for them when the faults begin. */
  readonly cold: readonly string[];
  /** Both hashes that go makes of each when it gets it from its own server, without anything in between. */
  readonly sums: ReadonlyMap<string, string>;
  remove(): Promise<void>;
}

/** Too large to be held back until it is verified: who gets it follows it while it is fetched. */
export const streamed = "example.com/cold/large@v1.0.0";

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
  const root = await mkdtemp(path.join(tmpdir(), "sluice-chaos-world-"));
  const folder = path.join(root, "modules");
  const files = new Map([...fixtureFiles(), ...buildModules([...coldVersions, large])]);
  for (const [key, bytes] of files) {
    await mkdir(path.dirname(path.join(folder, key)), { recursive: true });
    await writeFile(path.join(folder, key), bytes);
  }
  const internal = await buildPrivateModules(root);
  const known = fixtureVersions.filter(({ path }) => path !== "golang.org/toolchain").map(nameOf);
  const modules = {
    known: [...known, ...internal.known],
    cold: [...[...coldVersions, large].map(nameOf), ...internal.cold],
  };
  const sums = await sumsOf([...modules.known, ...modules.cold], { folder, repositories: internal.root });
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  return { folder, files, repositories: internal.root, ...modules, sums, remove };
}

async function sumsOf(
  modules: readonly string[],
  { folder, repositories }: Pick<ModuleWorld, "folder" | "repositories">,
): Promise<ReadonlyMap<string, string>> {
  await using upstream = await startFaultyUpstream({ folder, faults: [], percent: 0, seed: 0 });
  const git = await startGitServer({ root: repositories });
  const machine = await createGoMachine({ GOPROXY: upstream.url, GOPRIVATE: privatePattern, ...gitOf({ git }) });
  const { stdout } = await machine.go(["mod", "download", "-json", ...modules]);
  await Promise.all([machine.remove(), git.close()]);
  return new Map(
    parseDownloads(stdout).map(({ module, sums, error }) => {
      if (sums === undefined) throw new Error(`${module} does not come even without faults: ${error}`);
      return [module, sums];
    }),
  );
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
