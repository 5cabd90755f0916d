import { expect, test } from "vitest";
import { formatInfo } from "../../../protocol/goproxy/index.ts";
import { parseModulePath, parseVersion } from "../../../protocol/module/index.ts";
import { moduleLayout } from "./layout.ts";
import { GitModule } from "./module.ts";
import { Refusal } from "./refusal.ts";
import type { GitRefs, GitRepo } from "./repo.ts";

/** A repository that is a table: commits in order, each the child of the one before it. */
interface Table {
  readonly commits: readonly {
    readonly files?: Readonly<Record<string, string>>;
    readonly tags?: readonly string[];
    readonly branches?: readonly string[];
    /** Seconds. */
    readonly time?: number;
  }[];
}

function hashOf(index: number): string {
  return index.toString(16).padStart(4, "0").repeat(10);
}

/** Counts what costs a fetch. */
function repoOf({ commits }: Table): GitRepo & { readonly asked: string[] } {
  const asked: string[] = [];
  const byName = new Map<string, string>([["HEAD", hashOf(commits.length)]]);
  const trees: Record<string, string>[] = [];
  for (const [index, { files = {}, tags = [], branches = [] }] of commits.entries()) {
    for (const tag of tags) byName.set(`refs/tags/${tag}`, hashOf(index + 1));
    for (const branch of branches) byName.set(`refs/heads/${branch}`, hashOf(index + 1));
    trees.push({ ...trees.at(-1), ...files });
  }
  const tagsAt = (hash: string): string[] =>
    [...byName].flatMap(([name, at]) => (at === hash && name.startsWith("refs/tags/") ? [name.slice(10)] : [])).sort();
  const refs: GitRefs = { byName, tagsAt };
  const commitOf = (index: number) => ({
    hash: hashOf(index),
    time: commits[index - 1]?.time ?? 1_600_000_000 + index,
  });
  const indexOf = (hash: string): number => Number.parseInt(hash.slice(0, 4), 16);
  return {
    url: "https://example.com/repo",
    asked,
    refs: async (): Promise<GitRefs> => refs,
    async tip(_, hash) {
      asked.push(`tip ${indexOf(hash)}`);
      return commitOf(indexOf(hash));
    },
    async find(prefix) {
      asked.push("history");
      const index = commits.findIndex((_, at) => hashOf(at + 1).startsWith(prefix));
      return index < 0 ? undefined : commitOf(index + 1);
    },
    async blobs(commit, paths) {
      const tree = trees[indexOf(commit) - 1] ?? {};
      return paths.map((path) => (tree[path] === undefined ? undefined : Buffer.from(tree[path])));
    },
    async tagsMerged(commit) {
      asked.push("history");
      return commits.slice(0, indexOf(commit)).flatMap((_, at) => tagsAt(hashOf(at + 1)));
    },
    async isAncestor(ancestor, commit) {
      asked.push("history");
      return indexOf(ancestor) <= indexOf(commit);
    },
  };
}

function moduleOf(table: Table, path = "example.com/repo", subdir = ""): { module: GitModule; asked: string[] } {
  const repo = repoOf(table);
  const location = { vcs: "git", url: repo.url, root: "example.com/repo", subdir } as const;
  return { module: new GitModule(repo, moduleLayout(parseModulePath(path), location)), asked: repo.asked };
}

const goMod = { "go.mod": "module example.com/repo\n" };

test("a version is its tag's commit, and no history is asked for it", async () => {
  const { module, asked } = moduleOf({ commits: [{ files: goMod, tags: ["v1.0.0"] }, { tags: ["v1.1.0"] }] });
  expect(formatInfo((await module.stat("v1.0.0")).info)).toBe(
    `{"Version":"v1.0.0","Time":"2020-09-13T12:26:41Z","Origin":{"VCS":"git","URL":"https://example.com/repo","Hash":"${hashOf(1)}","Ref":"refs/tags/v1.0.0"}}`,
  );
  expect(asked).toEqual(["tip 1"]);
});

test("a repository without such tags needs no history for a pseudo-version", async () => {
  const { module, asked } = moduleOf({ commits: [{ files: goMod }, { branches: ["main"], tags: ["release-1"] }] });
  expect((await module.stat("main")).version).toBe("v0.0.0-20200913122642-000200020002");
  expect(asked).not.toContain("history");
});

