import { Worker } from "node:worker_threads";
import type { ZipAnswer, ZipAnswers, ZipJob } from "./zip-worker.ts";

const script = new URL(import.meta.url.endsWith(".ts") ? "./zip-worker.ts" : "./zip-worker.js", import.meta.url);

interface Waiting {
  readonly job: ZipJob;
  readonly settle: (answers: ZipAnswers) => void;
}

/** Starting a thread costs about as much as ten small zips: another one is worth it when those there are are busy for longer. */
const startAnotherAfterMs = 100;

/** Threads that make zips. They keep the process alive only while they work. One that dies fails what it was at. */
export class ZipThreads {
  readonly #max: number;
  readonly #busy = new Map<Worker, Waiting>();
  readonly #idle: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  #another: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(max: number) {
    this.#max = max;
  }

  /** Starts the first thread, which takes a while, ahead of its work. */
  prepare(): void {
    if (this.#isClosed || this.#busy.size + this.#idle.length > 0) return;
    const worker = this.#start();
    worker.unref();
    this.#idle.push(worker);
  }

  /** Never fails: what goes wrong is an answer. */
  run(job: ZipJob): Promise<ZipAnswers> {
    return new Promise((settle) => {
      this.#waiting.push({ job, settle });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#another);
    this.#assign();
    await Promise.all([...this.#busy.keys(), ...this.#idle].map((worker) => worker.terminate()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      if (this.#isClosed) {
        fail(this.#waiting.shift(), "this node is shutting down");
        continue;
      }
      const worker = this.#idle.pop() ?? (this.#busy.size === 0 ? this.#start() : undefined);
      if (worker === undefined) return this.#planAnother();
      this.#give(worker);
    }
  }

  #give(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#busy.set(worker, next);
    worker.ref();
    worker.postMessage(next.job, "packed" in next.job ? [next.job.packed.bytes.buffer] : []);
  }

  #planAnother(): void {
    if (this.#busy.size >= this.#max) return;
    const [longest] = this.#waiting;
    this.#another ??= setTimeout(() => {
      this.#another = undefined;
      if (this.#isClosed || this.#waiting.length === 0 || this.#busy.size >= this.#max) return;
      if (this.#waiting[0] === longest) this.#give(this.#start());
      this.#assign();
    }, startAnotherAfterMs);
  }

  #start(): Worker {
    const worker = new Worker(script, { name: "git-zip" });
    const release = (): Waiting | undefined => {
      const job = this.#busy.get(worker);
      this.#busy.delete(worker);
      return job;
    };
    const end = (message: string): void => {
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
      fail(release(), message);
      this.#assign();
    };
    return worker
      .on("message", (answers: ZipAnswers) => {
        release()?.settle(answers);
        worker.unref();
        this.#idle.push(worker);
        this.#assign();
      })
      .on("error", (error: Error) => end(`its thread died: ${error.message}`))
      .on("exit", () => end("its thread ended"));
  }
}

function fail(waiting: Waiting | undefined, message: string): void {
  waiting?.settle(waiting.job.orders.map((): ZipAnswer => ({ kind: "failed", message })));
}
