import type { CommitDescription, Content, FixtureRepo, RepoDescription } from "./git-repos.ts";
import { createRandom, type Random } from "./random.ts";

/** A repository with whatever tags, folders and go.mod files the seed brings, and the modules that may be in it. */
export interface RandomRepo {
  readonly description: RepoDescription;
  readonly modulePaths: readonly string[];
}

/** The same seed gives the same repository, with the same hashes. */
export function randomRepo(seed: number, root: string): RandomRepo {
  const random = createRandom(seed);
  const commits: CommitDescription[] = [];
  const count = 3 + random.int(7);
  const usedTags = new Set<string>();
  for (let index = 0; index < count; index += 1) {
    const name = `c${index}`;
    const files = randomFiles(random, root, index);
    const tags = randomTags(random, usedTags);
    const branches = random.chance(25) ? [random.pick(branchNames)] : [];
    commits.push({ name, parents: randomParents(random, index), files, tags, branches });
  }
  return {
    description: random.chance(8)
      ? { commits: commits.map(withLongGitlinks), objectFormat: "sha256" }
      : { commits, objectFormat: "sha1" },
    modulePaths: [root, ...random.pick(pathChoices).map((path) => `${root}/${path}`)],
  };
}

/** Versions and other queries for one module: of its tags, its commits, and what is close to them. */
export async function randomQueries(
  seed: number,
  repo: FixtureRepo,
  modulePath: string,
  root: string,
): Promise<string[]> {
  const random = createRandom(seed * 31 + modulePath.length);
  const refs = await repo.refs();
  const tags = Object.keys(refs)
    .filter((name) => name.startsWith("refs/tags/"))
    .map((name) => name.slice(10));
  const folder = modulePath.slice(root.length + 1).replace(/\/?v\d+$/, "");
  const prefix = folder === "" ? "" : `${folder}/`;
  const versions = tags.filter((tag) => tag.startsWith(`${prefix}v`)).map((tag) => tag.slice(prefix.length));
  const queries = new Set<string>(["latest", "main"]);
  for (const version of versions) {
    if (random.chance(70)) queries.add(version);
    if (random.chance(30)) queries.add(`${version.replace(/\+.*$/, "")}+incompatible`);
  }
  const log = (await repo.git(["log", "--all", "--format=%H %ct"])).trim().split("\n");
  for (let index = 0; index < 6; index += 1) {
    const [hash = "", time = "0"] = random.pick(log).split(" ");
    const kind = random.int(4);
    if (kind === 0) queries.add(hash);
    else if (kind === 1) queries.add(hash.slice(0, 7 + random.int(8)));
    else queries.add(randomPseudo(random, { hash, time: Number(time), versions }));
  }
  if (random.chance(40)) queries.add(random.pick(branchNames));
  if (random.chance(30)) queries.add("v1.9.9");
  return [...queries].filter(
    (query) => !/^v\d+(\.\d+)?$/.test(query) && !query.includes("/") && /^[\w.+-]+$/.test(query),
  );
}

function randomPseudo(
  random: Random,
  { hash, time, versions }: { readonly hash: string; readonly time: number; readonly versions: readonly string[] },
): string {
  const at = random.chance(90) ? time : time + 1;
  const stamp = new Date(at * 1000).toISOString().slice(0, 19).replace(/[-T:]/g, "");
  const rev = hash.slice(0, random.chance(90) ? 12 : 11 + random.int(4));
  const base = versions.length === 0 || random.chance(35) ? undefined : random.pick(versions);
  const [, major = "0", minor = "0", patch = "0", pre] = /^v(\d+)\.(\d+)\.(\d+)(-[^+]*)?/.exec(base ?? "") ?? [];
  const suffix = random.chance(base !== undefined && Number(major) > 1 ? 50 : 5) ? "+incompatible" : "";
  if (base === undefined || !/^v\d+\.\d+\.\d+/.test(base))
    return `v${random.pick([0, 0, 1, 2])}.0.0-${stamp}-${rev}${suffix}`;
  if (pre !== undefined) return `v${major}.${minor}.${patch}${pre}.0.${stamp}-${rev}${suffix}`;
  return `v${major}.${minor}.${Number(patch) + 1}-0.${stamp}-${rev}${suffix}`;
}

const pathChoices = [
  ["v2"],
  ["v2", "v3"],
  ["sub"],
  ["sub", "sub/v2"],
  ["v2", "sub", "sub/deep"],
  ["sub/deep", "nope"],
  [],
] as const;
const branchNames = ["main", "dev", "v1.5.0", "v2", "release", "v3.0.0-devel"];
const tagNames = [
  "v0.0.0",
  "v0.1.0",
  "v0.2.0",
  "v1.0.0",
  "v1.0.1",
  "v1.1.0-pre",
  "v1.1.0",
  "v1.2.0-rc.1",
  "v1.0.0+meta",
  "v1.3.0+meta",
  "v2.0.0",
  "v2.1.0",
  "v2.0.0+incompatible",
  "v2.2.0-beta",
  "v3.0.0",
  "v3.1.0",
  "v10.0.0",
  "v1",
  "v1.2",
  "mytag",
  "V1.0.0",
  "v0.0.0-20200101000000-abcdefabcdef",
  "v01.0.0",
  "v1.4.0-0",
  "sub/v0.1.0",
  "sub/v1.0.0",
  "sub/v1.0.1",
  "sub/v1.0.0+meta",
  "sub/v2.0.0",
  "sub/v2.1.0-pre",
  "sub/deep/v0.0.1",
  "sub/deep/v1.0.0",
  "sub/v0.0.0-20200101000000-abcdefabcdef",
  "v2/v2.3.0",
] as const;

