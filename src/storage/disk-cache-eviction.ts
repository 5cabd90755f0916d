import type { PartHealth } from "../core/health.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore, Clock, Ledger } from "../core/ports.ts";
import type { DiskBlobStore, DiskFile } from "./blob/disk.ts";
import type { BucketGuard } from "./bucket-guard.ts";
import { spaceOf } from "./disk-space.ts";
import { attempt } from "./failures.ts";
import { sha256OfStream } from "./hashing.ts";
import { isFileRequest, requestOf, zipHashKey } from "./layout.ts";
import type { Outbox } from "./outbox.ts";
import type { Uploader } from "./outbox-uploader.ts";

export interface EvictionOptions {
  readonly disk: DiskBlobStore;
  /** Of the disk, for its free space. */
  readonly dataDir: string;
  readonly bucket: BlobStore;
  readonly guard: BucketGuard;
  readonly outbox: Outbox;
  readonly uploader: Pick<Uploader, "wake">;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly events: Events;
  /** Of all files on the disk; 0 is no limit. */
  readonly maxBytes: number;
}

interface Candidate extends DiskFile {
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

interface Need {
  readonly reason: "quota" | "space";
  readonly bytes: number;
}

/** So much more than what must go goes, so that there is a while until the next round, which looks at every file. */
const slack = 0.1;
/** The disk is nearly full with less free space than this, or than a twentieth of it. */
const lowSpaceBytes = 1024 ** 3;
/** Files that are remembered in one round; the next one takes more. */
const maxCandidates = 20_000;
const questionsAtOnce = 16;
const questionPatienceMs = 5_000;
/** Whoever has just got a file may be about to open it. */
const minIdleMs = 10_000;
/** After a round that could not bring what was needed. */
const restMs = 60_000;
const spaceCheckMs = 10_000;

/**
 * Keeps the disk in front of a bucket within its quota, and from being full: what nobody used for longest goes, once the bucket
 * has said that it has it. Who is reading such a file reads on.
 */
export class Eviction {
  readonly #options: EvictionOptions;
  readonly #closing = new AbortController();
  /** On the disk; undefined until it was looked through. */
  #bytes: number | undefined;
  #running: Promise<void> | undefined;
  #restsUntil = 0;
  #spaceCheckedAt = 0;
  /** That somebody else found missing. */
  #missingBytes = 0;

  constructor(options: EvictionOptions) {
    this.#options = options;
  }

  /** Looks the disk through, in the background. */
  start(): void {
    this.#begin();
  }

