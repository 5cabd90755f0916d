import { hash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { randomAccess, verifyZip } from "../../src/protocol/zip/index.ts";
import { type ArchiveRequest, type Archiver, createArchiver } from "../../src/sources/git/archive.ts";
import { createGitCommand, type GitCommand } from "../../src/sources/git/command.ts";
import { Refusal } from "../../src/sources/git/resolve/refusal.ts";
import { buildRepo, type FixtureRepo } from "../support/git-repos.ts";

const maxArchiveBytes = 100_000;

let folder = "";
let repo: FixtureRepo;
let git: GitCommand;
let archiver: Archiver;
let archives = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-git-archive-"));
  const text = randomBytes(40_000).toString("base64");
  const files = {
    "a/go.mod": "module git.example.com/mono/a\n",
    "b/go.mod": "module git.example.com/mono/b\n",
    "b/b.txt": text,
    "c/go.mod": "module git.example.com/mono/c\n",
    "c/c.txt": text,
    "large/go.mod": "module git.example.com/mono/large\n",
    "large/large.txt": text.repeat(20),
  };
  repo = await buildRepo(join(folder, "mono.git"), { commits: [{ name: "tip", files }] });
  git = createGitCommand({ home: join(folder, "home"), env: process.env });
  archives = 0;
  const counting: GitCommand = {
    ...git,
    run: (run) => {
      if (run.args.includes("archive")) archives += 1;
      return git.run(run);
    },
  };
  archiver = createArchiver({
    git: counting,
    folder: join(folder, "tmp"),
    concurrency: 1,
    timeoutMs: 20_000,
    maxArchiveBytes,
  });
});

afterEach(async () => {
  await archiver.close();
  await rm(folder, { recursive: true, force: true });
});

describe("archives of git", () => {
  test("modules whose common archive is too large are made alone; only one that is too large itself is refused", async () => {
    const outcomes = await Promise.all(["a", "b", "c", "large"].map(outcomeOf));
    expect(outcomes).toEqual(["made", "made", "made", "module source tree too large (max size is 524288000 bytes)"]);
    expect(archives).toBe(5);
    expect(await readdir(join(folder, "tmp"))).toEqual([]);
  });

  test("small modules of one commit share one archive", async () => {
    expect(await Promise.all(["a", "b"].map(outcomeOf))).toEqual(["made", "made"]);
    expect(archives).toBe(1);
  });

  test("zips come with their hashes, whether made of an archive or of files", async () => {
    const request = requestOf("b");
    const content = Buffer.from("package b\n");
    const files = [{ path: "b.go", isLink: false, size: content.length }];
    const packed = { files, bytes: new Uint8Array(content) };
    for (const each of [request, { ...request, files: async () => packed }]) {
      const zip = await archiver.zip(each, new AbortController().signal);
      const bytes = await buffer(zip.bytes());
      await zip.dispose();
      expect(zip.made.h1).toBe(await verifyZip(randomAccess(bytes), request));
      expect(zip.made.sha256).toBe(hash("sha256", bytes, "hex"));
    }
    expect(archives).toBe(1);
  });

  test("are cut off while they are written", async () => {
    const file = join(folder, "large.tar");
    const args = ["archive", "--format=tar", repo.hash("tip")];
    const run = { args, gitDir: repo.dir, signal: new AbortController().signal, timeoutMs: 20_000 };
    const cut = git.run({ ...run, maxBytes: maxArchiveBytes, outputFile: file });
    await expect(cut).rejects.toMatchObject({ failure: "too_large" });
    expect((await stat(file)).size).toBeLessThan(maxArchiveBytes + 200_000);
  });

  test("a disk that does not take one is storage_failed", async () => {
    await outcomeOf("a");
    await rm(join(folder, "tmp"), { recursive: true });
    await writeFile(join(folder, "tmp"), "");
    await expect(archiver.zip(requestOf("a"), new AbortController().signal)).rejects.toMatchObject({
      code: "storage_failed",
    });
  });

  test("a file that cannot be written ends git and is told", async () => {
    const args = ["archive", "--format=tar", repo.hash("tip")];
    const run = { args, gitDir: repo.dir, signal: new AbortController().signal, timeoutMs: 20_000 };
    const unwritable = git.run({ ...run, outputFile: join(folder, "missing", "x.tar") });
    await expect(unwritable).rejects.toMatchObject({ code: "ENOENT" });
  });
});

function requestOf(dir: string): ArchiveRequest {
  const modulePath = parseModulePath(`git.example.com/mono/${dir}`);
  const version = parseVersion("v1.0.0");
  return { gitDir: repo.dir, commit: repo.hash("tip"), modulePath, version, dir, license: undefined };
}

async function outcomeOf(dir: string): Promise<string> {
  try {
    const zip = await archiver.zip(requestOf(dir), new AbortController().signal);
    await zip.dispose();
    return "made";
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}
