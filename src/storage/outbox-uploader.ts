import { rm } from "node:fs/promises";
import { blobKey, type FileRequest } from "../protocol/goproxy/index.ts";
import { isSluiceError } from "../core/errors.ts";
import { Singleflight } from "../core/singleflight.ts";
import type { Events } from "../core/events.ts";
import type { Blob, BlobContent, BlobKey, BlobStore, Clock, Ledger } from "../core/ports.ts";
import type { DiskBlobStore } from "./blob/disk.ts";
import type { BucketGuard } from "./bucket-guard.ts";
import { attempt } from "./failures.ts";
import { sha256Of, sha256OfStream } from "./hashing.ts";
import { isFileRequest, requestOf } from "./layout.ts";
import type { Outbox, OutboxEntry } from "./outbox.ts";
import { withPatience } from "./patience.ts";

export interface UploaderOptions {
  readonly outbox: Outbox;
  readonly disk: DiskBlobStore;
  readonly bucket: BlobStore;
  readonly guard: BucketGuard;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * `displaced`: another node was first with another content, and ours is gone from here. `gone`: there was nothing on the disk
 * to send. `waiting`: it could not be sent now and is tried again.
 */
export type UploadOutcome = "uploaded" | "displaced" | "gone" | "waiting";

/** Takes our own out of the store for theirs, by `take`, with all that is known of it. */
export type Concede = (key: BlobKey, take: () => Promise<void>) => Promise<void>;

/** How long a zip that is on the disk and in the outbox waits to be in the bucket, before its client gets the end of it. */
const pushPatienceMs = 1_000;
const uploadsAtOnce = 4;
const batchEntries = 64;
const firstDelayMs = 2_000;
const maxDelayMs = 5 * 60_000;
const idleMs = 60_000;
/** Up to this size a file is read and compared with its facts before it is sent. */
const wholeReadBytes = 1024 * 1024;

/**
 * What is sent before a file, and decides whose version it is: an `.info` names the commit that the other two are of; where two nodes
 * have the same one, as upstreams name none, the `.mod` tells their zips apart. No version is of one node in part.
 */
const decidedBy: Readonly<Record<FileRequest["kind"], readonly FileRequest["kind"][]>> = {
  info: [],
  mod: ["info"],
  zip: ["info", "mod"],
};
const kinds = ["info", "mod", "zip"] as const;

/** Brings into the bucket what waits in the outbox: at once what was just added, the rest as soon as the bucket takes it. */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #uploads = new Singleflight<UploadOutcome>();
  readonly #closing = new AbortController();
  #concede: Concede = async (_key, take) => take();
  #told: { readonly waiting: number; readonly oldestAt: number | undefined } = { waiting: 0, oldestAt: undefined };
  #nap: AbortController | undefined;
  #running: Promise<void> | undefined;

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  /** `concede` is called for each file of ours that another node was first with. */
  start(concede: Concede): void {
    this.#concede = concede;
    this.#running = this.#work();
  }

