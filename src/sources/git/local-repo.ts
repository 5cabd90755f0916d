import { LRUCache } from "lru-cache";
import { type GitCommand, GitError } from "./command.ts";
import type { GitCommit } from "./resolve/repo.ts";

const timeoutMs = 120_000;
const maxBlobBytes = 32 * 1024 * 1024;
const maxRememberedBlobBytes = 256 * 1024;

/** What is in a mirror's folder. Every answer is for ever, as it is by hash, but those about refs. */
export class LocalRepo {
  readonly #git: GitCommand;
  readonly #folder: string;
  #gathered: Gathered<GitObject> | undefined;
  readonly #gatheredPaths = new Map<string, Gathered<Uint8Array>>();
  /** By commit, the latest read that was planned. */
  readonly #readingPaths = new Map<string, Promise<unknown>>();
  readonly #commits = new LRUCache<string, GitCommit>({ max: 2_000 });
  readonly #blobs = new LRUCache<string, { readonly content: Uint8Array | undefined }>({
    maxSize: 1024 * 1024,
    sizeCalculation: ({ content }) => 200 + (content?.length ?? 0),
  });

  constructor(git: GitCommand, folder: string) {
    this.#git = git;
    this.#folder = folder;
  }

  /** By full hash, which may be one of a tag object, or by the beginning of it. Undefined when there is no such commit here. */
  async commit(hash: string, signal: AbortSignal): Promise<GitCommit | undefined> {
    const known = this.#commits.get(hash);
    if (known !== undefined) return known;
    const object = await this.#readTogether(`${hash}^{commit}`, signal);
    if (object?.type !== "commit") return undefined;
    const commit = { hash: object.hash, time: committerTime(object.content) };
    this.#commits.set(object.hash, commit);
    return commit;
  }

  /** Whether there is an object of this hash, whatever it is. */
  async has(hash: string, signal: AbortSignal): Promise<boolean> {
    const output = await this.#run(["cat-file", "--batch-check"], signal, `${hash}\n`);
    return !output.toString("utf8").trimEnd().endsWith(" missing");
  }

  async blobs(
    commit: string,
    paths: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const known = paths.map((path) => this.#blobs.get(`${commit}:${path}`));
    if (known.every((blob) => blob !== undefined)) return known.map(({ content }) => content);
    // The modules of one repository are often asked for together, and then one process answers for all.
    const gathered = this.#gatheredPaths.get(commit) ?? this.#gatherPaths(commit, signal);
    for (const path of paths) gathered.names.add(path);
    const found = await gathered.objects;
    return paths.map((path) => found.get(path));
  }

  /** Who comes while files of the commit are read is gathered for the next process. */
  #gatherPaths(commit: string, signal: AbortSignal): Gathered<Uint8Array> {
    const names = new Set<string>();
    const turn = this.#readingPaths.get(commit) ?? new Promise<unknown>(setImmediate);
    const objects = turn.then(async () => {
      this.#gatheredPaths.delete(commit);
      const found = await this.#readFiles(commit, [...names], signal);
      for (const [path, content] of found) {
        if ((content?.length ?? 0) <= maxRememberedBlobBytes) this.#blobs.set(`${commit}:${path}`, { content });
      }
      return found;
    });
    const gathered = { names, objects };
    this.#gatheredPaths.set(commit, gathered);
    const done = objects.then(
      () => undefined,
      () => undefined,
    );
    this.#readingPaths.set(commit, done);
    void done.then(() => {
      if (this.#readingPaths.get(commit) === done) this.#readingPaths.delete(commit);
    });
    return gathered;
  }

  /** By the tags that were here at the last fetch of everything. */
  async tagsMerged(commit: string, signal: AbortSignal): Promise<readonly string[]> {
    const output = await this.#run(["for-each-ref", "--format=%(refname)", `--merged=${commit}`, "refs/tags/"], signal);
    return lines(output).map((name) => name.slice("refs/tags/".length));
  }

  async isAncestor(ancestor: string, commit: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#run(["merge-base", "--is-ancestor", ancestor, commit], signal);
      return true;
    } catch (error) {
      if (error instanceof GitError && error.exitCode === 1) return false;
      throw error;
    }
  }

  /** Whether a branch or tag has it in its history, as of the last fetch of everything. */
  async isReachable(commit: string, signal: AbortSignal): Promise<boolean> {
    const args = [
      "for-each-ref",
      "--count=1",
      "--format=%(refname)",
      `--contains=${commit}`,
      "refs/heads/",
      "refs/tags/",
    ];
    return lines(await this.#run(args, signal)).length > 0;
  }

  /** Of what git does not find the tree is asked: of a file that is not there and one that is lost, only the first is an answer. */
  async #readFiles(
    commit: string,
    paths: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, Uint8Array | undefined>> {
    const objects = await this.#read(
      paths.map((path) => `${commit}:${path}`),
      signal,
    );
    const missing = paths.filter((_, index) => objects[index] === undefined);
    if (missing.length > 0) await this.#checkNoBlob(commit, missing, signal);
    return new Map(
      paths.map((path, index) => {
        const object = objects[index];
        return [path, object?.type === "blob" ? object.content : undefined];
      }),
    );
  }

  async #checkNoBlob(commit: string, paths: readonly string[], signal: AbortSignal): Promise<void> {
    const listing = await this.#run(["ls-tree", "-z", "--full-tree", "--end-of-options", commit, ...paths], signal);
    for (const entry of listing.toString("utf8").split("\0")) {
      const [, type, hash, path] = /^\d+ (\w+) ([0-9a-f]+)\t(.*)$/s.exec(entry) ?? [];
      if (type !== "blob" || hash === undefined || path === undefined || !paths.includes(path)) continue;
      throw new GitError("exit", "cat-file", { stderr: `missing blob ${hash}` });
    }
  }

  /** Who asks at the same time is answered by one process. */
  #readTogether(name: string, signal: AbortSignal): Promise<GitObject | undefined> {
    const gathered = (this.#gathered ??= this.#gather(signal));
    gathered.names.add(name);
    return gathered.objects.then((objects) => objects.get(name));
  }

  #gather(signal: AbortSignal): Gathered<GitObject> {
    const names = new Set<string>();
    const objects = new Promise(setImmediate).then(async () => {
      this.#gathered = undefined;
      const list = [...names];
      const found = await this.#read(list, signal);
      return new Map(list.map((name, index) => [name, found[index]]));
    });
    return { names, objects };
  }

  async #read(names: readonly string[], signal: AbortSignal): Promise<(GitObject | undefined)[]> {
    const input = names.map((name) => `${name}\n`).join("");
    return parseBatch(await this.#run(["cat-file", "--batch"], signal, input), names.length);
  }

  #run(args: readonly string[], signal: AbortSignal, input?: string): Promise<Buffer> {
    const run = { args, gitDir: this.#folder, signal, timeoutMs, maxBytes: maxBlobBytes };
    return this.#git.run(input === undefined ? run : { ...run, input });
  }
}

