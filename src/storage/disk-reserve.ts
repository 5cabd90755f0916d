import { sleepUnlessAborted } from "../core/clock.ts";
import type { Events } from "../core/events.ts";
import type { PartHealth } from "../core/health.ts";
import type { Clock } from "../core/ports.ts";
import { storeRefusal } from "../core/store-refusal.ts";
import { type DiskSpace, spaceOf } from "./disk-space.ts";
import { attempt } from "./failures.ts";

export interface DiskReserveOptions {
  /** On the file system that is meant. */
  readonly folder: string;
  /** Files leave so much alone, but at most a twentieth of the file system. */
  readonly bytes: number;
  readonly clock: Clock;
  readonly events: Events;
  /** Default: what the file system says. */
  readonly look?: (folder: string) => Promise<DiskSpace>;
}

const maxShare = 1 / 20;
/** Once it was reached, so much more than the reserve must be free, so that not every file that goes is the end of it. */
const slack = 1.1;
/** Below so many reserves, whoever can make room is told. */
const scarceBelow = 2;
/** What the file system said is believed for so long. */
const believedMs = 1_000;
const roundMs = 10_000;
const roundWhileLowMs = 2_000;
/** Whoever makes room is told again, where space stays scarce. */
const tellAgainMs = 60_000;

/**
 * Free space that files of modules leave to databases and logs, which a full disk would stop. Room is made before it is reached;
 * where that brings nothing, files are refused until there is space again. `bytes` 0 is none.
 */
export class DiskReserve {
  readonly #options: DiskReserveOptions;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(missingBytes: number) => void>();
  #space: { freeBytes: number; readonly reserveBytes: number; readonly seenAt: number } | undefined;
  #isLow = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(options: DiskReserveOptions) {
    this.#options = options;
  }

  /** Looks now, and from time to time: nothing but a look tells that there is space again. */
  async start(): Promise<void> {
    if (this.#options.bytes === 0) return;
    await this.#look();
    this.#running ??= this.#run();
  }

  /** Told of how much should go where space is scarce, again and again while it is. Answers how to end it. */
  onScarce(listener: (missingBytes: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Fails with a store's refusal where `bytes` more would take of the reserve. `isWritten`: they are on the disk already, so the
   * file system is asked. One that cannot say how much is free refuses nothing.
   */
  async admit(bytes: number, { isWritten = false }: { readonly isWritten?: boolean } = {}): Promise<void> {
    if (this.#options.bytes === 0) return;
    const isOld = this.#space === undefined || this.#options.clock.now() - this.#space.seenAt >= believedMs;
    if (isOld || isWritten) await this.#look();
    if (this.#space === undefined) return;
    if (!isWritten) this.#space.freeBytes -= bytes;
    this.#judge();
    if (!this.#isLow) return;
    // It is not written, after all.
    if (!isWritten) this.#space.freeBytes += bytes;
    const { freeBytes, reserveBytes } = this.#space;
    throw storeRefusal(
      this.#options.folder,
      `only ${mib(freeBytes)} MiB are free there, and files leave ${mib(reserveBytes)} MiB alone (reserve of [store]): free some space`,
    );
  }

  health(): readonly PartHealth[] {
    if (this.#space === undefined) return [];
    const { freeBytes, reserveBytes } = this.#space;
    const figures = `${mib(freeBytes)} MiB are free, ${mib(reserveBytes)} MiB are kept in reserve`;
    const detail = this.#isLow ? `${figures}: new files are passed on and not kept` : figures;
    return [{ part: "disk space", state: this.#isLow ? "degraded" : "ok", detail, isNeeded: false }];
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (await sleepUnlessAborted(clock, this.#isLow ? roundWhileLowMs : roundMs, signal)) await this.#look();
  }

  async #look(): Promise<void> {
    const { folder, bytes, clock, events, look = spaceOf } = this.#options;
    const found = await attempt(events, folder, () => look(folder));
    if (found === undefined) return;
    const reserveBytes = Math.min(bytes, found.totalBytes * maxShare);
    this.#space = { freeBytes: found.freeBytes, reserveBytes, seenAt: clock.now() };
    this.#judge();
  }

  #judge(): void {
    if (this.#space === undefined) return;
    const { events, folder } = this.#options;
    const { freeBytes, reserveBytes } = this.#space;
    const isLow = freeBytes < reserveBytes * (this.#isLow ? slack : 1);
    this.#tell(freeBytes, reserveBytes);
    if (isLow === this.#isLow) return;
    this.#isLow = isLow;
    events.emit({ type: "disk_space", folder, state: isLow ? "low" : "ok", freeBytes, reserveBytes });
  }

  #tell(freeBytes: number, reserveBytes: number): void {
    const now = this.#options.clock.now();
    const scarce = scarceBelow * reserveBytes;
    if (freeBytes >= scarce) this.#toldAt = Number.NEGATIVE_INFINITY;
    const sinceMs = now - this.#toldAt;
    // A clock that was set back is no reason to wait.
    if (freeBytes >= scarce || (sinceMs >= 0 && sinceMs < tellAgainMs)) return;
    this.#toldAt = now;
    for (const listener of this.#listeners) listener(2 * scarce - freeBytes);
  }
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