  /** Sends now what was added, if it was, and waits a moment for it; not while there is too much to do, or the bucket is down. */
  async push(key: BlobKey): Promise<UploadOutcome> {
    const { guard, outbox, clock } = this.#options;
    const entry = outbox.find(key);
    if (entry === undefined) return "gone";
    if (guard.isResting || this.#closing.signal.aborted || this.#uploads.size >= uploadsAtOnce) {
      this.wake();
      return "waiting";
    }
    return withPatience(this.#upload(entry), { clock, ms: pushPatienceMs }).catch(() => "waiting" as const);
  }

  /** It is not to be sent any more; a moment is waited for what is just being sent. */
  async forget(key: BlobKey): Promise<void> {
    const { outbox, clock } = this.#options;
    outbox.drop(key);
    if (!this.#uploads.has(key)) return;
    const sent = this.#uploads.run(key, () => Promise.resolve("gone" as const));
    await withPatience(sent, { clock, ms: pushPatienceMs }).catch(() => undefined);
  }

  /** Resolves when the uploads under way are over. What else waits is sent by the next process. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.wake();
    await this.#running;
  }

  /** Something was added. */
  wake(): void {
    if (!this.#closing.signal.aborted) this.#tell();
    this.#nap?.abort();
  }

  async #work(): Promise<void> {
    const { guard, outbox, events, disk } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (guard.isResting) {
          await guard.untilAsked(signal);
          outbox.hurry();
        }
        outbox.flush();
        const due = outbox.due(batchEntries);
        this.#tell();
        if (due.length === 0) await this.#rest();
        else await this.#uploadAll(due);
      } catch (error) {
        if (signal.aborted) return;
        // The outbox itself cannot be read or written, and does not say either when something is due.
        const cause = error instanceof Error ? error : new Error(String(error));
        events.emit({ type: "store_failed", store: disk.name, operation: "read the outbox", error: cause });
        await this.#sleep(idleMs);
      }
    }
  }

  async #uploadAll(due: readonly OutboxEntry[]): Promise<void> {
    const { guard } = this.#options;
    const waiting = due.values();
    const work = async (): Promise<void> => {
      for (const entry of waiting) {
        if (guard.isResting || this.#closing.signal.aborted) return;
        await this.#upload(entry);
      }
    };
    await Promise.all(Array.from({ length: uploadsAtOnce }, work));
  }

