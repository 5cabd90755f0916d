import { posix } from "node:path";
import { LRUCache } from "lru-cache";
import type { GitObject } from "./batch-output.ts";
import type { GitCommand } from "./command.ts";
import { GitError } from "./process.ts";
import { type PackedFiles, readModuleTree } from "./module-tree.ts";
import type { ObjectReader } from "./object-reader.ts";
import type { GitCommit } from "./resolve/repo.ts";
import { parseTree } from "./tree.ts";

const timeoutMs = 120_000;
const maxRememberedBlobBytes = 256 * 1024;

export interface LocalRepoOptions {
  readonly git: GitCommand;
  readonly folder: string;
  /** Of the folder. */
  readonly reader: ObjectReader;
  readonly closing: AbortSignal;
}

/** What is in a mirror's folder. Every answer is for ever, as it is by hash, but those about refs. */
export class LocalRepo {
  readonly #parts: LocalRepoOptions;
  readonly #commits = new LRUCache<string, GitCommit>({ max: 2_000 });
  readonly #blobs = new LRUCache<string, { readonly content: Uint8Array | undefined }>({
    maxSize: 1024 * 1024,
    sizeCalculation: ({ content }) => 200 + (content?.length ?? 0),
  });

  constructor(parts: LocalRepoOptions) {
    this.#parts = parts;
  }

  /** Something will be asked soon. */
  prepare(): void {
    this.#parts.reader.prepare();
  }

  /** Resolves when everybody knows what they asked until now. */
  async answered(): Promise<void> {
    await this.#parts.reader.answered();
    await new Promise(setImmediate);
  }

  /** Nothing of it is used any more, or its files were changed by others. */
  end(): Promise<void> {
    return this.#parts.reader.end();
  }

  /** By full hash, which may be one of a tag object, or by the beginning of it. Undefined when there is no such commit here. */
  async commit(hash: string): Promise<GitCommit | undefined> {
    const known = this.#commits.get(hash);
    if (known !== undefined) return known;
    const [object] = await this.#parts.reader.read([`${hash}^{commit}`]);
    if (object?.type !== "commit") return undefined;
    const commit = { hash: object.hash, time: committerTime(contentOf(object)) };
    this.#commits.set(object.hash, commit);
    return commit;
  }

  /** Whether there is an object of this hash, whatever it is. */
  async has(hash: string): Promise<boolean> {
    const [object] = await this.#parts.reader.read([hash]);
    return object !== undefined;
  }

  async blobs(commit: string, paths: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    const known = paths.map((path) => this.#blobs.get(`${commit}:${path}`));
    if (known.every((blob) => blob !== undefined)) return known.map(({ content }) => content);
    const objects = await this.#parts.reader.read(paths.map((path) => `${commit}:${path}`));
    return Promise.all(
      paths.map(async (path, index) => {
        const object = objects[index];
        if (object === undefined) await this.#checkAbsent(commit, path);
        const content = object?.type === "blob" ? contentOf(object) : undefined;
        if ((content?.length ?? 0) <= maxRememberedBlobBytes) this.#blobs.set(`${commit}:${path}`, { content });
        return content;
      }),
    );
  }

  /** The files of a module, where they can be had without `git archive`. */
  moduleTree(commit: string, dir: string): Promise<PackedFiles | undefined> {
    return readModuleTree(this.#parts.reader, { commit, dir });
  }

  /** By the tags that were here at the last fetch of everything. */
  async tagsMerged(commit: string): Promise<readonly string[]> {
    const output = await this.#run(["for-each-ref", "--format=%(refname)", `--merged=${commit}`, "refs/tags/"]);
    return lines(output).map((name) => name.slice("refs/tags/".length));
  }

  async isAncestor(ancestor: string, commit: string): Promise<boolean> {
    try {
      await this.#run(["merge-base", "--is-ancestor", ancestor, commit]);
      return true;
    } catch (error) {
      if (error instanceof GitError && error.exitCode === 1) return false;
      throw error;
    }
  }

  /** Whether a branch or tag has it in its history, as of the last fetch of everything. */
  async isReachable(commit: string): Promise<boolean> {
    const args = [
      "for-each-ref",
      "--count=1",
      "--format=%(refname)",
      `--contains=${commit}`,
      "refs/heads/",
      "refs/tags/",
    ];
    return lines(await this.#run(args)).length > 0;
  }

  /** The tree is asked of what git does not find: of a file that is not there and one that is lost, only the first is an answer. */
  async #checkAbsent(commit: string, path: string): Promise<void> {
    const dir = posix.dirname(path);
    const parent = dir === "." ? "" : dir;
    const [tree] = await this.#parts.reader.read([`${commit}:${parent}`]);
    if (tree === undefined && parent !== "") return this.#checkAbsent(commit, parent);
    if (tree === undefined) throw lost(`tree of ${commit}`);
    if (tree.type !== "tree") return;
    const entry = parseTree(contentOf(tree), tree.hash.length).find(({ name }) => name === posix.basename(path));
    if (entry !== undefined && entry.kind !== "submodule") throw lost(`${entry.kind} ${entry.hash}`);
  }

  #run(args: readonly string[]): Promise<Buffer> {
    const { git, folder, closing } = this.#parts;
    return git.run({ args, gitDir: folder, signal: closing, timeoutMs });
  }
}

/** In git's words, so that it counts as damage. */
function lost(what: string): GitError {
  return new GitError("exit", "cat-file", { stderr: `missing ${what}` });
}

function contentOf({ content }: GitObject): Buffer {
  if (content === undefined) throw new GitError("too_large", "cat-file", { stderr: "" });
  return content;
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
