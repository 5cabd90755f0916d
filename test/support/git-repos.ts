import { spawn } from "node:child_process";
import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** Who wrote a commit. */
export interface Identity {
  readonly name: string;
  readonly email: string;
}

/** Text or bytes of a plain file, or something else that git can hold under a path. */
export type Content =
  | string
  | Uint8Array
  | { readonly executable: string }
  | { readonly symlink: string }
  /** A submodule: the hash of a commit of another repository. */
  | { readonly gitlink: string }
  /** What stands in the repository for a file kept by Git LFS. */
  | { readonly lfs: { readonly sha256: string; readonly size: number } };

export interface AnnotatedTag {
  readonly name: string;
  /** Without the line end at its end. Default: the name. */
  readonly message?: string;
  /** Default: the commit's. */
  readonly at?: string;
}

export interface CommitDescription {
  /** For `parents` of later commits, and for `hash()`. Default: `c0`, `c1`, … */
  readonly name?: string;
  /** Names or full hashes. Default: the commit before; `[]` begins a history of its own. Two or more are a merge, which has the first one's files. */
  readonly parents?: readonly string[];
  /** Without the line end at its end. Default: `commit <name>`. */
  readonly message?: string;
  /** Such as `2022-02-02T14:15:21-05:00`; the zone is kept. Default: one minute after another, from 2024-01-01T00:00:00Z. */
  readonly at?: string;
  /** Default: `at`. */
  readonly authoredAt?: string;
  /** Default: the repository's. */
  readonly author?: Identity;
  /** Default: the repository's. */
  readonly committer?: Identity;
  /** By path: added or changed, and taken out where null. The others stay as in the first parent. */
  readonly files?: Readonly<Record<string, Content | null>>;
  /** Lightweight ones by name. */
  readonly tags?: readonly (string | AnnotatedTag)[];
  /** Branches that point at this commit until a later one says so too. */
  readonly branches?: readonly string[];
}

export interface RepoDescription {
  /** Where HEAD points. Default `main`. Points at the last commit when no commit names it. */
  readonly defaultBranch?: string;
  readonly objectFormat?: "sha1" | "sha256";
  readonly author?: Identity;
  readonly commits: readonly CommitDescription[];
  /** Configuration of the served repository. Default: filters and any commit may be asked for, as the big hosts allow. */
  readonly config?: Readonly<Record<string, string>>;
}

/** A bare repository on disk. */
export interface FixtureRepo {
  readonly dir: string;
  /** The full hash of a commit by its name in the description. */
  hash(name: string): string;
  /** More history: a push. Branches and tags that exist are moved, as by a forced push. */
  add(commits: readonly CommitDescription[]): Promise<void>;
  /** `refs/heads/…` and `refs/tags/…` with what they point at. */
  refs(): Promise<Readonly<Record<string, string>>>;
  /** Runs git in the repository, such as `["update-ref", "-d", "refs/tags/v1.0.0"]`. */
  git(args: readonly string[]): Promise<string>;
}

const fixtureAuthor: Identity = { name: "Fixture Author", email: "fixture@example.com" };
const firstCommitAt = Date.parse("2024-01-01T00:00:00Z");
const openConfig = { "uploadpack.allowFilter": "true", "uploadpack.allowAnySHA1InWant": "true" };
const scratchRef = "refs/fixture/commit";

/** Makes a bare repository in the new folder `dir`. The same description makes the same hashes everywhere. */
export async function buildRepo(dir: string, description: RepoDescription): Promise<FixtureRepo> {
  const { defaultBranch = "main", objectFormat = "sha1", author = fixtureAuthor, config = openConfig } = description;
  await mkdir(dir, { recursive: true });
  const git = (args: readonly string[], input: string | Buffer = ""): Promise<string> => runGit(dir, args, input);
  const head = `--initial-branch=${defaultBranch}`;
  await git(["init", "-q", "--bare", "--template=", head, `--object-format=${objectFormat}`, "."]);
  const settings = Object.entries(config).map(([key, value]) => {
    const dot = key.lastIndexOf(".");
    return `[${key.slice(0, dot)}]\n\t${key.slice(dot + 1)} = ${value}\n`;
  });
  await appendFile(join(dir, "config"), settings.join(""));

  const history: History = {
    author,
    hashes: new Map(),
    time: firstCommitAt,
    zero: "0".repeat(objectFormat === "sha1" ? 40 : 64),
  };
  const add = async (commits: readonly CommitDescription[]): Promise<void> => {
    const { stream, names } = describeCommits(commits, history);
    await git(["fast-import", "--quiet", "--force", "--export-marks=fixture-marks"], stream);
    const marks = await readFile(join(dir, "fixture-marks"), "utf8");
    await rm(join(dir, "fixture-marks"));
    for (const [, mark = "", hash = ""] of marks.matchAll(/^:(\d+) (\w+)$/gm)) {
      history.hashes.set(names[Number(mark) - 1] ?? "", hash);
    }
  };
  await add(withDefaultBranch(description.commits, defaultBranch));
  return {
    dir,
    add,
    git,
    hash(name) {
      const hash = history.hashes.get(name);
      if (hash === undefined) throw new Error(`the fixture has no commit ${name}`);
      return hash;
    },
    async refs() {
      const lines = (await git(["for-each-ref", "--format=%(refname) %(objectname)"])).trim().split("\n");
      return Object.fromEntries(lines.map((line) => line.split(" ")));
    },
  };
}

