import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { keptFolder, removeFolder, temporaryFolder } from "./folders.ts";
import { goEnvironment, machineChain, runGo } from "./go-client.ts";
import { copyProject, projectFile } from "./project.ts";

/** The real project, as the servers see it. */
export interface ProjectFiles {
  /** Every version its module graph mentions, whole, in the GOPROXY layout. */
  readonly tree: string;
  /** Those that go.sum vouches for whole, not only by their go.mod, as `path@version`. */
  readonly modules: readonly string[];
}

const moduleCache = path.join(keptFolder, "modcache");
const tree = path.join(moduleCache, "cache/download");
const marker = path.join(moduleCache, "complete.json");
const attempts = 5;

/** Fetches the project's modules from the machine's own chain and keeps them for later runs. */
export async function projectFiles(): Promise<ProjectFiles> {
  const goMod = readFileSync(projectFile, "utf8");
  const kept: { goMod?: string; modules?: readonly string[] } = existsSync(marker)
    ? JSON.parse(readFileSync(marker, "utf8"))
    : {};
  if (kept.goMod === goMod && kept.modules !== undefined) return { tree, modules: kept.modules };
  const modules = await fetchTree();
  writeFileSync(marker, JSON.stringify({ goMod, modules }));
  return { tree, modules };
}

async function fetchTree(): Promise<string[]> {
  const work = temporaryFolder("project");
  copyProject(work);
  await persistently(["mod", "download", "all"], work);
  const goSum = readFileSync(path.join(work, "go.sum"), "utf8").split("\n");
  // Of versions that lost against a later one, go itself wants the go.mod only. A real upstream has them whole, and
  // goproxy fetches all of a version whatever it is asked for.
  const rest = versionsWithoutZip();
  if (rest.length > 0) await persistently(["mod", "download", ...rest], temporaryFolder("versions"));
  for (const entry of readdirSync(moduleCache)) {
    if (entry !== "cache") removeFolder(path.join(moduleCache, entry));
  }
  return goSum
    .filter((line) => line.includes(" h1:") && !line.includes("/go.mod h1:"))
    .map((line) => line.split(" ").slice(0, 2).join("@"));
}

/** As `path@version`, unescaped. */
function versionsWithoutZip(): string[] {
  return globSync("**/@v/*.mod", { cwd: tree })
    .map((file) => file.slice(0, -".mod".length))
    .filter((file) => !existsSync(path.join(tree, `${file}.zip`)))
    .map((file) => file.replace("/@v/", "@").replaceAll(/!([a-z])/g, (_, letter: string) => letter.toUpperCase()));
}

/** Mirrors of companies fail now and then, so it takes several attempts. */
async function persistently(args: readonly string[], cwd: string): Promise<void> {
  const env = { ...goEnvironment(cwd), GOMODCACHE: moduleCache, GOPROXY: machineChain() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await runGo(args, { cwd, env });
      return;
    } catch (error) {
      if (attempt === attempts) throw error;
    }
  }
}