  /** Something of this size has come to the disk. */
  noteStored(bytes: number): void {
    const { clock, maxBytes } = this.#options;
    if (this.#bytes === undefined) return;
    this.#bytes += bytes;
    const isSpaceDue = clock.now() - this.#spaceCheckedAt >= spaceCheckMs;
    if (isSpaceDue || (maxBytes > 0 && this.#bytes > maxBytes)) this.#begin();
  }

  /** Space is scarce on the disk, by what its reserve says. */
  makeRoom(missingBytes: number): void {
    // While it rests space may come back; if it does not, this is said again.
    if (this.#isResting) return;
    this.#missingBytes = missingBytes;
    this.#begin();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  health(): PartHealth {
    const { maxBytes } = this.#options;
    const bytes = this.#bytes ?? 0;
    const isOver = maxBytes > 0 && bytes > maxBytes * (1 + slack);
    const used = `${mib(bytes)} MiB${maxBytes > 0 ? ` of ${mib(maxBytes)} MiB` : ""}`;
    return {
      part: "disk cache",
      state: isOver ? "degraded" : "ok",
      detail: isOver ? `${used}: what is over waits for the bucket, or was just used` : used,
      isNeeded: false,
    };
  }

  get #isResting(): boolean {
    return this.#options.clock.now() < this.#restsUntil;
  }

  #begin(): void {
    const { events, disk } = this.#options;
    if (this.#running !== undefined || this.#closing.signal.aborted || this.#isResting) return;
    this.#running = attempt(events, disk.name, () => this.#round()).then(() => (this.#running = undefined));
  }

  async #round(): Promise<void> {
    const { clock } = this.#options;
    this.#bytes ??= await this.#measure();
    const wanted = this.#missingBytes;
    this.#missingBytes = 0;
    const need = await this.#need(wanted);
    if (need === undefined) return;
    const { bytes, candidates } = await this.#survey();
    this.#bytes = bytes;
    const freed = await this.#evict(candidates, need);
    if (freed < need.bytes) this.#restsUntil = clock.now() + restMs;
  }

  async #need(wantedBytes: number): Promise<Need | undefined> {
    const { maxBytes, dataDir, clock } = this.#options;
    const bytes = this.#bytes ?? 0;
    if (maxBytes > 0 && bytes > maxBytes) return { reason: "quota", bytes: bytes - maxBytes * (1 - slack) };
    this.#spaceCheckedAt = clock.now();
    const { freeBytes, totalBytes } = await spaceOf(dataDir);
    const low = Math.min(lowSpaceBytes, totalBytes / 20);
    const missing = Math.max(freeBytes < low ? 2 * low - freeBytes : 0, wantedBytes);
    return missing > 0 ? { reason: "space", bytes: missing } : undefined;
  }

  async #measure(): Promise<number> {
    let bytes = 0;
    for await (const file of this.#options.disk.files()) bytes += file.bytes;
    return bytes;
  }

  /** Of all files that may go, those unused for longest, in that order. */
  async #survey(): Promise<{ readonly bytes: number; readonly candidates: readonly Candidate[] }> {
    const { disk } = this.#options;
    let bytes = 0;
    let candidates: Candidate[] = [];
    for await (const file of disk.files()) {
      if (this.#closing.signal.aborted) break;
      bytes += file.bytes;
      if (requestOf(file.key) === undefined) continue;
      candidates.push({ ...file, usedAt: await this.#usedAt(file) });
      if (candidates.length >= 2 * maxCandidates) candidates = oldest(candidates);
    }
    return { bytes, candidates: oldest(candidates) };
  }

  async #usedAt({ key, changedAt }: DiskFile): Promise<number> {
    const { ledger, events } = this.#options;
    const used = await attempt(events, ledger.name, async () => {
      const request = requestOf(key);
      if (request !== undefined && isFileRequest(request)) return ledger.lastUsed(key);
      return (await ledger.freshness(key))?.checkedAt;
    });
    return Math.max(used ?? 0, changedAt);
  }

  async #evict(candidates: readonly Candidate[], need: Need): Promise<number> {
    const { events, clock, guard } = this.#options;
    let freed = 0;
    let files = 0;
    for (let at = 0; at < candidates.length && freed < need.bytes; at += questionsAtOnce) {
      if (this.#closing.signal.aborted || guard.isResting) break;
      const idle = candidates.slice(at, at + questionsAtOnce).filter(({ usedAt }) => clock.now() - usedAt >= minIdleMs);
      const gone = await Promise.all(idle.map((candidate) => this.#evictOne(candidate)));
      for (const bytes of gone) if (bytes > 0) files++;
      freed += gone.reduce((sum, bytes) => sum + bytes, 0);
    }
    this.#bytes = Math.max(0, (this.#bytes ?? 0) - freed);
    if (files > 0) {
      events.emit({ type: "cache_evicted", files, bytes: freed, reason: need.reason, leftBytes: this.#bytes });
    }
    return freed;
  }

  /** Answers how much space that brought. */
  async #evictOne({ key, size, bytes }: Candidate): Promise<number> {
    const { disk, outbox, events } = this.#options;
    if (outbox.has(key) || !(await this.#isInBucket(key, size)) || outbox.has(key)) return 0;
    const isGone = await attempt(events, disk.name, async () => {
      if (key.endsWith(".zip")) await disk.delete(zipHashKey(key));
      return disk.delete(key);
    });
    return isGone === true ? bytes : 0;
  }

  /** Of what stands on the disk, by its facts where there are any. */
  async #sha256(key: BlobKey): Promise<string | undefined> {
    const { ledger, disk, events } = this.#options;
    const facts = await attempt(events, ledger.name, () => ledger.facts(key));
    if (facts !== undefined) return facts.sha256;
    const blob = await disk.get(key);
    return blob && sha256OfStream(blob.stream());
  }

  /** What it should have, and has not, is sent there. Objects that older versions wrote have no hash, and are compared by their size. */
  async #isInBucket(key: BlobKey, size: number): Promise<boolean> {
    const { bucket, guard, outbox, uploader, events } = this.#options;
    const request = requestOf(key);
    const found = await attempt(events, bucket.name, async () => {
      const stat = await guard.ask({ work: () => bucket.stat(key), patienceMs: questionPatienceMs });
      if (stat === undefined || request === undefined || !isFileRequest(request))
        return { isThere: stat !== undefined };
      if (stat.size !== size || stat.sha256 === undefined) return { isThere: stat.size === size };
      return { isThere: stat.sha256 === (await this.#sha256(key)) };
    });
    if (found === undefined) return false;
    if (!found.isThere) {
      outbox.add(key);
      uploader.wake();
    }
    return found.isThere;
  }
}

function oldest(candidates: readonly Candidate[]): Candidate[] {
  return candidates.toSorted((a, b) => a.usedAt - b.usedAt).slice(0, maxCandidates);
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
