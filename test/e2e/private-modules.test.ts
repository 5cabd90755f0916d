import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createAuthority } from "../support/certificates.ts";
import { startCli } from "../support/cli.ts";
import { incompressible } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { contentsOf } from "../support/folder-contents.ts";
import { startConnectProxy } from "../support/forward-proxy.ts";
import { buildRepo, type CommitDescription, type FixtureRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { type CommandResult, createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";
import { lacksSsh, type SshServer, startSshServer } from "../support/ssh-server.ts";

const token = "corp-token-x4Kq9vT2";
const corp = "git.corp.example/team";
const keyed = "ssh.corp.example/team/keyed";
const publicHost = "code.example";
const open = `${publicHost}/team/open`;
const dataBytes = 400_000;

const isMissing = lacks("go", ["version"]) || lacks("git") || lacks("openssl", ["version"]) || lacksSsh();

describe.skipIf(isMissing)("private modules, for developers who have GOPROXY and nothing else", () => {
  let folder: string;
  let repos: Record<"lib" | "moved", FixtureRepo>;
  let git: GitServer;
  let ssh: SshServer;
  let upstream: FixtureUpstream;
  let sluice: RunningSluice;
  /** Bytes the git server sent, by URL. */
  const sent: { readonly url: string; readonly bytes: number }[] = [];
  /** Everything go printed. */
  const printed: string[] = [];
  /** Everything that Sluices which have ended wrote. */
  const logs: string[] = [];
  let secrets: readonly string[];

  const start = (env: Record<string, string> = {}): Promise<RunningSluice> =>
    startSluiceProcess({
      upstream: `${upstream.url},direct`,
      dataDir: join(folder, "data"),
      args: ["--config", join(folder, "sluice.toml")],
      env,
    });

  async function stop(): Promise<void> {
    await sluice.stop();
    logs.push(sluice.output());
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-private-"));
    await mkdir(join(folder, "data"));
    await makeUselessPrograms(join(folder, "bin"));
    repos = await buildRepos(join(folder, "repositories"));
    const authority = createAuthority();
    const served = { root: join(folder, "repositories"), tls: authority.issue("IP:127.0.0.1", `DNS:${publicHost}`) };
    git = await startGitServer({
      ...served,
      credentials: [{ username: "x-access-token", password: token }],
      page: ({ pathname }) =>
        pathname === "/team/open" ? `<meta name="go-import" content="${open} git https://${open}.git">` : undefined,
      handle({ socket, url = "" }, response) {
        const before = socket.bytesWritten;
        response.once("close", () => sent.push({ url, bytes: socket.bytesWritten - before }));
        return false;
      },
    });
    ssh = await startSshServer({ root: join(folder, "repositories") });
    upstream = await startFixtureUpstream();
    const key = (await readFile(ssh.keyFile, "utf8")).split("\n")[2] ?? "";
    secrets = [token, encodeURIComponent(token), Buffer.from(`x-access-token:${token}`).toString("base64"), key];
    await copyFile(ssh.keyFile, join(folder, "key"));
    await copyFile(ssh.knownHostsFile, join(folder, "known_hosts"));
    await writeFile(join(folder, "ca.pem"), authority.cert);
    await writeFile(join(folder, "token"), `${token}\n`);
    await writeFile(
      join(folder, "sluice.toml"),
      `[[private]]
pattern = "git.corp.example"
host = "${git.host}"
credential = { file = "token" }
ca_file = "ca.pem"

[[private]]
pattern = "ssh.corp.example/team/*"
url = "${ssh.url}/{path}.git"
credential = { kind = "ssh", file = "key", known_hosts = "known_hosts" }

# Nothing is fresh for a while, so that every question is asked.
[git]
refs_ttl = "0s"

[freshness]
ttl = "0s"
stale_while_revalidate = "0s"

[log]
level = "trace"
`,
    );
    sluice = await start();
  });
  afterAll(async () => {
    await sluice.stop();
    await Promise.all([git.close(), ssh.close(), upstream.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  async function createDeveloper(): Promise<GoMachine> {
    const path = `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`;
    const machine = await createGoMachine({ GOPROXY: sluice.url, PATH: path });
    onTestFinished(() => machine.remove());
    return machine;
  }

  /** Of a developer who has nothing yet. */
  async function go(...args: string[]): Promise<CommandResult> {
    const machine = await createDeveloper();
    const result = await machine.go(args);
    printed.push(result.stdout, result.stderr);
    return result;
  }

  async function goOk(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await go(...args);
    expect(code, stderr).toBe(0);
    return stdout.trim();
  }

  async function sumOf(query: string): Promise<unknown> {
    const { Sum: sum }: { Sum: unknown } = JSON.parse(await goOk("mod", "download", "-json", query));
    return sum;
  }

  const sentFor = (repository: string): number =>
    sent.filter(({ url }) => url.includes(repository)).reduce((sum, { bytes }) => sum + bytes, 0);

  test("a second version of a repository is no second clone", async () => {
    await sumOf(`${corp}/big@v1.0.0`);
    const first = sentFor("big.git");
    expect(first).toBeGreaterThan(dataBytes);
    await sumOf(`${corp}/big@v1.1.0`);
    expect(sentFor("big.git") - first).toBeLessThan(dataBytes / 4);
  });

  test.each([
    ["a tag", `${corp}/lib@v1.0.0`, /^v1\.0\.0$/],
    ["@latest", `${corp}/lib@latest`, /^v1\.1\.0$/],
    ["a prefix", `${corp}/lib@v1.0`, /^v1\.0\.0$/],
    ["a branch", `${corp}/lib@next`, /^v1\.1\.1-0\.20240101000200-[0-9a-f]{12}$/],
    ["/v2", `${corp}/lib/v2@latest`, /^v2\.0\.0$/],
    ["a module in a subfolder", `${corp}/lib/cli@latest`, /^v0\.3\.0$/],
    ["@latest without tags", `${corp}/untagged@latest`, /^v0\.0\.0-20240101000000-[0-9a-f]{12}$/],
    ["a tag over SSH", `${keyed}@v1.1.0`, /^v1\.1\.0$/],
  ])("%s is resolved", async (_name, query, version) => {
    expect(await goOk("list", "-m", "-f", "{{.Version}}", query)).toMatch(version);
  });

  test("a pseudo-version of a commit is what its branch led to", async () => {
    const hash = repos.lib.hash("next");
    const version = `v1.1.1-0.20240101000200-${hash.slice(0, 12)}`;
    expect(await goOk("list", "-m", "-f", "{{.Version}}", `${corp}/lib@${version}`)).toBe(version);
    expect(await goOk("list", "-m", "-f", "{{.Version}}", `${corp}/lib@${hash}`)).toBe(version);
  });

  test.each([`${corp}/lib`, keyed])("versions of %s are listed", async (module) => {
    expect(await goOk("list", "-m", "-versions", module)).toBe(`${module} v1.0.0 v1.1.0`);
  });

  test("a project with private and public modules is downloaded and verified", async () => {
    const machine = await createDeveloper();
    const imports = [`${corp}/lib`, `${corp}/lib/v2`, `${corp}/lib/cli`, keyed, "example.com/leaf"];
    await writeFile(join(machine.dir, "go.mod"), "module app.example/app\n\ngo 1.21\n");
    await writeFile(
      join(machine.dir, "main.go"),
      `package main\n\n${imports.map((path) => `import _ "${path}"\n`).join("")}\nfunc main() {}\n`,
    );
    for (const args of [
      ["mod", "tidy"],
      ["mod", "download", "all"],
      ["mod", "verify"],
    ]) {
      const { code, stderr } = await machine.go(args);
      expect(code, stderr).toBe(0);
    }
    const goSum = await readFile(join(machine.dir, "go.sum"), "utf8");
    expect(imports.filter((path) => !new RegExp(`^${path} v\\S+ h1:`, "m").test(goSum))).toEqual([]);
  });

  test("a repository that the host does not have is a 404, told as go tells it", async () => {
    const { code, stderr } = await go("list", "-m", `${corp}/nobody@latest`);
    expect(code).toBe(1);
    expect(stderr).toContain("404 Not Found");
  });

  test("a moved tag is told in the log, and its version stays what it was", async () => {
    const before = await sumOf(`${corp}/moved@v1.0.0`);
    await repos.moved.add([{ name: "forced", files: { "lib.go": "package lib\n\n// Moved.\n" }, tags: ["v1.0.0"] }]);
    expect(await goOk("list", "-m", "-versions", `${corp}/moved`)).toBe(`${corp}/moved v1.0.0`);
    await expect.poll(() => sluice.output()).toMatch(/"event":"tag_moved"[^\n]*moved\.git[^\n]*"tag":"v1\.0\.0"/);
    expect(await sumOf(`${corp}/moved@v1.0.0`)).toBe(before);
    const info = await (await fetch(`${sluice.url}/${corp}/moved/@v/v1.0.0.info`)).text();
    expect(info).toContain(`"Hash":"${repos.moved.hash("first")}"`);
  });

  test("a refused credential is a 502 with a sentence for the operator; what is stored is served", async () => {
    const { credentials } = git;
    git.credentials = [{ username: "x-access-token", password: "another" }];
    onTestFinished(() => void (git.credentials = credentials));
    const { code, stderr } = await go("list", "-m", `${corp}/unseen@v1.0.0`);
    expect(code).toBe(1);
    expect(stderr).toContain("502 Bad Gateway");
    expect(stderr).toContain("the host refuses Sluice's credential for it; check that it is valid");
    expect(await sumOf(`${corp}/lib@v1.0.0`)).toMatch(/^h1:/);
  });

  test("`direct` at the end of the chain: a public module that no upstream has comes from its own host", async () => {
    const proxy = await startConnectProxy({ onwardPort: git.port });
    const environment = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, SSL_CERT_FILE: join(folder, "ca.pem") };
    const { credentials } = git;
    git.credentials = [];
    await stop();
    sluice = await start(environment);
    onTestFinished(async () => {
      git.credentials = credentials;
      await stop();
      sluice = await start();
    });
    expect(await goOk("list", "-m", "-versions", open)).toBe(`${open} v1.0.0`);
    expect(await sumOf(`${open}@v1.0.0`)).toMatch(/^h1:/);
    expect(upstream.requestsFor(`${open}/@v/list`)).not.toEqual([]);
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${publicHost}:443`]));
  });

  test("while the hosts are down, what was seen is served, and what was not is no 404", async () => {
    const before = await sumOf(`${corp}/lib@v1.1.0`);
    await stop();
    await Promise.all([git.close(), ssh.close()]);
    sluice = await start();
    expect(await sumOf(`${corp}/lib@v1.1.0`)).toBe(before);
    expect(await sumOf(`${keyed}@v1.1.0`)).toMatch(/^h1:/);
    expect(await goOk("list", "-m", "-versions", `${corp}/lib`)).toBe(`${corp}/lib v1.0.0 v1.1.0`);
    expect(await goOk("list", "-m", "-f", "{{.Version}}", `${corp}/lib@latest`)).toBe("v1.1.0");
    const { stderr } = await go("list", "-m", `${corp}/unseen@v1.0.0`);
    expect(stderr).toMatch(/50[24] (Bad Gateway|Gateway Timeout)/);
  });

  test("in all of that no private name reached the upstream, no git ran beside go, and no secret was written", async () => {
    expect(upstream.requests.length).toBeGreaterThan(0);
    expect(upstream.requestsFor(/corp\.example/)).toEqual([]);
    expect(await readFile(join(folder, "bin/started"), "utf8")).toBe("");

    const config = await startCli(["config", "print", "--config", join(folder, "sluice.toml")], { cwd: folder }).ended;
    const written = {
      log: [...logs, sluice.output()].join("\n"),
      answers: printed.join("\n"),
      metrics: await (await fetch(new URL("/metrics", sluice.url))).text(),
      config: config.stdout + config.stderr,
      data: await contentsOf(join(folder, "data")),
    };
    for (const [place, text] of Object.entries(written)) expect([place, text.length > 200]).toEqual([place, true]);
    for (const [place, text] of Object.entries(written)) {
      expect([place, secrets.filter((secret) => text.includes(secret))]).toEqual([place, []]);
    }
  });
});

async function buildRepos(root: string): Promise<Record<"lib" | "moved", FixtureRepo>> {
  const build = (name: string, commits: readonly CommitDescription[]): Promise<FixtureRepo> =>
    buildRepo(join(root, `team/${name}.git`), { commits });
  const big = { "data.bin": incompressible(dataBytes) };
  await build("big", [
    { files: { ...packageOf(`${corp}/big`), ...big }, tags: ["v1.0.0"] },
    { files: { "more.go": "package lib\n" }, tags: ["v1.1.0"] },
  ]);
  await build("untagged", [{ files: packageOf(`${corp}/untagged`) }]);
  await build("unseen", [{ files: packageOf(`${corp}/unseen`), tags: ["v1.0.0"] }]);
  await build("keyed", [
    { files: packageOf(keyed), tags: ["v1.0.0"] },
    { files: { "more.go": "package lib\n" }, tags: ["v1.1.0"] },
  ]);
  await build("open", [{ files: packageOf(open), tags: ["v1.0.0"] }]);
  const moved = await build("moved", [{ name: "first", files: packageOf(`${corp}/moved`), tags: ["v1.0.0"] }]);
  const cli = Object.entries(packageOf(`${corp}/lib/cli`)).map(([name, text]) => [`cli/${name}`, text]);
  const lib = await build("lib", [
    { files: { ...packageOf(`${corp}/lib`), LICENSE: "Ours.\n" }, tags: ["v1.0.0"] },
    { files: Object.fromEntries(cli), tags: ["v1.1.0", "cli/v0.3.0"], branches: ["main"] },
    { name: "next", files: { "next.go": "package lib\n" }, branches: ["next"] },
    { files: packageOf(`${corp}/lib/v2`), tags: ["v2.0.0"], branches: ["v2"] },
  ]);
  return { lib, moved };
}

function packageOf(modulePath: string): Record<string, string> {
  return { "go.mod": `module ${modulePath}\n\ngo 1.21\n`, "lib.go": "package lib\n" };
}

/** Programs that a developer without git and ssh does not have; they tell `started` that they were. */
async function makeUselessPrograms(folder: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, "started"), "");
  for (const name of ["git", "ssh"]) {
    await writeFile(join(folder, name), `#!/bin/sh\necho "${name} $*" >>'${folder}/started'\nexit 1\n`, {
      mode: 0o755,
    });
  }
}