interface History {
  readonly author: Identity;
  readonly hashes: Map<string, string>;
  /** Of the next commit without a time of its own. */
  time: number;
  readonly zero: string;
}

function withDefaultBranch(commits: readonly CommitDescription[], branch: string): readonly CommitDescription[] {
  if (commits.some(({ branches = [] }) => branches.includes(branch))) return commits;
  return commits.map((commit, index) =>
    index === commits.length - 1 ? { ...commit, branches: [...(commit.branches ?? []), branch] } : commit,
  );
}

/** The commits in the language of `git fast-import`, which makes any number of them in one process. */
function describeCommits(commits: readonly CommitDescription[], history: History): { stream: Buffer; names: string[] } {
  const chunks: (string | Uint8Array)[] = [];
  const names: string[] = [];
  const data = (content: string | Uint8Array): void => {
    const bytes = Buffer.from(content);
    chunks.push(`data ${bytes.length}\n`, bytes, "\n");
  };
  const revision = (name: string): string => {
    const mark = names.lastIndexOf(name) + 1;
    const hash = mark > 0 ? `:${mark}` : (history.hashes.get(name) ?? name);
    if (!/^(:\d+|[0-9a-f]{40,64})$/.test(hash))
      throw new Error(`no commit ${name} stands before the one that names it`);
    return hash;
  };
  let previous = [...history.hashes.keys()].at(-1);
  for (const commit of commits) {
    const name = commit.name ?? `c${history.hashes.size + names.length}`;
    const at = commit.at ?? new Date(history.time).toISOString();
    history.time += 60_000;
    const parents = (commit.parents ?? (previous === undefined ? [] : [previous])).map(revision);
    names.push(name);
    previous = name;
    const mark = `:${names.length}`;
    chunks.push(`reset ${scratchRef}\ncommit ${scratchRef}\nmark ${mark}\n`);
    chunks.push(`author ${signature(commit.author ?? history.author, commit.authoredAt ?? at)}\n`);
    chunks.push(`committer ${signature(commit.committer ?? history.author, at)}\n`);
    data(`${commit.message ?? `commit ${name}`}\n`);
    for (const [index, parent] of parents.entries()) chunks.push(`${index === 0 ? "from" : "merge"} ${parent}\n`);
    for (const [path, content] of Object.entries(commit.files ?? {})) {
      const entry = content === null ? undefined : entryOf(content);
      if (entry === undefined) chunks.push(`D ${quotePath(path)}\n`);
      else if (entry.mode === "160000") chunks.push(`M 160000 ${entry.content.toString()} ${quotePath(path)}\n`);
      else {
        chunks.push(`M ${entry.mode} inline ${quotePath(path)}\n`);
        data(entry.content);
      }
    }
    for (const branch of commit.branches ?? []) chunks.push(`reset refs/heads/${branch}\nfrom ${mark}\n\n`);
    for (const tag of commit.tags ?? []) {
      if (typeof tag === "string") chunks.push(`reset refs/tags/${tag}\nfrom ${mark}\n\n`);
      else {
        chunks.push(`tag ${tag.name}\nfrom ${mark}\ntagger ${signature(history.author, tag.at ?? at)}\n`);
        data(`${tag.message ?? tag.name}\n`);
      }
    }
  }
  chunks.push(`reset ${scratchRef}\nfrom ${history.zero}\n\n`);
  return { stream: Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))), names };
}

function entryOf(content: Content): { readonly mode: string; readonly content: string | Uint8Array } {
  if (typeof content === "string" || content instanceof Uint8Array) return { mode: "100644", content };
  if ("executable" in content) return { mode: "100755", content: content.executable };
  if ("symlink" in content) return { mode: "120000", content: content.symlink };
  if ("gitlink" in content) return { mode: "160000", content: content.gitlink };
  const { sha256, size } = content.lfs;
  return {
    mode: "100644",
    content: `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`,
  };
}

/** As git writes it: seconds and the zone they were told in. */
function signature({ name, email }: Identity, at: string): string {
  const [, sign, hours, minutes] = /([+-])(\d\d):?(\d\d)$/.exec(at) ?? [];
  const zone = sign === undefined ? "+0000" : `${sign}${hours}${minutes}`;
  return `${name} <${email}> ${Date.parse(at) / 1000} ${zone}`;
}

function quotePath(path: string): string {
  return /^"|\n/.test(path) ? `"${path.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"` : path;
}

/** Git with nothing of the machine's own settings. */
export function runGit(cwd: string, args: readonly string[], input: string | Buffer = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("git", args, { cwd, env: fixtureGitEnv() });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(Buffer.concat(stdout).toString());
      else reject(new Error(`git ${args.join(" ")}: exit code ${code}: ${Buffer.concat(stderr).toString()}`));
    });
    child.stdin.on("error", () => undefined).end(input);
  });
}

export function fixtureGitEnv(): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: "/nonexistent",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    LC_ALL: "C",
  };
}
