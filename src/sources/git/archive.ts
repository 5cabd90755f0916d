import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import type { MadeZip } from "../../core/ports.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import type { GitCommand } from "./command.ts";
import { GitError } from "./process.ts";
import { createLimit } from "./limit.ts";
import { archivePrefix } from "./module-files.ts";
import type { PackedFiles } from "./module-tree.ts";
import { onDisk } from "./prepare-once.ts";
import { Refusal } from "./resolve/refusal.ts";
import { ZipThreads } from "./zip-threads.ts";
import type { ZipAnswer, ZipAnswers, ZipOrder } from "./zip-worker.ts";

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
  /** The files of the module, where they can be had without an archive. Called when their turn has come. */
  readonly files?: (() => Promise<PackedFiles | undefined>) | undefined;
}

/** Whoever got it disposes of it. */
export interface ArchivedZip {
  readonly size: number;
  readonly made: MadeZip;
  /** Once. */
  bytes(): AsyncIterable<Uint8Array>;
  dispose(): Promise<void>;
}

/**
 * Makes module zips of commits, on threads of their own, so that a large one holds nobody up. A small module is made of its files;
 * others of archives, and those of one commit that wait for their turn of one archive.
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
  const withFiles = createLimit(2 * concurrency);
  const waiting: Waiting[] = [];
  const running = new Set<Promise<void>>();
  // What a Sluice that was killed left.
  const cleaned = rm(folder, { recursive: true, force: true }).catch(() => undefined);

  return {
    async zip(request, signal) {
      const made = make(request);
      try {
        return await waitUnlessAborted(made, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        made.then(
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

  async function make(request: ArchiveRequest): Promise<ArchivedZip> {
    const zip = await withFiles(() => makeOfFiles(request));
    if (zip !== undefined) return zip;
    const result = Promise.withResolvers<ArchivedZip>();
    waiting.push({ request, result });
    setImmediate(startNext);
    return result.promise;
  }

  async function makeOfFiles(request: ArchiveRequest): Promise<ArchivedZip | undefined> {
    closing.signal.throwIfAborted();
    const packed = await request.files?.();
    if (packed === undefined) return undefined;
    const [answer] = await threads.run({ packed, orders: [orderOf(request)] });
    closing.signal.throwIfAborted();
    if (answer?.kind !== "made" || answer.zip === undefined) throw failureOf(answer);
    const { zip, made } = answer;
    return { size: zip.length, made, bytes: () => once(zip), dispose: async () => undefined };
  }

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
    const targets = group.map((_, index) => join(folder, `${name}-${index}.zip`));
    const answers = await zipsOf(group, { archive: join(folder, `${name}.tar`), targets });
    for (const [index, { result }] of group.entries()) {
      const target = targets[index] ?? "";
      const answer = answers[index];
      if (answer?.kind === "made") {
        result.resolve({
          size: answer.size,
          made: answer.made,
          bytes: () => createReadStream(target),
          dispose: () => rm(target, { force: true }),
        });
      } else {
        await rm(target, { force: true });
        result.reject(failureOf(answer));
      }
    }
  }

  /** The archive is gone when they are answered. */
  async function zipsOf(
    group: readonly Waiting[],
    { archive, targets }: { readonly archive: string; readonly targets: readonly string[] },
  ): Promise<ZipAnswers> {
    try {
      await cleaned;
      await onDisk("the folder for archives cannot be written", () => mkdir(folder, { recursive: true, mode: 0o700 }));
      await makeArchive(
        archive,
        group.map(({ request }) => request),
      );
      const orders = group.map(({ request }, index) => ({ ...orderOf(request), target: targets[index] ?? "" }));
      return await threads.run({ archive, orders });
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

function orderOf({ modulePath, version, dir, license }: ArchiveRequest): ZipOrder {
  return { modulePath, version, dir, license };
}

async function* once(zip: Uint8Array): AsyncGenerator<Uint8Array> {
  yield zip;
}

function failureOf(answer: ZipAnswer | undefined): Error {
  if (answer?.kind === "refused") return new Refusal(answer.message);
  const failed = answer?.kind === "failed" ? answer : undefined;
  const isDisk = failed?.code !== undefined && /^E[A-Z]+$/.test(failed.code);
  const message = `a zip could not be made: ${failed?.message ?? "no answer"}`;
  return new SluiceError(isDisk ? "storage_failed" : "internal", message);
}
