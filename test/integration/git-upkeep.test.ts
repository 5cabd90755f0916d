import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createGitHarness, createMemoryPins, outcomeOf } from "../support/git-harness.ts";
import { buildRepo, type RepoDescription } from "../support/git-repos.ts";
import { type GitRequest, type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";

const path = "git.example.com/lib";
const releases = Array.from({ length: 27 }, (_, index) => `v1.${index}.0`);

describe.skipIf(lacks("git") || process.platform === "win32")("what git sources do on their own", () => {
  let root: string;
  let folder: string;
  let server: GitServer;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-upkeep-"));
    folder = join(root, "data");
    await buildRepo(join(root, "lib.git"), libraryOf(path));
    server = await startGitServer({ root });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await server.close();
    await rm(root, { recursive: true, force: true });
  });

  const places = () => [{ root: path, url: `${server.url}/lib.git` }];

  /** Git that does something more. */
  async function gitWith(lines: string): Promise<string> {
    const file = join(root, "git-more");
    await writeFile(file, `#!/bin/sh\n${lines}\nexec git "$@"\n`, { mode: 0o755 });
    return file;
  }

  /** Git that stops when it has written half of an archive, and says its process id to whoever reads the pipe. */
  async function gitThatStops(): Promise<{ executable: string; stopped: () => Promise<number> }> {
    const pipe = join(root, "stopped");
    execFileSync("mkfifo", [pipe]);
    const isArchive = `case " $* " in *" archive "*) git "$@"; echo $$ > "${pipe}"; exec tail -f /dev/null;; esac`;
    return { executable: await gitWith(isArchive), stopped: async () => Number(await readFile(pipe, "utf8")) };
  }

  /** What archives have on the disk. */
  const leftovers = (): Promise<string[]> => readdir(join(folder, "tmp"));

  test("small packs are put together when a mirror is idle, and in no request", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const log = join(root, "log");
    const executable = await gitWith(`echo "$1" >> "${log}"`);
    await using sluice = await createGitHarness({ places: places(), folder, executable });
    const repacks = async (): Promise<number> =>
      (await readFile(log, "utf8")).split("\n").filter((line) => line === "repack").length;
    for (const version of releases.slice(0, 25)) await sluice.info(path, version);
    await vi.advanceTimersByTimeAsync(59_000);
    // Somebody comes: it is not idle.
    await sluice.info(path, releases[25] ?? "");
    await vi.advanceTimersByTimeAsync(59_000);
    expect(await repacks()).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    await expect.poll(repacks, { timeout: 20_000 }).toBe(1);
    const [mirror = ""] = await mirrorsIn(folder);
    const packs = async (): Promise<number> =>
      (await readdir(join(folder, mirror, "objects", "pack"))).filter((name) => name.endsWith(".pack")).length;
    await expect.poll(packs, { timeout: 20_000 }).toBe(1);
    for (const version of releases) expect(await sluice.mod(path, version)).toBe(`module ${path}\n`);
  });

  test("small packs of one mirror at a time are put together, and whoever wants to fetch does not wait for it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const log = join(root, "log");
    // It would never end.
    const executable = await gitWith(
      `if test "$1" = repack; then echo "$GIT_DIR" >> "${log}"; exec tail -f /dev/null; fi`,
    );
    const other = "git.example.com/other";
    await buildRepo(join(root, "other.git"), libraryOf(other));
    const all = [...places(), { root: other, url: `${server.url}/other.git` }];
    await using sluice = await createGitHarness({ places: all, folder, executable });
    const begun = async (): Promise<string[]> =>
      (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
    for (const version of releases.slice(0, 25)) {
      await sluice.info(path, version);
      await sluice.info(other, version);
    }
    await vi.advanceTimersByTimeAsync(60_000);
    await expect.poll(begun, { timeout: 20_000 }).toHaveLength(1);
    const [first = ""] = await begun();
    const isOfLib = (await readFile(join(first, "config"), "utf8")).includes("/lib.git");
    const newest = releases[25] ?? "";
    expect((await sluice.info(isOfLib ? path : other, newest)).version).toBe(newest);
    await expect.poll(begun, { timeout: 20_000 }).toHaveLength(2);
    expect((await begun())[1]).not.toBe(first);
    expect((await sluice.info(isOfLib ? other : path, newest)).version).toBe(newest);
  });

  test("a mirror that nobody used for long is removed, and fetched anew for what was served of it", async () => {
    const day = 86_400_000;
    const pins = createMemoryPins();
    const options = { places: places(), folder, pins, keepUnusedMs: 30 * day };
    let now = Date.now();
    const clock = { now: () => now, sleep: (_: number, signal?: AbortSignal) => untilAborted(signal) };
    await using sluice = await createGitHarness({ ...options, clock });
    const { version } = await sluice.info(path, "v1.0.0");
    now += 20 * day;
    await sluice.info(path, version);
    now += 20 * day;
    await sluice.mirrors.sweep();
    expect(await mirrorsIn(folder)).toHaveLength(1);
    now += 11 * day;
    await sluice.mirrors.sweep();
    expect(await mirrorsIn(folder)).toEqual([]);
    expect(sluice.events).toContainEqual({
      type: "git_mirror_removed",
      repository: `${server.url}/lib.git`,
      reason: "unused",
    });
    expect(await sluice.mod(path, version)).toBe(`module ${path}\n`);
    expect(await mirrorsIn(folder)).toHaveLength(1);
    // Another Sluice, which never opened it.
    now += 31 * day;
    await using later = await createGitHarness({ ...options, clock });
    await later.mirrors.sweep();
    expect(await mirrorsIn(folder)).toEqual([]);
    expect((await sluice.zip(path, version)).length).toBeGreaterThan(0);
  });

  test("mirrors that nobody used for longest are removed where there is no space for all, and none that a request has open", async () => {
    const names = ["a", "b", "c"].map((name) => `git.example.com/${name}`);
    for (const name of names) await buildRepo(join(root, `${name}.git`), libraryOf(name));
    const all = names.map((name) => ({ root: name, url: `${server.url}/${name}.git` }));
    let now = Date.now();
    const clock = { now: () => now, sleep: (_: number, signal?: AbortSignal) => untilAborted(signal) };
    await using small = await createGitHarness({ places: all, folder, clock, maxBytes: 1 });
    for (const name of names) {
      now += 1000;
      await small.info(name, "v1.0.0");
    }
    const removed = (): unknown[] =>
      small.events.flatMap((event) => (event.type === "git_mirror_removed" ? [event] : []));
    const gate = Promise.withResolvers<void>();
    server.setFault(/\/b\.git\//, { kind: "delay", until: gate.promise });
    const before = server.requests.length;
    now += 60_000;
    const busy = small.info(names[1] ?? "", "v1.1.0");
    await server.arrived(() => server.requests.length > before);
    await small.mirrors.sweep();
    const gone = (name: string | undefined): unknown => ({
      type: "git_mirror_removed",
      repository: `${server.url}/${name}.git`,
      reason: "space",
    });
    expect(removed()).toEqual([gone(names[0]), gone(names[2])]);
    expect(await mirrorsIn(folder)).toHaveLength(1);
    gate.resolve();
    expect((await busy).version).toBe("v1.1.0");
    await small.mirrors.sweep();
    expect(await mirrorsIn(folder)).toEqual([]);
    for (const name of names) expect(await small.mod(name, "v1.0.0")).toBe(`module ${name}\n`);
  });

  test("a mirror is kept as long as there is space", async () => {
    await using sluice = await createGitHarness({ places: places(), folder, maxBytes: 64 * 1024 * 1024 });
    await sluice.info(path, "v1.0.0");
    await sluice.mirrors.sweep();
    expect(await mirrorsIn(folder)).toHaveLength(1);
  });

  test("a fetch that brings more than it may is ended while it runs, and not begun again at once", async () => {
    const large = "git.example.com/large";
    await buildRepo(join(root, "large.git"), {
      commits: [{ files: { "go.mod": `module ${large}\n`, "large.bin": randomBytes(4_000_000) }, tags: ["v1.0.0"] }],
    });
    // The host has sent more than is allowed, and would go on for ever.
    let packs = 0;
    const isFetch = ({ kind, url }: GitRequest): boolean =>
      kind === "pack" && url.includes("large") && (packs += 1) > 1;
    server.setFault(isFetch, { kind: "stall", afterBytes: 3_000_000 });
    const all = [...places(), { root: large, url: `${server.url}/large.git` }];
    await using sluice = await createGitHarness({ places: all, folder, maxFetchBytes: 1_000_000 });
    const outcome = await outcomeOf(sluice.info(large, "v1.0.0"));
    expect(outcome).toMatch(
      /^upstream_invalid: http\S+\/large\.git: .*raise max_fetch_size of \[git\], now 1000000 bytes/,
    );
    expect(sluice.events).toContainEqual({
      type: "git_fetch_too_large",
      repository: `${server.url}/large.git`,
      maxBytes: 1_000_000,
    });
    const [mirror = ""] = await mirrorsIn(folder);
    expect(await readdir(join(folder, mirror, "objects", "pack"))).toEqual([]);
    const asked = packs;
    expect(asked).toBe(2);
    expect(await outcomeOf(sluice.info(large, "v1.0.0"))).toBe(outcome);
    expect(packs).toBe(asked);
    expect((await sluice.info(path, "v1.0.0")).version).toBe("v1.0.0");
  });

  test("a Sluice that is killed during an archive leaves nothing behind after the next start", async () => {
    const { executable, stopped } = await gitThatStops();
    const options = { folder, executable, places: places() };
    const harness = new URL("../support/git-harness.ts", import.meta.url).href;
    const script = `
      import { createGitHarness } from ${JSON.stringify(harness)};
      const sluice = await createGitHarness(${JSON.stringify(options)});
      await sluice.zip(${JSON.stringify(path)}, "v1.0.0");
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const orphan = await stopped();
    // Git has written, which is not to say that anybody has read.
    await expect.poll(leftovers, { timeout: 20_000 }).toEqual([expect.stringMatching(/\.tar$/)]);
    child.kill("SIGKILL");
    await exited;
    process.kill(orphan, "SIGKILL");
    expect(await leftovers()).toEqual([expect.stringMatching(/\.tar$/)]);
    await using sluice = await createGitHarness({ folder, places: places() });
    expect((await sluice.zip(path, "v1.0.0")).length).toBeGreaterThan(0);
    expect(await leftovers()).toEqual([]);
  });

  test("closing ends an archive that is being made, and takes away what there is of it", async () => {
    const { executable, stopped } = await gitThatStops();
    const sluice = await createGitHarness({ folder, executable, places: places() });
    const outcome = outcomeOf(sluice.zip(path, "v1.0.0"));
    const pid = await stopped();
    await sluice[Symbol.asyncDispose]();
    expect(await outcome).toMatch(/^draining: /);
    expect(await leftovers()).toEqual([]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });
});

function libraryOf(module: string): RepoDescription {
  return {
    commits: releases.map((tag) => ({
      // With attributes only `git archive` knows what is in a file.
      files: { "go.mod": `module ${module}\n`, "a.go": `package a // ${tag}\n`, ".gitattributes": "*.txt text\n" },
      tags: [tag],
    })),
  };
}

async function mirrorsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{64}/.test(name));
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
