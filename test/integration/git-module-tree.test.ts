import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createGitCommand, type GitCommand } from "../../src/sources/git/command.ts";
import { moduleFiles, unpackFiles } from "../../src/sources/git/module-files.ts";
import { readModuleTree } from "../../src/sources/git/module-tree.ts";
import { ObjectReaders } from "../../src/sources/git/object-reader.ts";
import { readTar } from "../../src/sources/git/tar.ts";
import { buildRepo, type Content, type FixtureRepo } from "../support/git-repos.ts";
import { lacks } from "../support/needs.ts";

const license = Buffer.from("of the root");

describe.skipIf(lacks("git"))("the files of a module without git archive", () => {
  let root: string;
  let git: GitCommand;
  let readers: ObjectReaders;
  const closing = new AbortController();
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-module-tree-"));
    git = createGitCommand({ home: join(root, "home"), env: process.env });
    readers = new ObjectReaders(git, closing.signal);
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function read(repo: FixtureRepo, dir: string): Promise<ReturnType<typeof readModuleTree>> {
    const reader = readers.of(repo.dir);
    try {
      return await readModuleTree(reader, { commit: repo.hash("tip"), dir });
    } finally {
      await reader.end();
    }
  }

  async function archived(repo: FixtureRepo, dir: string): Promise<ReturnType<typeof moduleFiles>> {
    const outputFile = join(root, "archive.tar");
    const args = ["archive", "--format=tar", "--prefix=prefix/", repo.hash("tip"), ...(dir === "" ? [] : [dir])];
    await git.run({ args, gitDir: repo.dir, signal: closing.signal, timeoutMs: 20_000, outputFile });
    const files = moduleFiles(readTar(await readFile(outputFile)), { dir, license });
    await rm(outputFile);
    return files;
  }

  const build = (files: Readonly<Record<string, Content>>): Promise<FixtureRepo> =>
    buildRepo(join(root, "repo.git"), { commits: [{ name: "tip", files }] });

  const plain: Readonly<Record<string, Content>> = {
    "go.mod": "module m\n",
    "a/b/c.go": "package c\n",
    "a/b.go": "package a\n",
    "a.go": "package m\n",
    "a-b/x": "",
    ".github/workflows/x.yml": "x",
    ".gitignore": "*.o\n",
    "crlf.txt": "a\r\nb\r\n",
    "bytes.bin": Buffer.from([0, 255, 10, 13, 0]),
    "Name With (spaces) & more!": "x",
    [`${"long/".repeat(40)}name.go`]: "package long\n",
    "same.go": "package m\n",
    "sub/go.mod": "module m/sub\n",
    "sub/LICENSE": "of sub",
  };

  test.each(["", "a", "a/b", "sub"])("are those of the archive: %j", async (dir) => {
    const repo = await build(plain);
    const packed = await read(repo, dir);
    expect(packed).toBeDefined();
    if (packed === undefined) return;
    expect(plainly(unpackFiles(packed, { dir, license }))).toEqual(plainly(await archived(repo, dir)));
  });

  test("have links without a target, and no submodule", async () => {
    const repo = await build({
      LICENSE: { symlink: "a.go" },
      module: { gitlink: "12".repeat(20) },
      run: { executable: "#!/bin/sh\n" },
    });
    const packed = await read(repo, "");
    expect(packed && plainly(unpackFiles(packed, { dir: "", license }))).toEqual(plainly(await archived(repo, "")));
    expect(packed?.files).toMatchObject([
      { path: "LICENSE", isLink: true },
      { path: "run", isLink: false },
    ]);
  });

  test("have no content that is a link's, though a file has the same", async () => {
    const repo = await build({ link: { symlink: "a.go" }, "text.txt": "a.go" });
    expect((await read(repo, ""))?.files).toEqual([
      { path: "link", isLink: true, size: 0 },
      { path: "text.txt", isLink: false, size: 4 },
    ]);
  });

  test("of folders that are one and the same are read once", async () => {
    const paths = Array.from({ length: 1_000 }, (_, index) => `d${index % 20}/${Math.floor(index / 20)}`);
    const repo = await build(Object.fromEntries(paths.map((path) => [path, "x"])));
    const reader = readers.of(repo.dir);
    const asked: string[] = [];
    const read: typeof reader.read = (names, maxBytes) => {
      asked.push(...names);
      return reader.read(names, maxBytes);
    };
    const packed = await readModuleTree({ read }, { commit: repo.hash("tip"), dir: "" });
    await reader.end();
    expect(packed?.files).toHaveLength(1_000);
    expect(asked).toHaveLength(3);
  });

  test.each([
    ["attributes at the root", { ".gitattributes": "*.go eol=crlf\n" }, "a"],
    ["attributes of the module's folder", { "a/.gitattributes": "*.go ident\n" }, "a"],
    ["attributes below it", { "a/b/.gitattributes": "*.go ident\n" }, "a"],
    ["a name that is no ASCII", { "a/é.go": "x" }, "a"],
    ["a name that some file system reads otherwise", { "a/b~1": "x" }, "a"],
    ["more bytes than go through a pipe", { "a/large": Buffer.alloc(16 * 1024 * 1024 + 1) }, "a"],
    [
      "together more bytes than that",
      Object.fromEntries([1, 2, 3].map((n) => [`a/${n}`, Buffer.alloc(6_000_000, n)])),
      "a",
    ],
    ["a folder that is none", {}, "nowhere"],
  ])("are left to git archive with %s", async (_, files: Readonly<Record<string, Content>>, dir) => {
    expect(await read(await build({ ...plain, ...files }), dir)).toBeUndefined();
  });

  test("attributes elsewhere do not matter", async () => {
    const repo = await build({ ...plain, "sub/.gitattributes": "*.go ident\n" });
    expect((await read(repo, "a"))?.files).toHaveLength(2);
  });

  test("are left to git archive where one is lost", async () => {
    const repo = await build(plain);
    const hash = (await repo.git(["rev-parse", `${repo.hash("tip")}:a/b.go`])).trim();
    await rm(join(repo.dir, "objects", hash.slice(0, 2), hash.slice(2)));
    expect(await read(repo, "a")).toBeUndefined();
    expect(await read(repo, "sub")).toBeDefined();
  });
});

function plainly(files: ReturnType<typeof moduleFiles>): unknown[] {
  return files.map(({ path, kind = "file", content }) => ({
    path,
    kind,
    content: Buffer.from(content).toString("hex"),
  }));
}
