import { Worker } from "node:worker_threads";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { SluiceError } from "../../core/errors.ts";
import type {
  ForkEvidence,
  LogRecord,
  LogTree,
  NewLogRecord,
  SignedTree,
  SumStore,
  SumStoreOverview,
} from "../../core/ports.ts";
import { openSqliteSumStore, type SqliteSumStoreOptions } from "./sqlite.ts";
import type { NumberedWrite, SumWrite, WriteAnswer, WriterOptions } from "./writer-thread.ts";

export interface ThreadedSumStoreOptions extends Omit<SqliteSumStoreOptions, "readOnly"> {
  /** The program of the thread. */
  readonly script?: URL;
}

/** As a file that runs from its TypeScript source, and as emitted. */
const ownScript = new URL(
  import.meta.url.endsWith(".ts") ? "./writer-thread.ts" : "./writer-thread.js",
  import.meta.url,
);

/**
 * An SQLite `SumStore` whose writes are made on a thread of their own: each waits until the disk has it, which must not hold up
 * what else is answered. Reads are made here. A thread that dies fails the writes it was at with `internal`, and the next write
 * gets a new one.
 */
export async function openThreadedSumStore(options: ThreadedSumStoreOptions): Promise<SumStore> {
  const { script = ownScript, ...database } = options;
  return new ThreadedSumStore(await openSqliteSumStore(database), { file: database.file, script });
}

type Waiting = PromiseWithResolvers<WriteAnswer>;

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting>;
  readonly ended: PromiseWithResolvers<void>;
}

class ThreadedSumStore implements SumStore {
  readonly name: string;
  readonly #reader: SumStore;
  readonly #options: { readonly file: string; readonly script: URL };
  #thread: Thread | undefined;
  #number = 0;
  #isClosed = false;

  constructor(reader: SumStore, options: { readonly file: string; readonly script: URL }) {
    this.#reader = reader;
    this.#options = options;
    this.name = reader.name;
  }

  tree(database: string): Promise<SignedTree | undefined> {
    return this.#reader.tree(database);
  }

  async setTree(database: string, tree: SignedTree, previousSize: number): Promise<boolean> {
    return (await this.#write({ kind: "setTree", database, tree, previousSize })).isKept === true;
  }

  async addFork(database: string, evidence: ForkEvidence): Promise<void> {
    await this.#write({ kind: "addFork", database, evidence });
  }

  forks(database: string): Promise<ForkEvidence[]> {
    return this.#reader.forks(database);
  }

  async forgetTree(database: string): Promise<void> {
    await this.#write({ kind: "forgetTree", database });
  }

  logTree(log: string): Promise<LogTree> {
    return this.#reader.logTree(log);
  }

  findRecord(log: string, modulePath: ModulePath, version: Version): Promise<LogRecord | undefined> {
    return this.#reader.findRecord(log, modulePath, version);
  }

  async appendRecords(log: string, records: readonly NewLogRecord[]): Promise<LogRecord[]> {
    return (await this.#write({ kind: "appendRecords", log, records })).records ?? [];
  }

  records(log: string, start: number, end: number): Promise<string[]> {
    return this.#reader.records(log, start, end);
  }

  treeHashes(log: string, indexes: readonly number[]): Promise<Uint8Array[]> {
    return this.#reader.treeHashes(log, indexes);
  }

  overview(): Promise<SumStoreOverview> {
    return this.#reader.overview();
  }

  async check(): Promise<void> {
    await this.#write({ kind: "check" });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // The last to close brings the database into one file, so that is the thread.
    await this.#reader.close();
    const thread = this.#thread;
    if (thread === undefined) return;
    thread.worker.ref();
    send(thread.worker, { number: 0, write: { kind: "close" } });
    await thread.ended.promise;
  }

  async #write(write: SumWrite): Promise<WriteAnswer> {
    if (this.#isClosed) throw this.#closedError();
    this.#thread ??= this.#startThread();
    const { worker, waiting } = this.#thread;
    const answer = Promise.withResolvers<WriteAnswer>();
    const number = ++this.#number;
    waiting.set(number, answer);
    worker.ref();
    send(worker, { number, write });
    return answer.promise;
  }

  #startThread(): Thread {
    const { file, script } = this.#options;
    // Flags of the process, such as --eval's, are not meant for it.
    const worker = new Worker(script, {
      name: "sum-store",
      execArgv: [],
      workerData: { file } satisfies WriterOptions,
    });
    const thread: Thread = { worker, waiting: new Map(), ended: Promise.withResolvers() };
    worker
      .on("message", (answer: WriteAnswer) => this.#settle(thread, answer))
      .on("error", (cause) => this.#lose(thread, cause))
      .on("messageerror", (cause) => this.#lose(thread, cause))
      .on("exit", (exitCode) => {
        this.#lose(thread, new Error(`the thread ended with ${exitCode}`));
        thread.ended.resolve();
      });
    return thread;
  }

  /** It keeps the process alive only while somebody waits for it. */
  #settle({ worker, waiting }: Thread, answer: WriteAnswer): void {
    const asked = waiting.get(answer.number);
    waiting.delete(answer.number);
    if (waiting.size === 0 && !this.#isClosed) worker.unref();
    const { failed } = answer;
    if (failed === undefined) asked?.resolve(answer);
    else asked?.reject(new SluiceError(failed.code, failed.message, failed));
  }

  #lose(thread: Thread, cause: unknown): void {
    if (this.#thread === thread) this.#thread = undefined;
    for (const { reject } of thread.waiting.values()) {
      reject(
        this.#isClosed
          ? this.#closedError()
          : new SluiceError("internal", `the thread that writes ${this.name} died`, { cause }),
      );
    }
    thread.waiting.clear();
  }

  #closedError(): SluiceError {
    return new SluiceError("storage_failed", `the checksum store ${this.#options.file} is closed`);
  }
}

function send(worker: Worker, asked: NumberedWrite): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  worker.postMessage(asked);
}