  /** Until something is due, or is added. */
  async #rest(): Promise<void> {
    const { clock, outbox } = this.#options;
    const nextDueAt = outbox.nextDueAt() ?? Number.POSITIVE_INFINITY;
    await this.#sleep(Math.min(Math.max(nextDueAt - clock.now(), 1), idleMs));
  }

  async #sleep(ms: number): Promise<void> {
    const { clock } = this.#options;
    this.#nap = new AbortController();
    await clock.sleep(ms, AbortSignal.any([this.#nap.signal, this.#closing.signal])).catch(() => undefined);
  }

  #upload(entry: OutboxEntry): Promise<UploadOutcome> {
    return this.#uploads.run(entry.key, () => this.#attempt(entry));
  }

  async #attempt(entry: OutboxEntry): Promise<UploadOutcome> {
    const outcome = await this.#trySending(entry);
    if (outcome === "waiting") this.#postpone(entry);
    else this.#options.outbox.remove(entry);
    this.#tell();
    return outcome;
  }

  async #trySending(entry: OutboxEntry): Promise<UploadOutcome> {
    const { events, bucket } = this.#options;
    try {
      return await this.#send(entry);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) {
        const cause = error instanceof Error ? error : new Error(String(error));
        events.emit({ type: "store_failed", store: bucket.name, operation: "upload", error: cause });
        return "waiting";
      }
      // With a name that the bucket does not take it stays on this disk, and no other node will have it.
      return error.details["refused"] === "key" ? "gone" : "waiting";
    }
  }

  #postpone(entry: OutboxEntry): void {
    const { outbox, clock, guard } = this.#options;
    const delayMs = Math.min(firstDelayMs * 2 ** entry.attempts, maxDelayMs);
    if (!guard.isResting) outbox.postpone(entry, clock.now() + delayMs * (0.75 + Math.random() / 2));
  }

  async #send({ key }: OutboxEntry): Promise<UploadOutcome> {
    const request = requestOf(key);
    if (request === undefined) return "gone";
    if (!isFileRequest(request)) return this.#sendRecord(key);
    for (const kind of decidedBy[request.kind]) {
      const first = this.#options.outbox.find(blobKey({ ...request, kind }));
      if (first !== undefined && (await this.#upload(first)) === "waiting") return "waiting";
    }
    return this.#sendFile(key);
  }

  async #sendRecord(key: BlobKey): Promise<UploadOutcome> {
    const { disk, bucket, guard } = this.#options;
    const blob = await disk.get(key);
    if (blob === undefined) return "gone";
    const bytes = await blob.read();
    await guard.ask({ work: () => bucket.replace(key, bytes) });
    return "uploaded";
  }

  async #sendFile(key: BlobKey): Promise<UploadOutcome> {
    const { disk, bucket, guard } = this.#options;
    const borrowed = await disk.borrow(key);
    if (borrowed === undefined) return "gone";
    try {
      const content = await this.#soundContent(key, borrowed);
      if (content === undefined) return "gone";
      const outcome = await guard.ask({ work: () => bucket.create(key, content) });
      if (outcome === "created") return "uploaded";
    } finally {
      await rm(borrowed.file, { force: true });
    }
    return this.#compare(key);
  }

  async #recordedHash(key: BlobKey): Promise<string | undefined> {
    const { ledger, events } = this.#options;
    return (await attempt(events, ledger.name, () => ledger.facts(key)))?.sha256;
  }

  /** What rotted on this disk must not get into the bucket: other nodes believe the hash that goes with it. */
  async #soundContent(
    key: BlobKey,
    borrowed: { readonly file: string; readonly size: number },
  ): Promise<BlobContent | undefined> {
    const { disk, events } = this.#options;
    const blob = await disk.get(key);
    if (blob === undefined) return undefined;
    const content = borrowed.size <= wholeReadBytes ? { bytes: await blob.read() } : borrowed;
    const sha256 = "bytes" in content ? await sha256Of(content.bytes) : await sha256OfStream(blob.stream());
    const recorded = await this.#recordedHash(key);
    if (recorded === undefined || recorded === sha256) return { ...content, sha256 };
    // Who read it meanwhile may have set it aside.
    if (await disk.setAside(key, blob.revision)) {
      events.emit({ type: "file_corrupt", key, reason: "it is not what was recorded, and was not sent to the bucket" });
    }
    return undefined;
  }

  async #compare(key: BlobKey): Promise<UploadOutcome> {
    const { disk, bucket, guard } = this.#options;
    const theirHash = (await guard.ask({ work: () => bucket.stat(key) }))?.sha256;
    if (theirHash !== undefined && theirHash === (await this.#recordedHash(key))) return "uploaded";
    const ours = await disk.get(key);
    const theirs = await guard.ask({ work: () => bucket.get(key) });
    try {
      if (ours === undefined) return "gone";
      // Somebody has just taken out what stood there.
      if (theirs === undefined) return "waiting";
      if (ours.size === theirs.size && (await haveSameContent(ours, theirs))) return "uploaded";
    } finally {
      ours?.discard();
      theirs?.discard();
    }
    await this.#displace(key);
    return "displaced";
  }

  /** With it goes what belongs to it, and nobody else has yet. */
  async #displace(key: BlobKey): Promise<void> {
    const { outbox, disk, bucket, events } = this.#options;
    const request = requestOf(key);
    const derived =
      request !== undefined && isFileRequest(request)
        ? kinds
            .filter((kind) => decidedBy[kind].includes(request.kind))
            .map((kind) => blobKey({ ...request, kind }))
            .filter((other) => outbox.has(other))
        : [];
    for (const lost of [key, ...derived]) {
      events.emit({ type: "bucket_conflict", key: lost, bucket: bucket.name });
      await this.#concede(lost, async () => void (await disk.setAside(lost)));
      outbox.drop(lost);
    }
  }

  #tell(): void {
    const { outbox, events } = this.#options;
    const { waiting } = outbox;
    const oldestAt = waiting === 0 ? undefined : outbox.oldestAt();
    if (waiting === this.#told.waiting && oldestAt === this.#told.oldestAt) return;
    this.#told = { waiting, oldestAt };
    events.emit({ type: "outbox", ...this.#told });
  }
}

async function haveSameContent(one: Blob, other: Blob): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map((blob) => sha256OfStream(blob.stream())));
  return first === second;
}
