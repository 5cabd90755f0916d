import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { type GitCommand, GitError } from "./command.ts";
import { archivePrefix } from "./module-files.ts";
import { onDisk } from "./prepare-once.ts";
import { Refusal } from "./resolve/refusal.ts";
import { ZipThreads } from "./zip-threads.ts";
import type { ZipAnswer } from "./zip-worker.ts";

export interface ArchiverOptions {
  readonly git: GitCommand;
  /** For files under way. What is in it when Sluice starts is removed. */
  readonly folder: string;
  /** Archives that are made at the same time; each may need memory for all files of its modules. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Of an archive. Default: what can be read into memory. */
  readonly maxArchiveBytes?: number;
}

export interface ArchiveRequest {
  /** A bare repository that has the commit. */
  readonly gitDir: string;
  readonly commit: string;
  readonly modulePath: ModulePath;
  readonly version: Version;
  /** Folder of the module in the repository, empty for the root. */
  readonly dir: string;
  /** Of the repository's root, for a module in a folder. */
  readonly license: Uint8Array | undefined;
}

/** A zip on disk. Whoever got it disposes of it. */
export interface ArchivedZip {
  readonly file: string;
  readonly size: number;
  dispose(): Promise<void>;
}

/**
 * Makes module zips of commits, on threads of their own, so that a large one holds nobody up. Modules of one commit that wait
 * for their turn are made of one archive.
 */
export interface Archiver {
  /** Throws `Refusal` when go would make no zip of it: names that no module may have, or too much of it. */
  zip(request: ArchiveRequest, signal: AbortSignal): Promise<ArchivedZip>;
  /** A zip will be asked for soon. */
  prepare(): void;
  close(): Promise<void>;
}

/** go's own limit for what it gets from git is 500 MiB compressed; this much is read into memory at most. */
const defaultMaxArchiveBytes = 2 * 1024 * 1024 * 1024 - 1;
const maxModulesOfArchive = 64;

interface Waiting {
  readonly request: ArchiveRequest;
  readonly result: PromiseWithResolvers<ArchivedZip>;
}

export function createArchiver(options: ArchiverOptions): Archiver {
  const { git, folder, concurrency, timeoutMs, maxArchiveBytes = defaultMaxArchiveBytes } = options;
  const threads = new ZipThreads(concurrency);
  const closing = new AbortController();
  const waiting: Waiting[] = [];
  const running = new Set<Promise<void>>();
  // What a Sluice that was killed left.
  const cleaned = rm(folder, { recursive: true, force: true }).catch(() => undefined);

  return {
    async zip(request, signal) {
      const result = Promise.withResolvers<ArchivedZip>();
      waiting.push({ request, result });
      setImmediate(startNext);
      try {
        return await waitUnlessAborted(result.promise, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        result.promise.then(
          (zip) => zip.dispose(),
          () => undefined,
        );
        throw givenUp(signal, `${request.modulePath}@${request.version}`);
      }
    },
    prepare: () => threads.prepare(),
    async close() {
      closing.abort(new SluiceError("draining", "this node is shutting down"));
      await threads.close();
      await Promise.all([cleaned, ...running]);
    },
  };

  function startNext(): void {
    while (running.size < concurrency && waiting.length > 0) {
      const made = makeZips(takeGroup(waiting)).finally(() => {
        running.delete(made);
        startNext();
      });
      running.add(made);
    }
  }

  /** All of one archive. Where that is too large, each alone, since none of them may be what is large. */
  async function makeZips(group: readonly Waiting[]): Promise<void> {
    try {
      await makeGroup(group);
    } catch (error) {
      const isTooLarge = error instanceof GitError && error.failure === "too_large";
      if (isTooLarge && group.length > 1) {
        for (const one of group) await makeZips([one]);
        return;
      }
      const reason = isTooLarge ? new Refusal("module source tree too large (max size is 524288000 bytes)") : error;
      for (const { result } of group) result.reject(closing.signal.aborted ? closing.signal.reason : reason);
    }
  }

  async function makeGroup(group: readonly Waiting[]): Promise<void> {
    const name = randomBytes(8).toString("hex");
    const archive = join(folder, `${name}.tar`);
    const targets = group.map((_, index) => join(folder, `${name}-${index}.zip`));
    try {
      await cleaned;
      await onDisk("the folder for archives cannot be written", () => mkdir(folder, { recursive: true, mode: 0o700 }));
      await makeArchive(
        archive,
        group.map(({ request }) => request),
      );
      const orders = group.map(({ request }, index) => ({ ...request, target: targets[index] ?? "" }));
      const answers = await threads.run({ archive, orders });
      for (const [index, { result }] of group.entries()) {
        const target = targets[index] ?? "";
        const answer = answers[index];
        if (answer?.kind === "made") {
          result.resolve({ file: target, size: answer.size, dispose: () => rm(target, { force: true }) });
        } else {
          await rm(target, { force: true });
          result.reject(failureOf(answer));
        }
      }
    } finally {
      await rm(archive, { force: true }).catch(() => undefined);
    }
  }

  async function makeArchive(file: string, requests: readonly ArchiveRequest[]): Promise<void> {
    const [{ gitDir, commit } = { gitDir: "", commit: "" }] = requests;
    const dirs = new Set(requests.map(({ dir }) => dir));
    const config = ["-c", "core.autocrlf=input", "-c", "core.eol=lf"];
    const format = ["--format=tar", `--prefix=${archivePrefix}`, "--end-of-options", commit];
    const args = [...config, "archive", ...format, ...(dirs.has("") ? [] : dirs)];
    const run = { args, gitDir, signal: closing.signal, timeoutMs, maxBytes: maxArchiveBytes, outputFile: file };
    await onDisk("an archive cannot be written", () => git.run(run));
  }
}

/** The one that has waited longest, and the others of its commit. */
function takeGroup(waiting: Waiting[]): Waiting[] {
  const [first] = waiting;
  if (first === undefined) return [];
  const { gitDir, commit } = first.request;
  const group = waiting
    .filter(({ request }) => request.gitDir === gitDir && request.commit === commit)
    .slice(0, maxModulesOfArchive);
  const taken = new Set(group);
  waiting.splice(0, waiting.length, ...waiting.filter((other) => !taken.has(other)));
  return group;
}

function failureOf(answer: Exclude<ZipAnswer, { kind: "made" }> | undefined): Error {
  if (answer?.kind === "refused") return new Refusal(answer.message);
  const isDisk = answer?.code !== undefined && /^E[A-Z]+$/.test(answer.code);
  const message = `a zip could not be made: ${answer?.message ?? "no answer"}`;
  return new SluiceError(isDisk ? "storage_failed" : "internal", message);
}
