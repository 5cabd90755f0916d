import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startCli } from "../support/cli.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { buildRepo, type RepoDescription } from "../support/git-repos.ts";
import { type GitRequest, type GitServer, startGitServer } from "../support/git-server.ts";
import { createGoMachine } from "../support/go.ts";
import { serveHttp } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { lacksSsh, type SshServer, startSshServer } from "../support/ssh-server.ts";

const password = "hunter2/hunter2+ü";

function library(modulePath: string): RepoDescription {
  return {
    commits: [
      { files: { "go.mod": `module ${modulePath}\n\ngo 1.24\n`, "lib.go": "package lib\n" }, tags: ["v1.0.0"] },
      { files: { "lib.go": "package lib\n\nconst Two = 2\n" }, tags: ["v1.1.0"] },
    ],
  };
}

describe.skipIf(lacks("go", ["version"]) || lacksSsh())("private modules with a credential", () => {
  let folder: string;
  let git: GitServer;
  let ssh: SshServer;
  let upstream: FixtureUpstream;
  let sluice: RunningSluice;
  let key: string;

  const setPassword = (text: string): Promise<void> => writeFile(join(folder, "password"), `${text}\n`);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-private-"));
    const root = join(folder, "repositories");
    for (const host of ["https", "ssh"]) {
      for (const name of ["lib", "rotated", "slow"]) {
        await buildRepo(join(root, `${host}/${name}.git`), library(`${host}.corp.example/${host}/${name}`));
      }
    }
    git = await startGitServer({ root, credentials: [{ username: "me", password }] });
    ssh = await startSshServer({ root });
    key = (await readFile(ssh.keyFile, "utf8")).split("\n")[2] ?? "";
    await setPassword(password);
    await writeFile(
      join(folder, "sluice.toml"),
      `[[private]]
pattern = "https.corp.example"
url = "${git.url}/{path}.git"
credential = { kind = "password", username = "me", command = ["cat", "${join(folder, "password")}"] }

[[private]]
pattern = "ssh.corp.example"
url = "${ssh.url}/{path}.git"
credential = { kind = "ssh", file = "${ssh.keyFile}", known_hosts = "${ssh.knownHostsFile}" }

[log]
level = "trace"
`,
    );
    upstream = await startFixtureUpstream();
    sluice = await startSluiceProcess({ upstream: upstream.url, args: ["--config", join(folder, "sluice.toml")] });
  });
  afterAll(async () => {
    await sluice.stop();
    await Promise.all([git.close(), ssh.close(), upstream.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  async function go(...args: string[]): Promise<string> {
    const machine = await createGoMachine({ GOPROXY: sluice.url });
    onTestFinished(() => machine.remove());
    const { stdout, stderr } = await machine.go(args);
    return stdout + stderr;
  }

  it.each(["https", "ssh"])("come over %s, and their names go to no upstream", async (host) => {
    const module = `${host}.corp.example/${host}/lib`;
    expect(await go("list", "-m", "-versions", module)).toBe(`${module} v1.0.0 v1.1.0\n`);
    const downloaded = await go("mod", "download", "-json", `${module}@v1.1.0`);
    expect(downloaded).toContain('"Sum": "h1:');
    expect(await go("mod", "download", "-json", `${module}@main`)).toContain('"Version": "v1.1.0"');
    expect(upstream.requestsFor(/corp\.example/)).toEqual([]);
  });

  it("say what is wrong with a refused password, and take a new one without a restart", async () => {
    git.credentials = [{ username: "me", password: "another one" }];
    const refused = await go("list", "-m", "https.corp.example/https/rotated@v1.0.0");
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toContain("refuses Sluice's credential");
    await setPassword("another one");
    expect(await go("list", "-m", "https.corp.example/https/rotated@v1.0.0")).toBe(
      "https.corp.example/https/rotated v1.0.0\n",
    );
    await setPassword(password);
    git.credentials = [{ username: "me", password }];
  });

  it("are not shown to a stranger whose page names their repository", async () => {
    const web = await serveHttp((request, response) => {
      const { host, pathname } = new URL(request.url ?? "", "http://web");
      const page = `<meta name="go-import" content="${host}${pathname} git ${git.url}/https${pathname}.git">`;
      response.writeHead(200, { "content-type": "text/html" }).end(page);
    });
    const stranger = await startSluiceProcess({
      upstream: "direct",
      args: ["--config", join(folder, "sluice.toml")],
      env: {
        HTTP_PROXY: web.url().href,
        HTTPS_PROXY: web.url().href,
        NO_PROXY: "127.0.0.1",
        GOINSECURE: "stranger.example.test",
      },
    });
    onTestFinished(async () => void (await stranger.stop()));
    const ask = async (path: string): Promise<Response> => fetch(`${stranger.url}/${path}/@v/v1.0.0.info`);
    // What is in the mirror of the private module is not for the stranger either.
    expect((await ask("https.corp.example/https/lib")).status).toBe(200);
    git.requests.length = 0;
    for (const name of ["lib", "slow"]) {
      const refused = await ask(`stranger.example.test/${name}`);
      const says = expect.stringContaining("there is no such repository");
      expect([refused.status, await refused.text()]).toEqual([404, says]);
    }
    const asked = git.requestsFor("/https/slow.git/");
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it("say so when the SSH host has another key, with its fingerprint", async () => {
    await ssh.changeHostKey();
    const refused = await go("list", "-m", "ssh.corp.example/ssh/rotated@v1.0.0");
    expect(refused).toContain("502 Bad Gateway");
    expect(refused).toContain(ssh.fingerprint());
  });

  it("show their secrets nowhere: arguments, logs, metrics, configuration, data folder", async () => {
    const gate = Promise.withResolvers<void>();
    const isShown = ({ headers, url }: GitRequest): boolean =>
      headers.authorization !== undefined && url.includes("slow");
    git.setFault(isShown, { kind: "delay", until: gate.promise });
    const answer = go("list", "-m", "https.corp.example/https/slow@v1.0.0");
    await git.arrived(isShown);
    const processes = await commandLines();
    gate.resolve();
    expect(await answer).toBe("https.corp.example/https/slow v1.0.0\n");
    expect(processes).toContain("git");

    const metrics = await (await fetch(new URL("/metrics", sluice.url))).text();
    const { stdout: printed } = await startCli(["config", "print", "--config", join(folder, "sluice.toml")], {
      cwd: folder,
    }).ended;
    expect(printed).toContain('credential = { kind = "password", command = ["cat","[hidden]"], username = "me" }');
    const written = { processes, log: sluice.output(), metrics, printed, data: await contentsOf(sluice.dataDir) };
    expect(metrics).toContain("# TYPE");
    expect(written.log).toContain("https.corp.example/https/slow");
    expect(written.data).toContain("https.corp.example/https/slow");
    const secrets = [password, encodeURIComponent(password), Buffer.from(`me:${password}`).toString("base64"), key];
    for (const [place, text] of Object.entries(written)) {
      expect([place, secrets.filter((secret) => text.includes(secret))]).toEqual([place, []]);
    }
  });
});

async function commandLines(): Promise<string> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.join("\n");
}

async function contentsOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
  return [...files, ...texts].join("\n");
}