test("a pseudo-version stands behind the highest tag of its history", async () => {
  const { module } = moduleOf({
    commits: [
      { files: goMod, tags: ["v1.0.0", "v0.9.0"] },
      { tags: ["v1.1.0-rc.1"] },
      { branches: ["main"] },
      { tags: ["v9.0.0"] },
    ],
  });
  expect((await module.stat("main")).version).toBe("v1.1.0-rc.1.0.20200913122643-000300030003");
});

test("the latest version is the highest release that was not retracted, else the tip", async () => {
  const retracting = { "go.mod": "module example.com/repo\nretract [v1.0.0, v1.1.0]\n" };
  const some = moduleOf({
    commits: [
      { files: goMod, tags: ["v0.1.0"] },
      { files: retracting, tags: ["v1.1.0"] },
    ],
  });
  expect((await some.module.latest()).version).toBe("v0.1.0");
  const none = moduleOf({ commits: [{ files: retracting, tags: ["v1.1.0"] }, {}] });
  expect((await none.module.latest()).version).toBe("v0.0.0-20200913122642-000200020002");
});

test.each([
  ["v1.0.0", "unknown revision v1.0.0"],
  ["0003000", "unknown revision 0003000"],
  ["000100", "unknown revision 000100"],
])("%s is refused in go's words", async (query, reason) => {
  const { module } = moduleOf({ commits: [{ files: goMod }, {}] });
  await expect(module.stat(query)).rejects.toThrow(
    new Refusal(`example.com/repo@${query}: invalid version: ${reason}`),
  );
});

test("a module in a folder has tags of its own, and its version's folder may be below", async () => {
  const files = { "sub/v2/go.mod": "module example.com/repo/sub/v2\n" };
  const { module } = moduleOf({ commits: [{ files, tags: ["sub/v2.0.0", "v2.5.0"] }] }, "example.com/repo/sub/v2");
  expect(await module.list()).toEqual(["v2.0.0"]);
  const version = parseVersion("v2.0.0");
  const { commit, info } = await module.stat("v2.0.0");
  expect(info.origin?.subdir).toBe("sub");
  expect((await module.files(version, commit)).dir).toBe("sub/v2");
});

test("a go.mod that is not there is made, at the root only", async () => {
  const { module } = moduleOf({ commits: [{ tags: ["v1.0.0", "sub/v1.0.0"] }] });
  const { commit } = await module.stat("v1.0.0");
  const { servedGoMod } = await module.files(parseVersion("v1.0.0"), commit);
  expect(Buffer.from(servedGoMod).toString()).toBe("module example.com/repo\n");
  const sub = moduleOf({ commits: [{ tags: ["sub/v1.0.0"] }] }, "example.com/repo/sub");
  await expect(sub.module.stat("v1.0.0")).rejects.toThrow("missing example.com/repo/sub/go.mod at revision sub/v1.0.0");
});

test("a tag of a folder that looks like a pseudo-version leads to the commit of its hash, which is none", async () => {
  const files = { "sub/go.mod": "module example.com/repo/sub\n" };
  const tags = ["sub/v0.0.0-20200101000000-abcdefabcdef"];
  const { module } = moduleOf({ commits: [{ files, tags, branches: ["main"] }] }, "example.com/repo/sub");
  await expect(module.stat("main")).rejects.toThrow(
    "example.com/repo/sub@v0.0.0-20200101000000-abcdefabcdef: invalid version: reading example.com/repo/sub/go.mod at revision abcdefabcdef: unknown revision abcdefabcdef",
  );
});

test.each([
  ["beyond what a date can be", 99_999_999_999_999],
  ["after the year 9999", 253_402_300_800],
  ["before the year 0", -62_167_219_201],
])("a commit with a date %s is refused, whatever it is asked by", async (_, time) => {
  const { module } = moduleOf({ commits: [{ files: goMod, tags: ["v1.0.0"], branches: ["main"], time }] });
  const pseudo = `v0.0.0-20240101000000-${hashOf(1).slice(0, 12)}`;
  for (const query of ["v1.0.0", "main", hashOf(1), pseudo]) {
    await expect(module.stat(query)).rejects.toThrow(Refusal);
  }
  const { module: untagged } = moduleOf({ commits: [{ files: goMod, time }] });
  await expect(untagged.latest()).rejects.toThrow(Refusal);
});

test("a commit of the year 9999 has a version", async () => {
  const { module } = moduleOf({ commits: [{ files: goMod, time: 253_402_300_799 }] });
  expect((await module.latest()).info).toMatchObject({
    version: `v0.0.0-99991231235959-${hashOf(1).slice(0, 12)}`,
    time: "9999-12-31T23:59:59Z",
  });
});
