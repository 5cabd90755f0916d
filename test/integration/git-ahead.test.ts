import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createFairQueue, type FairQueue } from "../../src/net/fair-queue.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { Activity } from "../../src/sources/git/activity.ts";
import { createGitCommand } from "../../src/sources/git/command.ts";
import { ObjectReaders } from "../../src/sources/git/object-reader.ts";
import { Mirror } from "../../src/sources/git/repository-mirror.ts";
import { createGitHarness, createMemoryPins, type GitHarness } from "../support/git-harness.ts";
import { buildRepo, type FixtureRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";

const path = "git.example.com/lib";
const goMod = `module ${path}\n`;

const releases = Array.from({ length: 6 }, (_, index) => ({
  name: `r${index}`,
  files: { "go.mod": goMod, "a.go": `package a // ${index}\n` },
  tags: [`v1.${index}.0`],
}));

const patient = { timeout: 20_000 };

const isPack = ({ kind }: { readonly kind: string }): boolean => kind === "pack";

/** A question for objects: `ls-refs` goes to the same address. */
function packs(server: GitServer): number {
  return server.requestsFor(isPack).length;
}

describe.skipIf(lacks("git"))("versions that nobody asked for yet", () => {
  let root: string;
  let server: GitServer;
  let repo: FixtureRepo;
  let sluice: GitHarness;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-ahead-"));
    repo = await buildRepo(join(root, "lib.git"), {
      commits: [...releases, { name: "tip", files: { "b.go": "package a\n" } }],
    });
    server = await startGitServer({ root });
    sluice = await createGitHarness({ places: [{ root: path, url: `${server.url}/lib.git` }], isAhead: true });
  });
  afterEach(async () => {
    server.clearFaults();
    await sluice[Symbol.asyncDispose]();
    await server.close();
    await rm(root, { recursive: true, force: true });
  });

  /** Kinds and outcomes of what was fetched, without the refs. */
  const fetches = ({ events } = sluice): string[] =>
    events.flatMap((event) =>
      event.type === "git_fetch" && event.kind !== "refs" ? [`${event.kind} ${event.outcome}`] : [],
    );

  test("are fetched behind the first, and cost nothing when they are asked for", async () => {
    await sluice.info(path, "v1.1.0");
    await expect.poll(() => fetches(), patient).toEqual(["tips ok", "ahead ok"]);
    const before = packs(server);
    for (const version of ["v1.0.0", "v1.2.0", "v1.5.0"]) {
      expect((await sluice.info(path, version)).version).toBe(version);
      expect(await sluice.mod(path, version)).toBe(goMod);
    }
    expect(packs(server)).toBe(before);
    expect(fetches()).toEqual(["tips ok", "ahead ok"]);
  });

  test("are fetched when nobody waits for another repository either", async () => {
    await buildRepo(join(root, "busy.git"), { commits: releases.slice(0, 1) });
    const urls = { [path]: "lib", "git.example.com/busy": "busy" };
    await using other = await createGitHarness({
      places: Object.entries(urls).map(([place, name]) => ({ root: place, url: `${server.url}/${name}.git` })),
      isAhead: true,
    });
    const release = Promise.withResolvers<void>();
    const isBusy = ({ url }: { readonly url: string }): boolean => url.includes("busy");
    server.setFault(isBusy, { kind: "delay", until: release.promise });
    const busy = other.list("git.example.com/busy");
    await server.arrived(isBusy);
    await other.info(path, "v1.1.0");
    // More than twice of what it waits for when nobody asks.
    await delay(800);
    expect(fetches(other)).toEqual(["tips ok"]);
    release.resolve();
    expect(await busy).toEqual(["v1.0.0"]);
    await expect.poll(() => fetches(other), patient).toEqual(["tips ok", "ahead ok"]);
  });

  test("are waited for by who wants one of them meanwhile", async () => {
    const release = Promise.withResolvers<void>();
    await sluice.list(path);
    const first = packs(server);
    server.setFault((request) => isPack(request) && packs(server) > first + 1, {
      kind: "delay",
      until: release.promise,
    });
    await sluice.info(path, "v1.1.0");
    await server.arrived(isPack, first + 2);
    const asked = sluice.info(path, "v1.5.0");
    release.resolve();
    expect((await asked).version).toBe("v1.5.0");
    expect(fetches()).toEqual(["tips ok", "ahead ok"]);
  });

  test("are given up for who wants something else", async () => {
    await sluice.list(path);
    const first = packs(server);
    server.setFault((request) => isPack(request) && packs(server) === first + 2, { kind: "hang" });
    await sluice.info(path, "v1.1.0");
    await server.arrived(isPack, first + 2);
    const { origin } = await sluice.info(path, "main");
    expect(origin?.hash).toBe(repo.hash("tip"));
    expect(fetches().slice(0, 3)).toEqual(["tips ok", "ahead cancelled", "tips ok"]);
  });

  test("are not asked for again where that failed, and nobody hears of it", async () => {
    await sluice.list(path);
    const first = packs(server);
    server.setFault((request) => isPack(request) && packs(server) === first + 2, { kind: "status", status: 500 });
    await sluice.info(path, "v1.1.0");
    await expect.poll(() => fetches(), patient).toEqual(["tips ok", "ahead upstream_failed"]);
    expect((await sluice.info(path, "v1.3.0")).version).toBe("v1.3.0");
    await sluice.mirrors.close();
    expect(fetches()).toEqual(["tips ok", "ahead upstream_failed", "tips ok"]);
  });

  test("that wait for their turn hold up nobody who wants one of them", async () => {
    const closing = new AbortController();
    const git = createGitCommand({ home: join(root, "home"), env: process.env, allowFileProtocol: true });
    const waiting = Promise.withResolvers<void>();
    const fullQueue: FairQueue = {
      running: 2,
      waiting: 1,
      limit: 2,
      run(_, signal) {
        waiting.resolve();
        return new Promise((__, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    };
    const url = `${server.url}/lib.git`;
    const mirror = new Mirror({
      url,
      folder: join(root, "mirror"),
      git,
      readers: new ObjectReaders(git, closing.signal),
      access: async () => ({ env: {}, hasCredential: false, dispose: async () => undefined }),
      queue: createFairQueue({ clock: systemClock, name: "git", concurrency: 1, maxWaiting: 10, maxWaitMs: 10_000 }),
      aheadQueue: fullQueue,
      gcTurn: (task) => task(),
      activity: new Activity(systemClock),
      events: { emit: () => undefined },
      clock: systemClock,
      closing: closing.signal,
      fetchTimeoutMs: 60_000,
      onFetched: () => undefined,
      refsTtlMs: 10_000,
      isAhead: true,
    });
    const tip = async (name: string, tag: string): Promise<string | undefined> => {
      const view = mirror.view({ signal: closing.signal, client: "test" });
      await view.refs();
      const commit = await view.tip(`refs/tags/${tag}`, repo.hash(name));
      view.close();
      return commit?.hash;
    };
    await tip("r1", "v1.1.0");
    await waiting.promise;
    expect(await tip("r5", "v1.5.0")).toBe(repo.hash("r5"));
    closing.abort();
    await mirror.settled();
  });

  test("do no harm to what is asked for where the host has them no more", async () => {
    const pins = createMemoryPins();
    const origin = { vcs: "git", url: `${server.url}/lib.git`, subdir: "", hash: repo.hash("r0"), ref: undefined };
    await pins.keep(
      parseModulePath(path),
      {
        version: parseVersion("v1.0.0"),
        time: "2024-01-01T00:00:00Z",
        origin,
      },
      "test",
    );
    await using other = await createGitHarness({
      places: [{ root: path, url: `${server.url}/lib.git` }],
      isAhead: true,
      refsTtlMs: 60_000,
      pins,
    });
    await other.list(path);
    await rm(repo.dir, { recursive: true });
    await buildRepo(repo.dir, { commits: releases.slice(0, 2) });
    await other.info(path, "v1.1.0");
    expect(await other.mod(path, "v1.0.0")).toBe(goMod);
    expect(fetches(other)).toEqual(["tips ok", "tips upstream_failed", "tips ok"]);
  });

  test("are not asked for at a host that gives nothing for a hash, which is found out once", async () => {
    const executable = join(root, "git-without-hashes");
    const deny = `grep -q "^+[0-9a-f]*:" "${root}/asked" && echo "fatal: remote error: upload-pack: not our ref" >&2 && exit 128`;
    const script = `#!/bin/sh\nif [ "$1" = fetch ]; then cat > "${root}/asked"; ${deny}; git "$@" < "${root}/asked"; else exec git "$@"; fi\n`;
    await writeFile(executable, script, { mode: 0o755 });
    await using other = await createGitHarness({
      places: [{ root: path, url: `${server.url}/lib.git` }],
      isAhead: true,
      executable,
    });
    for (const version of ["v1.1.0", "v1.0.0", "v1.2.0"]) {
      expect((await other.info(path, version)).version).toBe(version);
    }
    expect(fetches(other)).toEqual(["tips upstream_failed", "tips ok", "tips ok", "tips ok"]);
  });

  test("are fetched where a tag was moved a moment ago", async () => {
    await sluice.list(path);
    await rm(repo.dir, { recursive: true });
    await buildRepo(repo.dir, { commits: releases.map((release) => ({ ...release, message: "anew" })) });
    await sluice.info(path, "v1.1.0");
    await sluice.info(path, "v1.0.0");
    await expect.poll(() => fetches(), patient).toEqual(["tips upstream_failed", "tips ok", "tips ok", "ahead ok"]);
  });

  test("are fetched behind an outage too", async () => {
    await sluice.list(path);
    const first = packs(server);
    server.setFault((request) => isPack(request) && packs(server) === first + 1, { kind: "status", status: 500 });
    await sluice.info(path, "v1.1.0");
    await sluice.info(path, "v1.0.0");
    await expect.poll(() => fetches(), patient).toEqual(["tips upstream_failed", "tips ok", "tips ok", "ahead ok"]);
  });

  test("hold up nobody who closes", async () => {
    await sluice.list(path);
    const first = packs(server);
    server.setFault((request) => isPack(request) && packs(server) === first + 2, { kind: "hang" });
    await sluice.info(path, "v1.1.0");
    await server.arrived(isPack, first + 2);
    await sluice.mirrors.close();
    expect(fetches()).toEqual(["tips ok", "ahead cancelled"]);
  });
});
