import { randomBytes } from "node:crypto";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { SluiceError } from "../../core/errors.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import type { GitCommand } from "./command.ts";
import { archivePrefix } from "./module-files.ts";
import { Refusal } from "./resolve/refusal.ts";
import type { ZipAnswer, ZipJob } from "./zip-worker.ts";

export interface ArchiverOptions {
  readonly git: GitCommand;
  /** For files under way. What is in it when Sluice starts is removed. */
  readonly folder: string;
  /** Archives that are made at the same time; each may need memory for all files of its module. */
  readonly concurrency: number;
  readonly timeoutMs: number;
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
  readonly signal: AbortSignal;
}

/** A zip on disk. Whoever got it disposes of it. */
export interface ArchivedZip {
  readonly file: string;
  readonly size: number;
  dispose(): Promise<void>;
}

/** Makes module zips of commits, on threads of their own, so that a large one holds nobody up. */
export interface Archiver {
  /** Throws `Refusal` when go would make no zip of it: names that no module may have, or too much of it. */
  zip(request: ArchiveRequest): Promise<ArchivedZip>;
  close(): Promise<void>;
}

/** go's own limit for what it gets from git is 500 MiB compressed; this much is read into memory at most. */
const maxArchiveBytes = 2 * 1024 * 1024 * 1024 - 1;

const workerScript = new URL(import.meta.url.endsWith(".ts") ? "./zip-worker.ts" : "./zip-worker.js", import.meta.url);

export function createArchiver(options: ArchiverOptions): Archiver {
  const { git, folder, concurrency, timeoutMs } = options;
  const threads = new ZipThreads(concurrency);
  let prepared: Promise<void> | undefined;
  return {
    async zip(request) {
      await (prepared ??= emptyFolder(folder));
      const { gitDir, commit, dir, signal } = request;
      const name = randomBytes(8).toString("hex");
      const archive = join(folder, `${name}.tar`);
      const target = join(folder, `${name}.zip`);
      try {
        const config = ["-c", "core.autocrlf=input", "-c", "core.eol=lf"];
        const format = ["--format=tar", `--prefix=${archivePrefix}`, `--output=${archive}`, "--end-of-options", commit];
        const args = [...config, "archive", ...format, ...(dir === "" ? [] : [dir])];
        await git.run({ args, gitDir, signal, timeoutMs });
        const { size: archiveBytes } = await stat(archive);
        if (archiveBytes > maxArchiveBytes)
          throw new Refusal("module source tree too large (max size is 524288000 bytes)");
        const { modulePath, version, license } = request;
        const job = { archive, target, modulePath, version, dir, license };
        const size = sizeIn(await waitUnlessAborted(threads.run(job), signal));
        return { file: target, size, dispose: () => rm(target, { force: true }) };
      } catch (error) {
        await rm(target, { force: true });
        throw error;
      } finally {
        await rm(archive, { force: true });
      }
    },
    close: () => threads.close(),
  };
}

function sizeIn(answer: ZipAnswer): number {
  if ("size" in answer) return answer.size;
  if (answer.kind === "refused") throw new Refusal(answer.message);
  const isDisk = answer.code !== undefined && /^E[A-Z]+$/.test(answer.code);
  throw new SluiceError(isDisk ? "storage_failed" : "internal", `a zip could not be made: ${answer.message}`);
}

async function emptyFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

interface Waiting {
  readonly job: ZipJob;
  readonly settle: PromiseWithResolvers<ZipAnswer>;
}

/** They keep the process alive only while they work. One that dies fails the zip it was at. */
class ZipThreads {
  readonly #max: number;
  readonly #busy = new Map<Worker, Waiting>();
  readonly #idle: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  #isClosed = false;

  constructor(max: number) {
    this.#max = max;
  }

  run(job: ZipJob): Promise<ZipAnswer> {
    const settle = Promise.withResolvers<ZipAnswer>();
    this.#waiting.push({ job, settle });
    this.#assign();
    return settle.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#assign();
    await Promise.all([...this.#busy.keys(), ...this.#idle].map((worker) => worker.terminate()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      if (this.#isClosed) {
        this.#waiting.shift()?.settle.resolve({ kind: "failed", message: "this node is shutting down" });
        continue;
      }
      const worker = this.#idle.pop() ?? (this.#busy.size < this.#max ? this.#start() : undefined);
      const next = worker === undefined ? undefined : this.#waiting.shift();
      if (worker === undefined || next === undefined) return;
      this.#busy.set(worker, next);
      worker.ref();
      worker.postMessage(next.job, []);
    }
  }

  #start(): Worker {
    const worker = new Worker(workerScript, { name: "git-zip" });
    const end = (message: string): void => {
      this.#idle.splice(0, this.#idle.length, ...this.#idle.filter((other) => other !== worker));
      this.#busy.get(worker)?.settle.resolve({ kind: "failed", message });
      this.#busy.delete(worker);
      this.#assign();
    };
    return worker
      .on("message", (answer: ZipAnswer) => {
        this.#busy.get(worker)?.settle.resolve(answer);
        this.#busy.delete(worker);
        worker.unref();
        this.#idle.push(worker);
        this.#assign();
      })
      .on("error", (error: Error) => end(`its thread died: ${error.message}`))
      .on("exit", () => end("its thread ended"));
  }
}
