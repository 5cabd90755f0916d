import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { SluiceError } from "../core/errors.ts";
import type { BlobContent, ZipVerifier } from "../core/ports.ts";
import type { ModulePath, Version } from "../protocol/brand.ts";
import type { VerifiedZip } from "./zip-verification.ts";
import type { VerifyAnswer, VerifyRequest } from "./zip-verifier-worker.ts";

export interface ZipVerifierOptions {
  /** Threads at most, each started when all others are busy. Default: one less than the processors, at least one. */
  readonly workers?: number;
  /** The program of a thread. */
  readonly script?: URL;
}

export interface ZipVerifierThreads extends ZipVerifier {
  /** Starts the first thread, which takes a while, ahead of its work. */
  prepare(): void;
}

/** As a file that runs from its TypeScript source, and as emitted. */
const ownScript = new URL(
  import.meta.url.endsWith(".ts") ? "./zip-verifier-worker.ts" : "./zip-verifier-worker.js",
  import.meta.url,
);

/**
 * Verifies zips on threads of its own. They keep the process alive only while they work. A thread that dies fails the zip it
 * was at with `internal`, and the next zip gets a new one.
 *
 * Small zips go there too: handing one over costs some 50 microseconds, and even a small one can unpack to much more.
 */
export function createZipVerifier({ workers, script = ownScript }: ZipVerifierOptions = {}): ZipVerifierThreads {
  return new ZipVerifierPool(workers ?? Math.max(1, availableParallelism() - 1), script);
}

interface Job {
  readonly request: VerifyRequest;
  readonly name: string;
  resolve(verified: VerifiedZip): void;
  reject(error: SluiceError): void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
}

class ZipVerifierPool implements ZipVerifierThreads {
  readonly #maxThreads: number;
  readonly #script: URL;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  #isClosed = false;

  constructor(maxThreads: number, script: URL) {
    this.#maxThreads = maxThreads;
    this.#script = script;
  }

  verify(content: BlobContent, modulePath: ModulePath, version: Version): Promise<VerifiedZip> {
    const { promise, resolve, reject } = Promise.withResolvers<VerifiedZip>();
    const request = { content, module: { modulePath, version } };
    this.#waiting.push({ request, name: `${modulePath}@${version}`, resolve, reject });
    this.#assign();
    return promise;
  }

  prepare(): void {
    if (!this.#isClosed && this.#threads.size === 0) this.#startThread().worker.unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#assign();
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #assign(): void {
    if (this.#isClosed) {
      for (const job of this.#waiting.splice(0)) job.reject(closedError(job));
      return;
    }
    while (this.#waiting.length > 0) {
      const thread = this.#idleThread();
      const job = thread === undefined ? undefined : this.#waiting.shift();
      if (thread === undefined || job === undefined) return;
      thread.job = job;
      thread.worker.ref();
      send(thread.worker, job.request);
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.job === undefined) return thread;
    return this.#threads.size < this.#maxThreads ? this.#startThread() : undefined;
  }

  #startThread(): Thread {
    // Flags of the process, such as --eval's, are not meant for it.
    const worker = new Worker(this.#script, { name: "zip-verifier", execArgv: [] });
    const thread: Thread = { worker, job: undefined };
    this.#threads.add(thread);
    worker
      .on("message", (answer: VerifyAnswer) => {
        const job = release(thread);
        if ("verified" in answer) job?.resolve(answer.verified);
        else job?.reject(new SluiceError(answer.failed.code, answer.failed.message, answer.failed));
        this.#assign();
      })
      .on("error", (cause) => this.#lose(thread, cause))
      .on("messageerror", (cause) => this.#lose(thread, cause))
      .on("exit", (exitCode) => this.#lose(thread, new Error(`the thread ended with ${exitCode}`)));
    return thread;
  }

  #lose(thread: Thread, cause: unknown): void {
    if (!this.#threads.delete(thread)) return;
    const job = release(thread);
    if (this.#isClosed) job?.reject(closedError(job));
    else job?.reject(new SluiceError("internal", `the thread that verified ${job.name} died`, { cause }));
    void thread.worker.terminate();
    this.#assign();
  }
}

function release(thread: Thread): Job | undefined {
  const { job } = thread;
  thread.job = undefined;
  thread.worker.unref();
  return job;
}

/** Bytes are copied once and handed over. A view as it is would take all of the buffer behind it along. */
function send(worker: Worker, request: VerifyRequest): void {
  if ("file" in request.content) {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    worker.postMessage(request);
    return;
  }
  const bytes = new Uint8Array(request.content.bytes);
  worker.postMessage({ ...request, content: { bytes } } satisfies VerifyRequest, [bytes.buffer]);
}

function closedError({ name }: Job): SluiceError {
  return new SluiceError("draining", `${name} was not verified: this node is shutting down`);
}
