import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { goEnvironment, runGo } from "../go-client.ts";
import { keptFolder } from "../folders.ts";
import { freePort, startServer } from "../server-process.ts";
import type { Peer } from "./peer.ts";

const modulePath = "github.com/goproxy/goproxy";
const version = "v0.26.0";
const h1 = "h1:SP76nMyyJRm88hs7Q2druaTVbe+nzSkk8XvsHtPlCPI=";
const binFolder = path.join(keptFolder, "bin");
const program = path.join(binFolder, `goproxy-${version}`);
const attempts = 3;

/** The best known Go module proxy written in Go, with its store on disk. */
export const goproxy: Peer = {
  name: "goproxy",
  isProxy: true,
  async prepare() {
    if (existsSync(program)) return undefined;
    const reasons: string[] = [];
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      for (const build of [installWithGo, buildFromItsSource]) {
        try {
          await build();
          return undefined;
        } catch (error) {
          reasons.push(error instanceof Error ? (error.message.trim().split("\n").at(-1) ?? "") : String(error));
        }
      }
    }
    return `${modulePath}@${version} cannot be built here: ${reasons.at(-1)}`;
  },
  async start({ folder, upstream, log }) {
    const url = new URL(`http://127.0.0.1:${await freePort()}`);
    const store = path.join(folder, "store");
    mkdirSync(store);
    const relayed = log === undefined ? [] : ["--proxied-sumdbs", `${log.name} ${new URL(log.path, upstream).href}`];
    const server = await startServer({
      command: [program, "server", "--address", url.host, "--cacher-dir", store, "--temp-dir", folder, ...relayed],
      env: { ...goEnvironment(path.join(folder, "go")), GOPROXY: upstream },
      folder,
      probe: url,
    });
    return { name: "goproxy", url, ...server };
  },
};

async function installWithGo(): Promise<void> {
  await go(["install", `${modulePath}/cmd/goproxy@${version}`], binFolder, { GOBIN: binFolder });
  cpSync(path.join(binFolder, "goproxy"), program);
}

/**
 * `go install` also asks for the list of versions and for the checksum database, and some company mirrors have neither.
 * The same source, its hash compared with the one written here and its dependencies with its own go.sum.
 */
async function buildFromItsSource(): Promise<void> {
  const output = await go(["mod", "download", "-json", `${modulePath}@${version}`], binFolder, { GOSUMDB: "off" });
  const downloaded: { Sum?: string; Dir?: string } = JSON.parse(output);
  if (downloaded.Sum !== h1 || downloaded.Dir === undefined) {
    throw new Error(`${modulePath}@${version} has the h1 ${downloaded.Sum}, expected ${h1}`);
  }
  const source = path.join(binFolder, "source");
  cpSync(downloaded.Dir, source, { recursive: true });
  await go(["build", "-trimpath", "-o", program, "./cmd/goproxy"], source, { GOSUMDB: "off" });
  rmSync(source, { recursive: true });
}

async function go(args: readonly string[], cwd: string, env: Readonly<Record<string, string>>): Promise<string> {
  mkdirSync(binFolder, { recursive: true });
  const cache = { GOFLAGS: "-modcacherw", GOMODCACHE: path.join(keptFolder, "peer-modcache") };
  return runGo(args, { cwd, env: { ...cache, ...env } });
}
