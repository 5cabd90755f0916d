import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { randomAccess, readZip, type ZipModule } from "../../src/protocol/zip/index.ts";
import {
  createGitHarness,
  createMemoryPins,
  type GitHarness,
  type GitHarnessOptions,
  outcomeOf,
} from "../support/git-harness.ts";
import { buildRepo, type CommitDescription, type FixtureRepo } from "../support/git-repos.ts";
import { type GitRequest, type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";

const path = "git.example.com/team/lib";
const goMod = `module ${path}\n\ngo 1.24\n`;

/** Three releases, one commit behind the last. */
const history: readonly CommitDescription[] = [
  { name: "first", files: { "go.mod": goMod, "a.go": "package a\n" }, tags: ["v1.0.0"] },
  { name: "second", files: { "b.go": "package a // b\n" }, tags: ["v1.1.0"] },
  { name: "third", files: { "c.go": "package a // c\n" }, tags: [{ name: "v1.2.0" }] },
  { name: "tip", files: { "d.go": "package a // d\n" } },
];

const isPack = ({ kind }: { readonly kind: string }): boolean => kind === "pack";
const isRefs = ({ kind }: { readonly kind: string }): boolean => kind === "refs";

describe.skipIf(lacks("git"))("git mirrors", () => {
  let root: string;
  let server: GitServer;
  let repo: FixtureRepo;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-mirror-"));
    repo = await buildRepo(join(root, "team/lib.git"), { commits: history });
    server = await startGitServer({ root });
  });
  afterEach(async () => {
    await server.close();
    await rm(root, { recursive: true, force: true });
  });

  const open = (options: Partial<GitHarnessOptions> = {}): Promise<GitHarness> =>
    createGitHarness({ places: [{ root: path, url: `${server.url}/team/lib.git` }], ...options });

  /** Git whose answers about objects go through a shell command. */
  async function gitWithFilter(command: string): Promise<string> {
    const file = join(root, "git-filtered");
    const run = `case "$1" in cat-file) git "$@" | ${command};; *) exec git "$@";; esac`;
    await writeFile(file, `#!/bin/sh\n${run}\n`, { mode: 0o755 });
    return file;
  }

  test("the first version costs one look at the refs and one commit without history", async () => {
    await using sluice = await open();
    expect((await sluice.info(path, "v1.1.0")).version).toBe("v1.1.0");
    expect(await sluice.mod(path, "v1.1.0")).toBe(goMod);
    await sluice.zip(path, "v1.1.0");
    expect(fetchesOf(sluice)).toEqual(["refs", "tips"]);
    const [mirror = ""] = await mirrorsIn(sluice.folder);
    expect(await readFile(join(mirror, "shallow"), "utf8")).toBe(`${repo.hash("second")}\n`);
  });

  test("history is fetched when a pseudo-version needs it, and once", async () => {
    await using sluice = await open();
    await sluice.info(path, "v1.0.0");
    const { version } = await sluice.info(path, "main");
    expect(version).toMatch(/^v1\.2\.1-0\.\d{14}-[0-9a-f]{12}$/);
    expect((await sluice.info(path, version)).version).toBe(version);
    expect((await sluice.info(path, repo.hash("first").slice(0, 12))).version).toBe("v1.0.0");
    expect(fetchesOf(sluice)).toEqual(["refs", "tips", "tips", "history"]);
  });

  test.each([
    ["50 askers of 50 modules of one repository", 50, undefined],
    ["askers who hear one by one that it is not here", 5, 'while IFS= read -r line; do sleep 0.02; echo "$line"; done'],
  ])("%s are served by one fetch", async (_, count, filter) => {
    const names = Array.from({ length: count }, (__, index) => `m${index}`);
    const commits = names.map((name) => ({
      name,
      files: { [`${name}/go.mod`]: `module git.example.com/mono/${name}\n`, [`${name}/x.go`]: `package ${name}\n` },
      tags: [`${name}/v1.0.0`],
    }));
    await buildRepo(join(root, "mono.git"), { commits });
    await using sluice = await createGitHarness({
      places: [{ root: "git.example.com/mono", url: `${server.url}/mono.git` }],
      ...(filter === undefined ? {} : { executable: await gitWithFilter(filter) }),
    });
    const mods = await Promise.all(names.map((name) => sluice.mod(`git.example.com/mono/${name}`, "v1.0.0")));
    expect(mods).toEqual(names.map((name) => `module git.example.com/mono/${name}\n`));
    expect(fetchesOf(sluice)).toEqual(["refs", "tips"]);
  });

  test("a tag that was moved changes nothing of what was served, and is told", async () => {
    await using sluice = await open({ refsTtlMs: 0 });
    const before = await sluice.info(path, "v1.0.0");
    await repo.git(["update-ref", "refs/tags/v1.0.0", repo.hash("tip")]);
    await sluice.list(path);
    const tag = { type: "tag_moved", tag: "v1.0.0", from: repo.hash("first"), to: repo.hash("tip") };
    expect(sluice.events).toContainEqual(expect.objectContaining(tag));
    expect(await sluice.info(path, "v1.0.0")).toEqual(before);
    expect(namesIn(await sluice.zip(path, "v1.0.0"))).toEqual(["a.go", "go.mod"]);
    expect((await sluice.info(path, "main")).version).toBe("v1.0.0");
    expect((await sluice.info(path, "main")).origin?.hash).toBe(repo.hash("first"));
  });

  test("go.mod and zip come from one commit, though neither was asked for before the tag was moved", async () => {
    await using sluice = await open({ refsTtlMs: 0 });
    await sluice.mod(path, "v1.0.0");
    await repo.git(["update-ref", "refs/tags/v1.0.0", repo.hash("tip")]);
    expect(namesIn(await sluice.zip(path, "v1.0.0"))).toEqual(["a.go", "go.mod"]);
    expect((await sluice.info(path, "v1.0.0")).origin?.hash).toBe(repo.hash("first"));
  });

  test("a version whose tag was deleted is served still, and listed no more", async () => {
    await using sluice = await open({ refsTtlMs: 0 });
    await sluice.info(path, "v1.1.0");
    await repo.git(["update-ref", "-d", "refs/tags/v1.1.0"]);
    expect(await sluice.list(path)).toEqual(["v1.0.0", "v1.2.0"]);
    expect(namesIn(await sluice.zip(path, "v1.1.0"))).toEqual(["a.go", "b.go", "go.mod"]);
    await using other = await open();
    expect(await outcomeOf(other.info(path, "v1.1.0"))).toContain("unknown revision v1.1.0");
  });

  test("after a forced push the old commit is unknown, but to those it was served to", async () => {
    await using sluice = await open({ refsTtlMs: 0 });
    const { version } = await sluice.info(path, "main");
    await sluice.mod(path, version);
    const old = repo.hash("tip");
    await repo.add([{ name: "other", parents: ["third"], files: { "e.go": "package a // e\n" }, branches: ["main"] }]);
    expect((await sluice.info(path, "main")).origin?.hash).toBe(repo.hash("other"));
    expect(await outcomeOf(sluice.info(path, old.slice(0, 12)))).toContain("unknown revision");
    expect(namesIn(await sluice.zip(path, version))).toContain("d.go");
  });

  test("a forced push is believed by the first who asks for the old commit", async () => {
    await using sluice = await open({ refsTtlMs: 0 });
    await sluice.info(path, "main");
    const old = repo.hash("tip");
    await repo.add([{ name: "other", parents: ["third"], files: { "e.go": "package a // e\n" }, branches: ["main"] }]);
    expect(await outcomeOf(sluice.info(path, old.slice(0, 12)))).toContain("unknown revision");
  });

  test("commits that only a pull request has are unknown", async () => {
    await repo.add([
      { name: "request", parents: ["tip"], files: { "x.go": "package a // x\n" }, branches: ["scratch"] },
    ]);
    await repo.git(["update-ref", "refs/pull/1/head", repo.hash("request")]);
    await repo.git(["update-ref", "-d", "refs/heads/scratch"]);
    await using sluice = await open();
    const outcome = await outcomeOf(sluice.info(path, repo.hash("request")));
    expect(outcome).toBe(
      `not_found: not found: ${path}@${repo.hash("request")}: invalid version: unknown revision ${repo.hash("request")}`,
    );
  });

  test("a version that was pushed a moment after the refs were read is found", async () => {
    await using sluice = await open({ refsTtlMs: 3_600_000 });
    await sluice.list(path);
    await repo.add([{ name: "new", parents: ["tip"], files: { "n.go": "package a // n\n" }, tags: ["v1.3.0"] }]);
    expect((await sluice.info(path, "v1.3.0")).version).toBe("v1.3.0");
  });

  test.each([
    ["is cut", "upstream_failed"],
    ["hangs", "upstream_timeout"],
  ] as const)("a host that %s in the middle of a pack is %s, and the next try succeeds", async (how, code) => {
    await using sluice = await open({ fetchTimeoutMs: 1_500 });
    const kind = how === "hangs" ? "stall" : "cut";
    await sluice.list(path);
    server.setFault(isPack, { kind, afterBytes: 100 });
    expect(await outcomeOf(sluice.info(path, "v1.0.0"))).toMatch(new RegExp(`^${code}: `));
    server.clearFaults();
    expect((await sluice.info(path, "v1.0.0")).version).toBe("v1.0.0");
    expect(await leftoversIn(sluice.folder)).toEqual([]);
  });

  test("who goes away does not wait for a host that hangs, and who stays gets the answer", async () => {
    await using sluice = await open();
    server.setFault(isRefs, { kind: "hang", times: 1 });
    const leaving = new AbortController();
    const request = { kind: "info", modulePath: parseModulePath(path), version: parseVersion("v1.0.0") } as const;
    const left = outcomeOf(sluice.fetch(request, leaving.signal));
    await server.arrived(isRefs);
    leaving.abort();
    expect(await left).toMatch(/^cancelled: /);
  });

  test("a host that is down is upstream_failed", async () => {
    await using sluice = await open();
    await server.close();
    expect(await outcomeOf(sluice.list(path))).toMatch(/^upstream_failed: /);
  });

  test("a repository that is not there is not_found", async () => {
    await using sluice = await open({ places: [{ root: path, url: `${server.url}/team/none.git` }] });
    expect(await outcomeOf(sluice.list(path))).toMatch(/^not_found: .*there is no such repository/);
  });

  test.each([
    [404, "not_found"],
    [200, "upstream_refused"],
    [undefined, "upstream_refused"],
  ] as const)("a host that asks for a password and whose page is %s: %s", async (status, code) => {
    server.credentials = [{ username: "me", password: "secret" }];
    await using sluice = await open({ probe: async () => status });
    expect(await outcomeOf(sluice.list(path))).toMatch(new RegExp(`^${code}: `));
  });

  test("a private module whose host asks for a password is refused, whatever strangers hear, and strangers are not asked", async () => {
    server.credentials = [{ username: "me", password: "secret" }];
    let probes = 0;
    const probe = async () => {
      probes += 1;
      return 404;
    };
    await using sluice = await open({ isPrivate: (modulePath) => modulePath === path, probe });
    const outcome = await outcomeOf(sluice.list(path));
    expect(outcome).toMatch(/^upstream_refused: .*give it one with a \[\[private\]\] rule/);
    expect(probes).toBe(0);
  });

  test("a credential that is refused is told to the operator", async () => {
    server.credentials = [{ username: "me", password: "secret" }];
    const env = {
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "http.extraHeader",
      GIT_CONFIG_VALUE_0: "Authorization: Basic eDp5",
    };
    await using sluice = await open({
      access: async () => ({ env, hasCredential: true, dispose: async () => undefined }),
    });
    expect(await outcomeOf(sluice.list(path))).toMatch(/^upstream_refused: .*refuses Sluice's credential/);
  });

  test("a damaged mirror is set aside and made anew", async () => {
    await using sluice = await open();
    await sluice.info(path, "v1.0.0");
    await sluice.info(path, "main");
    const [mirror = ""] = await mirrorsIn(sluice.folder);
    for (const name of await readdir(join(mirror, "objects/pack"))) {
      const file = join(mirror, "objects/pack", name);
      await chmod(file, 0o600);
      if (name.endsWith(".pack")) await truncate(file, 30);
    }
    for (const name of await readdir(join(mirror, "objects"))) {
      if (/^[0-9a-f]{2}$/.test(name)) await rm(join(mirror, "objects", name), { recursive: true });
    }
    expect(namesIn(await sluice.zip(path, "v1.2.0"))).toEqual(["a.go", "b.go", "c.go", "go.mod"]);
    expect(sluice.events.filter(({ type }) => type === "git_mirror_damaged")).toHaveLength(1);
    const names = await readdir(sluice.folder);
    expect(names.filter((name) => name.includes(".broken-"))).toHaveLength(1);
  });

  test.each([
    ["empty", 0],
    ["cut off", 70],
  ])("a mirror whose config is %s is set aside and made anew", async (_, size) => {
    await using sluice = await open();
    await sluice.info(path, "v1.0.0");
    const [mirror = ""] = await mirrorsIn(sluice.folder);
    await truncate(join(mirror, "config"), size);
    expect((await sluice.info(path, "v1.1.0")).version).toBe("v1.1.0");
    expect(sluice.events).toContainEqual(expect.objectContaining({ type: "git_mirror_damaged" }));
    expect((await sluice.info(path, "v1.2.0")).version).toBe("v1.2.0");
  });

  test("a request keeps its mirror however many other repositories are named meanwhile", async () => {
    await using sluice = await open({ refsTtlMs: 3_600_000 });
    const url = `${server.url}/team/lib.git`;
    const context = { signal: new AbortController().signal, client: "test" };
    const first = sluice.mirrors.open(url, context);
    for (let index = 0; index < 1_100; index += 1) sluice.mirrors.open(`${server.url}/none${index}`, context).close();
    const second = sluice.mirrors.open(url, context);
    await Promise.all([first.refs(), second.refs()]);
    expect(fetchesOf(sluice)).toEqual(["refs"]);
  });

  test("a host that is out of order has not lost a commit that was served", async () => {
    const pins = createMemoryPins();
    await using before = await open({ pins });
    await before.info(path, "v1.1.0");
    await using sluice = await open({ pins });
    let packs = 0;
    // The first is for the refs.
    server.setFault((request) => isPack(request) && (packs += 1) > 1, { kind: "status", status: 503 });
    expect(await outcomeOf(sluice.zip(path, "v1.1.0"))).toMatch(/^upstream_failed: /);
  });

  test("a commit that was served and that the host has lost is told as that", async () => {
    const pins = createMemoryPins();
    const lost = "12".repeat(20);
    await using sluice = await open({ pins });
    const info = await sluice.info(path, "v1.1.0");
    pins.kept.set(`${path}@v1.1.0`, { ...info, origin: { ...info.origin, hash: lost } });
    expect(await outcomeOf(sluice.zip(path, "v1.1.0"))).toMatch(
      `integrity: ${path}@v1.1.0 was served from commit ${lost}`,
    );
    await using later = await open({ pins, folder: sluice.folder });
    expect(await outcomeOf(later.zip(path, "v1.1.0"))).toMatch(
      `integrity: ${path}@v1.1.0 was served from commit ${lost}`,
    );
  });

  test.each(["main", "refs/heads/main", "--all", "12".repeat(10), "A".repeat(40), "1".repeat(50)])(
    "a stored origin whose hash is %j pins nothing",
    async (hash) => {
      const pins = createMemoryPins();
      await using sluice = await open({ pins });
      const info = await sluice.info(path, "v1.1.0");
      pins.kept.set(`${path}@v1.1.0`, { ...info, origin: { ...info.origin, hash } });
      expect(namesIn(await sluice.zip(path, "v1.1.0"))).toEqual(["a.go", "b.go", "go.mod"]);
    },
  );

  test("a mirror that somebody deleted is made anew", async () => {
    await using sluice = await open();
    await sluice.info(path, "v1.0.0");
    for (const mirror of await mirrorsIn(sluice.folder)) await rm(mirror, { recursive: true });
    expect(namesIn(await sluice.zip(path, "v1.0.0"))).toEqual(["a.go", "go.mod"]);
  });

  test("locks and files of processes that were killed are removed", async () => {
    const folder = join(root, "data");
    {
      await using sluice = await open({ folder });
      await sluice.info(path, "v1.0.0");
    }
    const [mirror = ""] = await mirrorsIn(folder);
    for (const name of ["shallow.lock", "packed-refs.lock", "config.lock", "objects/pack/tmp_pack_abc"]) {
      await writeFile(join(mirror, name), "");
    }
    await using sluice = await open({ folder });
    const { version } = await sluice.info(path, "main");
    expect(version).toMatch(/^v1\.2\.1-0\./);
    expect(await leftoversIn(folder)).toEqual([]);
  });

  test("what a kill leaves of a mirror that was being made is removed", async () => {
    const folder = join(root, "data");
    {
      await using sluice = await open({ folder });
      await sluice.info(path, "v1.0.0");
    }
    for (const mirror of await mirrorsIn(folder)) await rename(mirror, `${mirror}.new-0123`);
    await using sluice = await open({ folder });
    expect((await sluice.info(path, "v1.0.0")).version).toBe("v1.0.0");
    expect(await leftoversIn(folder)).toEqual([]);
  });

  test("a Sluice that is killed during a fetch leaves a mirror that the next one can use", async () => {
    const folder = join(root, "data");
    // The first such request only asks for the refs.
    let packs = 0;
    const isFetch = (request: GitRequest): boolean => isPack(request) && (packs += 1) > 1;
    server.setFault(isFetch, { kind: "stall", afterBytes: 100 });
    const script = `
      import { createGitHarness } from ${JSON.stringify(new URL("../support/git-harness.ts", import.meta.url).href)};
      const sluice = await createGitHarness({ folder: ${JSON.stringify(folder)}, places: [{ root: ${JSON.stringify(path)}, url: ${JSON.stringify(`${server.url}/team/lib.git`)} }] });
      await sluice.info(${JSON.stringify(path)}, "main");
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    await server.arrived(isPack, 2);
    child.kill("SIGKILL");
    await exited;
    server.clearFaults();
    const [mirror = ""] = await mirrorsIn(folder);
    const [orphan = ""] = (await readFile(join(mirror, "sluice-job"), "utf8")).split(" ");
    await using sluice = await open({ folder });
    expect((await sluice.info(path, "main")).version).toMatch(/^v1\.2\.1-0\./);
    expect(await isRunning(orphan)).toBe(false);
    expect(await leftoversIn(folder)).toEqual([]);
  });

  test("nothing of the machine's own git settings counts", async () => {
    const home = join(root, "home");
    await mkdir(home, { recursive: true });
    const hostile = `[url "https://elsewhere.invalid/"]\n\tinsteadOf = ${server.url}/\n[core]\n\tautocrlf = true\n`;
    await writeFile(join(home, ".gitconfig"), hostile);
    await buildRepo(join(root, "around"), { commits: history });
    await writeFile(join(root, "around", "config"), `[core]\n\tbare = true\n${hostile}`);
    const saved = { ...process.env };
    Object.assign(process.env, {
      HOME: home,
      GIT_CONFIG_GLOBAL: join(home, ".gitconfig"),
      GIT_DIR: join(root, "around"),
    });
    try {
      await using sluice = await open({ folder: join(root, "around", "data") });
      expect((await sluice.info(path, "v1.0.0")).version).toBe("v1.0.0");
    } finally {
      process.env = saved;
    }
  });

  test("a disk that is full is storage_failed", async () => {
    await buildRepo(join(root, "team/big.git"), {
      commits: [{ files: { "go.mod": goMod, "noise.bin": randomBytesOf(400_000) }, tags: ["v1.0.0"] }],
    });
    // As a full disk does, the limit lets small files be written and fails writes into large ones.
    const limited = join(root, "git-limited");
    await writeFile(limited, `#!/bin/sh\ntrap '' XFSZ\nulimit -f 64\nexec git "$@"\n`, { mode: 0o755 });
    await using sluice = await open({
      places: [{ root: path, url: `${server.url}/team/big.git` }],
      executable: limited,
    });
    expect(await outcomeOf(sluice.info(path, "v1.0.0"))).toMatch(/^storage_failed: /);
    expect(await leftoversIn(sluice.folder)).toEqual([]);
  });

  test.each([
    ["there is no git", undefined, "there is no program"],
    ["git is too old", "git version 2.30.1", "too old for Sluice"],
  ])("where %s, the error says what to do", async (_, version, message) => {
    const executable = join(root, "git-old");
    if (version !== undefined) await writeFile(executable, `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
    await using sluice = await open({ executable });
    const outcome = await outcomeOf(sluice.list(path));
    expect(outcome).toMatch(/^upstream_failed: /);
    expect(outcome).toContain(message);
    expect(outcome).toContain("install git 2.39 or newer");
  });
});

function fetchesOf({ events }: GitHarness): string[] {
  return events.flatMap((event) => (event.type === "git_fetch" && event.outcome === "ok" ? [event.kind] : []));
}

async function mirrorsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => join(folder, name));
}

/** What only a git that was ended in the middle leaves. */
async function leftoversIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => /\.lock$|tmp_|sluice-job|\.new-/.test(name));
}

async function isRunning(pid: string): Promise<boolean> {
  const facts = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone) Z");
  return !/\) [ZX]/.test(facts);
}

function moduleIn(zip: Buffer): ZipModule {
  const [, version = ""] = /@(v[^/]*)\//.exec(zip.toString("latin1", 30, 200)) ?? [];
  return { modulePath: parseModulePath(path), version: parseVersion(version) };
}

/** Of the zip of a version, sorted, without the prefix of the module. */
function namesIn(zip: Buffer): string[] {
  const names = readZip(randomAccess(zip), moduleIn(zip)).entries.map(({ name }) => name.replace(/^[^@]*@[^/]*\//, ""));
  return names.toSorted();
}

function randomBytesOf(size: number): Buffer {
  let state = 1;
  return Buffer.from(Array.from({ length: size }, () => (state = (state * 48_271) % 2_147_483_647) & 0xff));
}
