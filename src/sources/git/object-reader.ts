import { BatchOutput, type GitObject } from "./batch-output.ts";
import type { GitCommand } from "./command.ts";
import { GitError, type GitService } from "./process.ts";
import { createLimit } from "./limit.ts";

/** A repository of many files has a process for some time; a machine has no more than so many of them at a time. */
const maxProcesses = 32;
const idleMs = 5_000;
const answerTimeoutMs = 120_000;
const maxObjectBytes = 32 * 1024 * 1024;
/** A process may end between two questions, of whatever reason; a new one that ends as well has one of its own. */
const maxTries = 2;

/** Names, and what came of them so far. */
interface Question {
  readonly names: readonly string[];
  /** Contents are kept until they are so many bytes. */
  readonly maxBytes: number;
  readonly objects: (GitObject | undefined)[];
  readonly result: PromiseWithResolvers<readonly (GitObject | undefined)[]>;
  /** Of the contents that are kept so far. */
  bytes: number;
  tries: number;
}

/** Processes that read objects of repositories, kept for some seconds after the last question. */
export class ObjectReaders {
  readonly #git: GitCommand;
  readonly #closing: AbortSignal;
  readonly #limit = createLimit(maxProcesses);
  /** The one that has been idle longest is first. */
  readonly #idle = new Set<ObjectReader>();
  #waiting = 0;

  constructor(git: GitCommand, closing: AbortSignal) {
    this.#git = git;
    this.#closing = closing;
  }

  of(gitDir: string): ObjectReader {
    return new ObjectReader(gitDir, this);
  }

  /** Runs until it is ended; `use` gets it as soon as there is room for it. */
  run(gitDir: string, { onOutput, use }: ServiceUse): Promise<unknown> {
    this.#waiting += 1;
    const running = this.#limit(async () => {
      this.#waiting -= 1;
      const ended = Promise.withResolvers<unknown>();
      const run = { args: ["cat-file", "--batch"], gitDir, signal: this.#closing, onOutput, onEnd: ended.resolve };
      try {
        use(await this.#git.start(run));
      } catch (error) {
        return error;
      }
      return ended.promise;
    });
    this.#endLongestIdle();
    return running;
  }

  rest(reader: ObjectReader): void {
    this.#idle.add(reader);
    this.#endLongestIdle();
  }

  wake(reader: ObjectReader): void {
    this.#idle.delete(reader);
  }

  #endLongestIdle(): void {
    if (this.#waiting === 0) return;
    const [longest] = this.#idle;
    void longest?.end();
  }
}

interface ServiceUse {
  readonly onOutput: (chunk: Buffer) => void;
  readonly use: (service: GitService) => void;
}

/** Reads objects of one repository with one `git cat-file`, which is started by the first question and ended when none comes. */
export class ObjectReader {
  readonly #gitDir: string;
  readonly #readers: ObjectReaders;
  #process: ReadingProcess | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(gitDir: string, readers: ObjectReaders) {
    this.#gitDir = gitDir;
    this.#readers = readers;
  }

  /**
   * In the order of the names, which have no line end in them. What is not there is undefined. Contents are left out from the first
   * one on that would make all of them more than `maxBytes`.
   */
  read(names: readonly string[], maxBytes = Number.POSITIVE_INFINITY): Promise<readonly (GitObject | undefined)[]> {
    if (names.length === 0) return Promise.resolve([]);
    const result = Promise.withResolvers<readonly (GitObject | undefined)[]>();
    this.#ask({ names, maxBytes, objects: [], result, bytes: 0, tries: 0 });
    return result.promise;
  }

  /** Resolves when everything that was asked until now is answered. */
  async answered(): Promise<void> {
    await this.#process?.lastQuestion?.result.promise.catch(() => undefined);
  }

  /** A question will come soon. */
  prepare(): void {
    if (this.#process === undefined) this.#start();
  }

  /** What was asked is answered yet. Resolves when no process is left. */
  async end(): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#readers.wake(this);
    this.#process?.end();
    this.#process = undefined;
    await this.#ended;
  }

  #ask(question: Question): void {
    clearTimeout(this.#idleTimer);
    this.#readers.wake(this);
    question.tries += 1;
    question.objects.length = 0;
    question.bytes = 0;
    (this.#process ?? this.#start()).ask(question);
  }

  #start(): ReadingProcess {
    const process = new ReadingProcess(() => this.#rest(process));
    this.#process = process;
    const ended = this.#readers.run(this.#gitDir, {
      onOutput: (chunk) => process.take(chunk),
      use: (service) => process.begin(service),
    });
    this.#ended = Promise.all([this.#ended, ended.then((error) => this.#lose(process, error))]);
    return process;
  }

  #rest(process: ReadingProcess): void {
    if (this.#process !== process) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => void this.end(), idleMs);
    this.#idleTimer.unref();
    this.#readers.rest(this);
  }

  /** What it did not answer is asked once more, unless it had only just been started for it. */
  #lose(process: ReadingProcess, error: unknown): void {
    if (this.#process === process) {
      clearTimeout(this.#idleTimer);
      this.#process = undefined;
      this.#readers.wake(this);
    }
    for (const question of process.lose()) {
      const mayAskAgain = error instanceof GitError && error.failure === "exit" && question.tries < maxTries;
      if (mayAskAgain) this.#ask(question);
      else question.result.reject(error);
    }
  }
}

/** One process and what it was asked. */
class ReadingProcess {
  readonly #onRest: () => void;
  readonly #output = new BatchOutput((size) => this.#mayKeep(size));
  #questions: Question[] = [];
  #service: GitService | undefined;
  #isEnding = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(onRest: () => void) {
    this.#onRest = onRest;
  }

  get lastQuestion(): Question | undefined {
    return this.#questions.at(-1);
  }

  begin(service: GitService): void {
    this.#service = service;
    for (const question of this.#questions) service.write(inputOf(question));
    // It may have waited long for its start.
    this.#watch();
    if (this.#isEnding && this.#questions.length === 0) service.end();
    else this.#restIfDone();
  }

  ask(question: Question): void {
    this.#questions.push(question);
    this.#service?.write(inputOf(question));
    this.#watch();
  }

  take(chunk: Buffer): void {
    for (const object of this.#output.read(chunk)) {
      const [question] = this.#questions;
      if (question === undefined) continue;
      question.objects.push(object);
      if (question.objects.length < question.names.length) continue;
      this.#questions.shift();
      question.result.resolve(question.objects);
    }
    this.#watch();
    this.#restIfDone();
  }

  end(): void {
    this.#isEnding = true;
    if (this.#questions.length === 0) this.#service?.end();
  }

  /** What it did not answer. */
  lose(): readonly Question[] {
    clearTimeout(this.#timer);
    const left = this.#questions;
    this.#questions = [];
    return left;
  }

  #mayKeep(size: number): boolean {
    const [question] = this.#questions;
    if (question === undefined || size > maxObjectBytes) return false;
    question.bytes += size;
    return question.bytes <= question.maxBytes;
  }

  #restIfDone(): void {
    if (this.#questions.length > 0) return;
    if (this.#isEnding) this.#service?.end();
    else this.#onRest();
  }

  #watch(): void {
    clearTimeout(this.#timer);
    if (this.#questions.length === 0) return;
    this.#timer = setTimeout(() => this.#service?.kill("timeout"), answerTimeoutMs);
  }
}

function inputOf({ names }: Question): string {
  return names.map((name) => `${name}\n`).join("");
}