/** Questions of one moment, and what will answer all of them. */
interface Gathered<T> {
  readonly names: Set<string>;
  readonly objects: Promise<ReadonlyMap<string, T | undefined>>;
}

interface GitObject {
  readonly hash: string;
  readonly type: string;
  readonly content: Buffer;
}

/** `<hash> <type> <size>`, a line end, the content, a line end; or `<name> missing`. */
function parseBatch(output: Buffer, count: number): (GitObject | undefined)[] {
  const objects: (GitObject | undefined)[] = [];
  let at = 0;
  while (objects.length < count) {
    const end = output.indexOf(0x0a, at);
    if (end < 0) throw new GitError("exit", "cat-file", { stderr: "missing objects in the answer" });
    const [, hash, type, size] = /^([0-9a-f]+) (\w+) (\d+)$/.exec(output.toString("utf8", at, end)) ?? [];
    at = end + 1;
    if (hash === undefined || type === undefined) {
      objects.push(undefined);
      continue;
    }
    objects.push({ hash, type, content: output.subarray(at, at + Number(size)) });
    at += Number(size) + 1;
  }
  return objects;
}

/** As git's `%ct`. */
function committerTime(commit: Buffer): number {
  const header = commit.toString("latin1").split("\n\n", 1)[0] ?? "";
  return Number(/^committer .*> (-?\d+)(?: |$)/m.exec(header)?.[1] ?? 0);
}

function lines(output: Buffer): string[] {
  return output
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
}
