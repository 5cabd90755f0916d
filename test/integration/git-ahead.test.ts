import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createGitHarness, type GitHarness } from "../support/git-harness.ts";
import { buildRepo, type FixtureRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";

const path = "git.example.com/lib";
const goMod = `module ${path}\n`;

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
    const releases = Array.from({ length: 6 }, (_, index) => ({
      name: `r${index}`,
      files: { "go.mod": goMod, "a.go": `package a // ${index}\n` },
      tags: [`v1.${index}.0`],
    }));
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
  const fetches = (): string[] =>
    sluice.events.flatMap((event) =>
      event.type === "git_fetch" && event.kind !== "refs" ? [`${event.kind} ${event.outcome}`] : [],
    );

  test("are fetched behind the first, and cost nothing when they are asked for", async () => {
    await sluice.info(path, "v1.1.0");
    await vi.waitFor(() => expect(fetches()).toEqual(["tips ok", "ahead ok"]));
    const before = packs(server);
    for (const version of ["v1.0.0", "v1.2.0", "v1.5.0"]) {
      expect((await sluice.info(path, version)).version).toBe(version);
      expect(await sluice.mod(path, version)).toBe(goMod);
    }
    expect(packs(server)).toBe(before);
    expect(fetches()).toEqual(["tips ok", "ahead ok"]);
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
    await vi.waitFor(() => expect(fetches()).toEqual(["tips ok", "ahead upstream_failed"]));
    expect((await sluice.info(path, "v1.3.0")).version).toBe("v1.3.0");
    await sluice.mirrors.close();
    expect(fetches()).toEqual(["tips ok", "ahead upstream_failed", "tips ok"]);
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