function randomTags(random: Random, used: Set<string>): (string | { name: string })[] {
  const tags: (string | { name: string })[] = [];
  const count = random.pick([0, 0, 1, 1, 2, 4]);
  for (let index = 0; index < count; index += 1) {
    const name = random.pick(tagNames);
    // A ref cannot be a folder of refs at the same time.
    const clashes = [...used].some((other) => other.startsWith(`${name}/`) || name.startsWith(`${other}/`));
    if (used.has(name) || clashes) continue;
    used.add(name);
    tags.push(random.chance(30) ? { name } : name);
  }
  return tags;
}

function randomParents(random: Random, index: number): string[] {
  if (index === 0 || random.chance(4)) return [];
  const first = random.chance(75) ? index - 1 : random.int(index);
  const second = random.int(index);
  return random.chance(15) && second !== first ? [`c${first}`, `c${second}`] : [`c${first}`];
}

function randomFiles(random: Random, root: string, index: number): Record<string, Content | null> {
  const files: Record<string, Content | null> = { "main.go": `package main // ${index}\n` };
  const folders = ["", "sub/", "sub/deep/", "v2/", "sub/v2/"];
  for (const folder of folders) {
    if (random.chance(index === 0 ? 45 : 20))
      files[`${folder}go.mod`] = random.chance(12) ? null : randomGoMod(random, root, folder);
    if (random.chance(30)) files[`${folder}code.go`] = `package code // ${index}\n`;
  }
  for (const [path, content] of oddFiles) if (random.chance(7)) files[path] = random.chance(15) ? null : content;
  if (index === 0) files["v2/keep.go"] = "package keep\n";
  return files;
}

function randomGoMod(random: Random, root: string, folder: string): Content {
  const path = `${root}/${folder}`.replace(/\/$/, "");
  const module = random.pick([
    path,
    path,
    path,
    path,
    path,
    `${path}/v2`,
    `${path.replace(/\/v2$/, "")}/v2`,
    "example.com/fork",
    "example.com/fork/v2",
    "gopkg.in/yaml.v2",
    "gopkg.in/yaml.v1",
    `"${path}"`,
    "",
    "example.com/bad/v1",
    `${path}/v3`,
  ]);
  const go = random.pick(["go 1.13\n", "go 1.18\n", "go 1.24\n", "", "go 1.24.3\n"]);
  const retract = random.chance(15)
    ? random.pick(["retract v1.0.0\n", "retract [v1.0.0, v1.2.0]\n", "retract v2.0.0\n", "retract v0.1.0\n"])
    : "";
  if (random.chance(3)) return { symlink: "main.go" };
  const text = `module ${module}\n\n${go}${retract}`;
  return random.chance(5) ? text.replaceAll("\n", "\r\n") : text;
}

const oddFiles: readonly (readonly [string, Content])[] = [
  ["LICENSE", "root license\n"],
  ["sub/LICENSE", "sub license\n"],
  ["v2/LICENSE", { symlink: "../LICENSE" }],
  ["vendor/modules.txt", "# modules\n"],
  ["vendor/example.com/x/x.go", "package x\n"],
  ["vendor/x.go", "package vendor\n"],
  ["pkg/vendor/vendor.go", "package vendor\n"],
  ["pkg/vendor/a/a.go", "package a\n"],
  ["sub/vendor/b/b.go", "package b\n"],
  [".gitattributes", "*.txt eol=crlf\n*.id ident\nignored export-ignore\nsubst.go export-subst\n"],
  ["sub/.gitattributes", "*.go text=auto eol=crlf\n"],
  ["text.txt", "one\ntwo\n"],
  ["x.id", "x $Id$ y\n"],
  ["ignored", "but there\n"],
  ["subst.go", "package subst // $Format:%H$\n"],
  ["link", { symlink: "main.go" }],
  ["run.sh", { executable: "#!/bin/sh\n" }],
  ["module", { gitlink: "0123456789012345678901234567890123456789" }],
  ["Main.go", "package upper\n"],
  ["sub/aux.go", "package aux\n"],
  ["bad:name.go", "package bad\n"],
  ["unicode/испытание.go", "package u\n"],
  ["nested/GO.MOD", "module x\n"],
  ["nested/n.go", "package n\n"],
  ["go.mod.d/x.go", "package x\n"],
  [".hg_archival.txt", "hg\n"],
  ["spaces in name.go", "package s\n"],
  ["deep/er/go.mod", "module deep\n"],
  ["deep/er/d.go", "package d\n"],
  ["big.lfs", { lfs: { sha256: "ab".repeat(32), size: 12 } }],
];

/** The hash of a submodule is as long as those of the repository. */
function withLongGitlinks(commit: CommitDescription): CommitDescription {
  const files = Object.entries(commit.files ?? {}).map(([path, content]) => {
    const isGitlink = content !== null && typeof content === "object" && "gitlink" in content;
    return [path, isGitlink ? { gitlink: content.gitlink.padEnd(64, "0") } : content] as const;
  });
  return { ...commit, files: Object.fromEntries(files) };
}
