import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { GitCommand } from "./command.ts";
import { GitError } from "./process.ts";
import { isDamage } from "./failure.ts";
import { LocalRepo } from "./local-repo.ts";
import { isRepository, openMirrorFolder, setAsideFolder } from "./mirror-folder.ts";
import type { ObjectReaders } from "./object-reader.ts";
import { noteUse, removeMirror } from "./unused-mirrors.ts";

export interface MirrorCopyOptions {
  readonly git: GitCommand;
  readonly readers: ObjectReaders;
  /** Of the remote, printable. */
  readonly url: string;
  /** The bare repository. */
  readonly folder: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly closing: AbortSignal;
}

const noteUseEveryMs = 3_600_000;

/** The bare repository of a mirror on our disk: made or taken over once, written by one at a time, set aside when it is damaged. */
export class MirrorCopy {
  readonly #parts: MirrorCopyOptions;
  #local: LocalRepo;
  #opened: Promise<void> | undefined;
  /** Whatever writes into the folder, one behind the other. */
  #writing: Promise<unknown> = Promise.resolve();
  #idleWork: AbortController | undefined;
  #generation = 0;
  #usedAt = 0;
  #use: { readonly notedAt: number; readonly done: Promise<void> } | undefined;

  constructor(parts: MirrorCopyOptions) {
    this.#parts = parts;
    this.#local = this.#newLocal();
  }

  get folder(): string {
    return this.#parts.folder;
  }

  /** What is in it. Belongs to this generation. */
  get local(): LocalRepo {
    return this.#local;
  }

  /** Another one when the folder was given up and a new one takes its place. */
  get generation(): number {
    return this.#generation;
  }

  get isOpened(): boolean {
    return this.#opened !== undefined;
  }

  /** Makes or takes over the folder, once. `hashLength` of the remote's hashes, in digits, is asked for only where it is made. */
  open(hashLength: () => Promise<number>): Promise<void> {
    const { folder, url } = this.#parts;
    return (this.#opened ??= openMirrorFolder({ folder, url }, hashLength).then(
      () => this.#noteUse(),
      (error: unknown) => {
        this.#opened = undefined;
        throw tellDisk(error, folder);
      },
    ));
  }

  /** Somebody begins to use it. */
  use(): void {
    this.#usedAt = this.#parts.clock.now();
    if (this.#opened !== undefined) this.#noteUse();
  }

  exclusive<T>(task: () => Promise<T>): Promise<T> {
    this.#idleWork?.abort();
    return this.#inTurn(task);
  }

  /** Exclusive work that nobody waits for. It ends, or does not begin, when anybody else wants to write. */
  async whileIdle(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const work = new AbortController();
    this.#idleWork = work;
    const signal = AbortSignal.any([this.#parts.closing, work.signal]);
    await this.#inTurn(async () => {
      if (!signal.aborted) await task(signal);
    });
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#writing.then(task, task);
    this.#writing = running;
    running.catch(() => undefined);
    return running;
  }

  get usedAt(): number {
    return this.#usedAt;
  }

  /** Takes it from the disk if it is still unused then. Whoever asks next gets a new one. */
  removeIf(isUnused: () => boolean): Promise<string | undefined> {
    return this.exclusive(async () => {
      if (!isUnused()) return undefined;
      await this.#startAnew();
      return removeMirror(this.#parts.folder);
    });
  }

  /** Sets it aside where that is what git failed for: tells whether there is a new one then. */
  async recover(error: unknown, generation: number): Promise<boolean> {
    const { folder, url, events, closing } = this.#parts;
    if (!(error instanceof GitError) || error.failure !== "exit" || closing.aborted) return false;
    if (generation !== this.#generation) return true;
    const isBroken = isDamage(error) || !(await isRepository(folder));
    if (!isBroken) return false;
    await this.exclusive(async () => {
      if (generation !== this.#generation) return;
      events.emit({ type: "git_mirror_damaged", repository: url, reason: error.stderr.slice(0, 300) });
      await this.#startAnew();
      await setAsideFolder(folder);
    });
    return true;
  }

  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
    await this.#use?.done;
    await this.#local.end();
  }

  async #startAnew(): Promise<void> {
    const old = this.#local;
    this.#generation += 1;
    this.#opened = undefined;
    this.#use = undefined;
    this.#local = this.#newLocal();
    await old.end();
  }

  #newLocal(): LocalRepo {
    const { git, folder, closing, readers } = this.#parts;
    return new LocalRepo({ git, folder, closing, reader: readers.of(folder) });
  }

  #noteUse(): void {
    const { clock, folder } = this.#parts;
    const now = clock.now();
    if (this.#use !== undefined && now - this.#use.notedAt < noteUseEveryMs) return;
    this.#use = { notedAt: now, done: noteUse(folder, now) };
  }
}

/** A folder that cannot be made is no fault of the host. */
function tellDisk(error: unknown, folder: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!/^E[A-Z]+$/.test(code)) return error;
  return new SluiceError("storage_failed", `the folder of the git mirrors cannot be written: ${code}`, {
    cause: error,
    details: { folder },
  });
}
