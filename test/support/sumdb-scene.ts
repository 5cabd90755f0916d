import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSignerKey } from "../../src/protocol/sumdb/index.ts";
import { fixtureFiles, type FixtureFiles } from "./fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "./fixture-upstream.ts";
import { buildRepo, type FixtureRepo } from "./git-repos.ts";
import { type GitServer, startGitServer } from "./git-server.ts";
import { createGoMachine, type GoMachine } from "./go.ts";
import { type RunningSluice, startSluiceProcess } from "./sluice.ts";
import { startSumLog, type SumLog, sumLogSigner } from "./sum-log.ts";

/** Its commits `c0` and `c1` are v1.0.0 and v1.1.0. */
export const privateModule = "github.com/corp/lib";
/** Public, and known to nobody but its repository: v1.0.0. */
export const openModule = "github.com/open/lib";
export const publicLogName = "sum.public.example";
export const ownLogName = "sums.corp.example/go";
/** What go needs to take the log of a Sluice for its database. */
export const ownVerifierKey = parseSignerKey(sumLogSigner(ownLogName)).verifierKey;

export interface SluiceSettings {
  /** Lines of `[sumdb]` behind `database` and `key_files`. */
  readonly sumdb?: string;
  /** GOSUMDB of the Sluice. Default: the public log, past all proxies. */
  readonly database?: string;
  /** Further arguments of the command line. */
  readonly args?: readonly string[];
}

/** A company: public modules with a public log, a private repository, and a Sluice with a log of its own in front of them. */
export interface SumScene extends AsyncDisposable {
  /** What the upstream serves. Changing the map changes the upstream, and not the log. */
  readonly files: FixtureFiles;
  readonly upstream: FixtureUpstream;
  readonly log: SumLog;
  readonly git: GitServer;
  readonly repo: FixtureRepo;
  /** Of the Sluice, whichever runs. */
  readonly dataDir: string;
  /** Ends the Sluice that runs. */
  startSluice(settings?: SluiceSettings): Promise<RunningSluice>;
  stopSluice(): Promise<void>;
  /** A developer who has nothing yet; everything else of the environment is go's own default. */
  createDeveloper(env: Readonly<Record<string, string>>): Promise<GoMachine>;
}

export async function createSumScene(): Promise<SumScene> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-sumdb-"));
  const dataDir = join(folder, "data");
  await mkdir(dataDir);
  await writeFile(join(folder, "own.key"), sumLogSigner(ownLogName), { mode: 0o600 });
  const repo = await buildRepo(join(folder, "repositories/corp/lib.git"), {
    commits: [
      { files: { "go.mod": `module ${privateModule}\n\ngo 1.21\n`, "lib.go": "package lib\n" }, tags: ["v1.0.0"] },
      { files: { "more.go": "package lib\n" }, tags: ["v1.1.0"] },
    ],
  });
  await buildRepo(join(folder, "repositories/open/lib.git"), {
    commits: [{ files: { "go.mod": `module ${openModule}\n`, "lib.go": "package lib\n" }, tags: ["v1.0.0"] }],
  });
  const git = await startGitServer({ root: join(folder, "repositories") });
  const files = fixtureFiles();
  const upstream = await startFixtureUpstream({ modules: files });
  const log = await startSumLog({ name: publicLogName, size: 600, vouchFor: fixtureFiles() });
  const developers: GoMachine[] = [];
  let sluice: RunningSluice | undefined;

  async function stopSluice(): Promise<void> {
    await sluice?.stop();
    sluice = undefined;
  }

  return {
    files,
    upstream,
    log,
    git,
    repo,
    dataDir,
    stopSluice,
    async startSluice({ sumdb = "", database = log.gosumdb, args = [] } = {}) {
      await stopSluice();
      const file = join(folder, "sluice.toml");
      await writeFile(
        file,
        `[[private]]
pattern = "github.com/corp"
url = "${git.url}/{path}.git"

[[git.override]]
pattern = "github.com/open/*"
url = "${git.url}/{path}.git"

[sumdb]
database = "${database}"
key_files = ["own.key"]
${sumdb}
[git]
refs_ttl = "0s"
`,
      );
      sluice = await startSluiceProcess({
        upstream: `${upstream.url},direct`,
        dataDir,
        args: ["--config", file, ...args],
      });
      return sluice;
    },
    async createDeveloper(env) {
      const machine = await createGoMachine(env);
      developers.push(machine);
      return machine;
    },
    async [Symbol.asyncDispose]() {
      await stopSluice();
      await Promise.all([git.close(), upstream.close(), log.close()]);
      await Promise.all(developers.map((machine) => machine.remove()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Environment with which go fetches the private module from the scene's git server itself, as if that were its real host. */
export function gitOf({ git }: Pick<SumScene, "git">): Record<string, string> {
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.${git.url}/.insteadOf`,
    GIT_CONFIG_VALUE_0: "https://github.com/",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
  };
}

/** What a database told a developer's go about a version, as it keeps it when it believed it; undefined when it never did. */
export async function rememberedLookup(
  machine: GoMachine,
  database: string,
  lookup: string,
): Promise<string | undefined> {
  const file = join(machine.modCache, "cache/download/sumdb", database, "lookup", lookup);
  return readFile(file, "utf8").catch(() => undefined);
}
