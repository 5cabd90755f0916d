import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the go command makes of one module query, straight from the repository. */
export interface GoAnswer {
  readonly version: string | undefined;
  /** What it writes as `.info`. */
  readonly info: string | undefined;
  readonly goMod: string | undefined;
  /** Of the zip. */
  readonly h1: string | undefined;
  readonly error: string | undefined;
}

/** `GOPROXY=direct go`, on an empty module cache, with remotes that lead to repositories of the test. */
export interface GoDirect extends AsyncDisposable {
  /** By `path@query`. All at once: go may use for one what it fetched for another. */
  download(queries: readonly string[]): Promise<ReadonlyMap<string, GoAnswer>>;
  /** By module path; retracted versions are there. A module that go refuses is missing. */
  list(paths: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
}

/** `remotes`: what git is to ask in place of URLs that begin so. With a `proxy`, go asks that in place of git. */
export async function createGoDirect(
  remotes: Readonly<Record<string, string>>,
  { proxy = "direct" }: { readonly proxy?: string } = {},
): Promise<GoDirect> {
  const root = await mkdtemp(join(tmpdir(), "sluice-direct-"));
  const config = Object.entries(remotes).map(
    ([url, actual]) => `[url ${JSON.stringify(actual)}]\n\tinsteadOf = ${url}\n`,
  );
  await writeFile(join(root, "gitconfig"), config.join(""));
  await mkdir(join(root, ".config/go/telemetry"), { recursive: true });
  await writeFile(join(root, ".config/go/telemetry/mode"), "off");
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: root,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: join(root, "gitconfig"),
    GOPATH: join(root, "gopath"),
    GOCACHE: join(root, "gocache"),
    GOENV: "off",
    GOFLAGS: "-modcacherw",
    GOTOOLCHAIN: "local",
    GOSUMDB: "off",
    GOPROXY: proxy,
  };
  const go = async (args: readonly string[]): Promise<Record<string, unknown>[]> => {
    // Every run starts from nothing, so that no answer depends on the ones before.
    const modCache = await mkdtemp(join(root, "modcache-"));
    const project = await mkdtemp(join(root, "project-"));
    const output = await run(args, { cwd: project, env: { ...env, GOMODCACHE: modCache } });
    const objects = parseObjects(output);
    for (const object of objects) object["goModText"] = await textOf(object["GoMod"]);
    for (const object of objects) object["infoText"] = await textOf(object["Info"]);
    await rm(modCache, { recursive: true, force: true });
    return objects;
  };
  return {
    async download(queries) {
      const answers = new Map<string, GoAnswer>();
      for (const object of await go(["mod", "download", "-json", ...queries])) {
        const query = text(object["Query"]) ?? text(object["Version"]) ?? "";
        answers.set(`${text(object["Path"])}@${query}`, answerOf(object));
      }
      return answers;
    },
    async list(paths) {
      const lists = new Map<string, readonly string[]>();
      for (const object of await go(["list", "-m", "-e", "-retracted", "-versions", "-json", ...paths])) {
        if (object["Error"] !== undefined) continue;
        const versions = object["Versions"];
        lists.set(text(object["Path"]) ?? "", Array.isArray(versions) ? versions.map(String) : []);
      }
      return lists;
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

function answerOf(object: Record<string, unknown>): GoAnswer {
  const error = text(object["Error"]);
  return {
    version: error === undefined ? text(object["Version"]) : undefined,
    info: error === undefined ? text(object["infoText"]) : undefined,
    goMod: text(object["goModText"]),
    h1: text(object["Sum"]),
    error,
  };
}

async function textOf(file: unknown): Promise<string | undefined> {
  return typeof file === "string" ? readFile(file, "utf8") : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** JSON objects one behind the other, each ending in a line of its own. */
function parseObjects(output: string): Record<string, unknown>[] {
  return output
    .split(/^(?=\{$)/m)
    .filter((part) => part.trim() !== "")
    .map((part) => JSON.parse(part));
}

function run(args: readonly string[], options: { cwd: string; env: Record<string, string> }): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("go", args, { ...options, maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && stdout === "") reject(new Error(`go ${args.join(" ")}: ${stderr}`, { cause: error }));
      else resolve(stdout);
    });
  });
}
