import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { lockFolder } from "../../src/sources/git/folder-lock.ts";
import { buildRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const path = "git.corp.example/lib";

describe.skipIf(lacks("git"))("processes on one data folder", () => {
  let root: string;
  let dataDir: string;
  let server: GitServer;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-two-"));
    dataDir = join(root, "data");
    await mkdir(dataDir);
    await buildRepo(join(root, "lib.git"), {
      commits: ["v1.0.0", "v1.1.0", "v1.2.0"].map((tag) => ({
        files: { "go.mod": `module ${path}\n`, "a.go": `package a // ${tag}\n` },
        tags: [tag],
      })),
    });
    server = await startGitServer({ root });
    await writeFile(
      join(root, "sluice.toml"),
      `[[private]]\npattern = "git.corp.example/*"\nurl = "${server.url}/{path}.git"\n`,
    );
  });
  afterEach(async () => {
    await server.close();
    await rm(root, { recursive: true, force: true });
  });

  async function start(): Promise<RunningSluice> {
    const sluice = await startSluiceProcess({
      upstream: "off",
      dataDir,
      args: ["--config", join(root, "sluice.toml")],
    });
    onTestFinished(async () => void (await sluice.stop("SIGKILL")));
    return sluice;
  }

  const ask = async (sluice: RunningSluice, version: string): Promise<number> =>
    (await fetch(`${sluice.url}/${path}/@v/${version}.mod`)).status;
  const mirrors = async (folder: string): Promise<number> =>
    (await readdir(join(dataDir, folder))).filter((name) => /^[0-9a-f]{64}$/.test(name)).length;

  test("have mirrors of their own, and the next one takes over those of one that was killed while it fetched", async () => {
    const first = await start();
    const second = await start();
    // It looks for its mirrors while it begins to serve.
    await expect.poll(() => second.output(), { timeout: 20_000 }).toContain("another process");
    // Nobody else fetches yet, so that it is the first one whose fetch stops.
    let packs = 0;
    server.setFault(({ kind }) => kind === "pack" && (packs += 1) > 1, { kind: "stall", afterBytes: 30 });
    const lost = ask(first, "v1.1.0").catch(() => "lost");
    await expect.poll(() => packs, { timeout: 20_000 }).toBeGreaterThan(1);
    await first.stop("SIGKILL");
    expect(await lost).toBe("lost");
    server.clearFaults();
    expect(await ask(second, "v1.0.0")).toBe(200);
    expect([await mirrors("git"), await mirrors("git-2")]).toEqual([1, 1]);

    const third = await start();
    expect(await ask(third, "v1.1.0")).toBe(200);
    expect(await ask(second, "v1.2.0")).toBe(200);
    expect([await mirrors("git"), await mirrors("git-2")]).toEqual([1, 1]);
    expect(await readdir(dataDir)).not.toContain("git-3");
  });

  test("let go of the folder when they end", async () => {
    const first = lockFolder(join(root, "git"));
    const second = lockFolder(join(root, "git"));
    expect([first.folder, second.folder]).toEqual([join(root, "git"), join(root, "git-2")]);
    first.release();
    const third = lockFolder(join(root, "git"));
    expect([third.folder, third.isLocked]).toEqual([join(root, "git"), true]);
    third.release();
    second.release();
  });
});
