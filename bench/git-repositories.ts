import { existsSync, renameSync } from "node:fs";
import path from "node:path";
import { buildRepo, type CommitDescription } from "../test/support/git-repos.ts";
import { keptFolder, removeFolder, temporaryFolder } from "./folders.ts";

/** Import path of all repositories: a host that go knows, so that nobody has to look for meta tags. */
export const owner = "github.com/sluice-bench";
export const big = {
  modulePath: `${owner}/big`,
  /** Of its twenty versions the one that a project begins with, and the one it moves on to. */
  first: "v1.17.0",
  second: "v1.18.0",
} as const;
export const monorepo = {
  /** Of all modules, at one commit. */
  together: "v1.0.0",
  /** Of each module at a commit of its own. */
  apart: "v0.9.0",
  modules: Array.from({ length: 40 }, (_, index) => `${owner}/mono/m${index}`),
} as const;

const commitCount = 2000;
const filesPerCommit = 3;
/** Changes with what is built, so that no run measures what an older bench has left. */
const folder = path.join(keptFolder, "git-2");

/** Builds the repositories unless an earlier run did; answers their folder. */
export async function gitRepositories(): Promise<string> {
  if (existsSync(folder)) return folder;
  const building = temporaryFolder("git", keptFolder);
  for (const [name, commits] of [
    ["big", bigCommits()],
    ["mono", monorepoCommits()],
  ] as const) {
    const repo = await buildRepo(path.join(building, `${name}.git`), { commits });
    // As hosts keep them: one pack, one file of refs.
    await repo.git(["gc", "--quiet"]);
  }
  removeFolder(folder);
  renameSync(building, folder);
  return folder;
}

/** A library of 240 files that grows and changes; a version every hundred commits. */
function bigCommits(): CommitDescription[] {
  return Array.from({ length: commitCount }, (_, index) => ({
    files: {
      ...(index === 0 ? { "go.mod": goMod(big.modulePath), LICENSE: words(0, 200) } : {}),
      ...changes(index, (file) => `internal/p${file % 24}/file${file}.go`, 240),
    },
    tags: index % 100 === 99 ? [`v1.${Math.floor(index / 100)}.0`] : [],
  }));
}

/** Forty modules side by side: first each with a version of its own, then one release of all. */
function monorepoCommits(): CommitDescription[] {
  const count = monorepo.modules.length;
  return Array.from({ length: commitCount }, (_, index) => ({
    files: {
      ...(index === 0 ? Object.fromEntries(monorepo.modules.map((name, at) => [`m${at}/go.mod`, goMod(name)])) : {}),
      ...changes(index, (file) => `m${file % count}/file${Math.floor(file / count)}.go`, count * 10),
    },
    tags: tagsOf(index),
  }));

  function tagsOf(index: number): string[] {
    if (index === commitCount - 1) return monorepo.modules.map((_, at) => `m${at}/${monorepo.together}`);
    const at = index - (commitCount - 100);
    return at >= 0 && at < count ? [`m${at}/${monorepo.apart}`] : [];
  }
}

function changes(commit: number, name: (file: number) => string, fileCount: number): Record<string, string> {
  const files = Array.from({ length: filesPerCommit }, (_, at) => (commit * filesPerCommit + at) % fileCount);
  return Object.fromEntries(
    files.map((file) => {
      const header = `// File ${file}, changed in ${commit}.\npackage p\n\n`;
      return [name(file), `${header}${words(file, 400)}${words(commit * fileCount + file, 40)}`];
    }),
  );
}

function goMod(modulePath: string): string {
  return `module ${modulePath}\n\ngo 1.21\n`;
}

/** Comments that compress about as well as source code does. The same `seed` makes the same. */
function words(seed: number, count: number): string {
  let state = seed * 2_654_435_761 + 1;
  return Array.from({ length: count }, (_, index) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return `${index % 10 === 0 ? "\n// " : " "}${(state >>> 16).toString(36)}`;
  }).join("");
}
