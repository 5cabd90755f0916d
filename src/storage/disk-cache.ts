import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { LRUCache } from "lru-cache";
import { isSluiceError } from "../core/errors.ts";
import { Singleflight } from "../core/singleflight.ts";
import type { Events } from "../core/events.ts";
import type { Blob, BlobContent, BlobKey, BlobStat, BlobStore, Clock } from "../core/ports.ts";
import { bytesBlob } from "./blob/bytes-blob.ts";
import type { DiskBlobStore } from "./blob/disk.ts";
import type { BucketGuard } from "./bucket-guard.ts";
import { attempt, tellFailure } from "./failures.ts";
import { sha256OfStream } from "./hashing.ts";
import { isFileRequest, requestOf, zipHashKey } from "./layout.ts";
import type { Outbox } from "./outbox.ts";
import type { Uploader } from "./outbox-uploader.ts";
import { withPatience } from "./patience.ts";
import type { SharedStore } from "./shared-copy.ts";
import { storageError } from "./storage-error.ts";

export interface DiskCacheOptions {
  readonly disk: DiskBlobStore;
  readonly bucket: BlobStore;
  readonly guard: BucketGuard;
  readonly outbox: Outbox;
  readonly uploader: Uploader;
  readonly clock: Clock;
  readonly events: Events;
  /** Told of what the disk got. */
  readonly onStored: (bytes: number) => void;
}

/** How long a request waits for the bucket before it is answered without: from the disk, or from a source. */
const patienceMs = 2_000;
/** The same where there is an answer on the disk. */
const patienceWithCopyMs = 500;
/** A body of the bucket that brings nothing for so long is given up. */
const stallMs = 5_000;
const lastUploadsMs = 3_000;
/** Lists of what the bucket has below a prefix are remembered for so long. */
const listTtlMs = 10_000;
const maxRememberedLists = 1_000;
const maxInDoubt = 100_000;

export interface DiskCacheStore extends BlobStore, SharedStore {
  /**
   * Its `get` found nothing last time, and the bucket could not be asked: another node may have put it there. Of a list of versions
   * also when the bucket could not say last time which versions it has.
   */
  isInDoubt(key: BlobKey): boolean;
}

/**
 * A disk in front of a bucket that several nodes share. The bucket decides which file of a name was first; the disk has copies,
 * and what is not sent yet. While the bucket cannot be asked, what is not on the disk counts as not stored, and is in doubt.
 */
export function createDiskCache(options: DiskCacheOptions): DiskCacheStore {
  return new DiskCache(options);
}

/** What became of a copy from the bucket: a small one is answered as it is, where the disk does not keep it. */
type Filled = "on disk" | "not kept" | Blob | undefined;

/** `local`: of use on this disk only, such as the `.ziphash` that go wants in a module cache. */
type Kind = "file" | "record" | "local";

class DiskCache implements DiskCacheStore {
  readonly name: string;
  readonly #options: DiskCacheOptions;
  readonly #fills = new Singleflight<Filled>();
  readonly #lists: LRUCache<string, readonly BlobKey[]>;
  readonly #inDoubt = new LRUCache<BlobKey, true>({ max: maxInDoubt });

  constructor(options: DiskCacheOptions) {
    this.#options = options;
    this.name = `${options.disk.name} > ${options.bucket.name}`;
    this.#lists = new LRUCache({ max: maxRememberedLists, ttl: listTtlMs });
  }

  isInDoubt(key: BlobKey): boolean {
    return this.#inDoubt.has(key);
  }

  async stat(key: BlobKey): Promise<BlobStat | undefined> {
    const { disk, bucket } = this.#options;
    const found = await disk.stat(key);
    if (found !== undefined || kindOf(key) === "local") return found;
    return this.#ask(() => bucket.stat(key));
  }

  async get(key: BlobKey): Promise<Blob | undefined> {
    const { disk, bucket } = this.#options;
    const kind = kindOf(key);
    if (kind === "record") return this.#getRecord(key);
    const copy = kind === "local" ? await disk.get(key) : await this.#onDisk(() => disk.get(key));
    if (copy !== undefined || kind === "local") return copy;
    const filled = await this.#fills.run(key, () => this.#fill(key));
    if (filled === "on disk") return disk.get(key);
    return filled === "not kept" ? this.#look(key, () => bucket.get(key)) : filled;
  }

  create(key: BlobKey, content: BlobContent): Promise<"created" | "exists"> {
    if (kindOf(key) === "local") return this.#options.disk.create(key, content);
    return "bytes" in content ? this.#createSmall(key, content) : this.#createLarge(key, content);
  }

  async replace(key: BlobKey, bytes: Uint8Array): Promise<void> {
    const { disk, bucket, uploader, guard } = this.#options;
    if (kindOf(key) === "local") return disk.replace(key, bytes);
    try {
      await this.#toSend(key, () => disk.replace(key, bytes));
    } catch (error) {
      if (!isSluiceError(error, "storage_failed") || guard.isResting) throw error;
      await guard.ask({ work: () => bucket.replace(key, bytes), patienceMs });
      return;
    }
    uploader.wake();
  }

  async delete(key: BlobKey): Promise<boolean> {
    const { disk, bucket, uploader, guard } = this.#options;
    await uploader.forget(key);
    const isDeleted = await disk.delete(key);
    if (kindOf(key) === "local") return isDeleted;
    return (await guard.ask({ work: () => bucket.delete(key), patienceMs })) || isDeleted;
  }

  /** With what is broken on the disk goes the bucket's, if that is the same. */
  async setAside(key: BlobKey, revision?: string): Promise<boolean> {
    const { disk, bucket, outbox } = this.#options;
    if (kindOf(key) === "local") return disk.setAside(key, revision);
    const onDisk = await disk.get(key);
    if (onDisk === undefined) return (await this.#ask(() => bucket.setAside(key, revision))) ?? false;
    if (revision !== undefined && onDisk.revision !== revision) {
      onDisk.discard();
      return (await this.#ask(() => bucket.setAside(key, revision))) ?? false;
    }
    const broken = await sha256OfStream(onDisk.stream());
    const isTaken = await disk.setAside(key, onDisk.revision);
    outbox.drop(key);
    await this.#setAsideInBucket(key, broken);
    return isTaken;
  }

  async writtenSha256(key: BlobKey): Promise<string | undefined> {
    const { bucket, outbox } = this.#options;
    // Ours is not there yet, so what is there is not the one that was read.
    if (outbox.has(key)) return undefined;
    return (await this.#ask(() => bucket.stat(key)))?.sha256;
  }

  setCopyAside(key: BlobKey, revision: string): Promise<boolean> {
    return this.#options.disk.setAside(key, revision);
  }

  async *list(prefix: string): AsyncGenerator<BlobKey> {
    const { disk } = this.#options;
    const seen = new Set<BlobKey>();
    for await (const key of disk.list(prefix)) {
      seen.add(key);
      yield key;
    }
    const isVersions = prefix.endsWith("/@v");
    for await (const key of isVersions ? await this.#versions(prefix) : this.#inBucket(prefix)) {
      if (!seen.has(key)) yield key;
    }
  }

  /** A disk that cannot be written now is no reason to get no traffic, as long as there is the bucket. */
  async check(): Promise<void> {
    const { disk, guard, bucket } = this.#options;
    try {
      await disk.check();
    } catch (error) {
      if (guard.isResting) throw error;
      await guard.ask({ work: () => bucket.check(), patienceMs });
    }
  }

  async close(): Promise<void> {
    const { disk, bucket, guard, uploader, outbox, clock } = this.#options;
    const uploaded = uploader.close();
    // What is not sent by then is sent by the next process.
    await withPatience(uploaded, { clock, ms: lastUploadsMs }).catch(() => undefined);
    await guard.close();
    await bucket.close();
    await uploaded;
    outbox.close();
    await disk.close();
  }

  /** The newest is the bucket's, unless ours is still on its way there, or it does not answer soon. */
  async #getRecord(key: BlobKey): Promise<Blob | undefined> {
    const { disk, outbox } = this.#options;
    const copy = await this.#onDisk(() => disk.get(key));
    if (copy !== undefined && outbox.has(key)) return copy;
    const theirs = await this.#askForRecord(key, copy);
    if (theirs === undefined) return copy;
    const bytes = await theirs.read();
    if (copy !== undefined && Buffer.compare(await copy.read(), bytes) === 0) return bytesBlob(bytes, copy.revision);
    const isKept = await this.#onDisk(async () => {
      await disk.replace(key, bytes);
      return true;
    });
    return isKept === true ? disk.get(key) : bytesBlob(bytes, theirs.revision);
  }

  async #askForRecord(key: BlobKey, copy: Blob | undefined): Promise<Blob | undefined> {
    const { bucket, clock } = this.#options;
    const asked = this.#look(key, () => bucket.get(key));
    if (copy === undefined) return asked;
    return withPatience(asked, { clock, ms: patienceWithCopyMs, onLate: discardLate }).catch(() => undefined);
  }

  /** The bucket decides before anybody sees it. Where it cannot, the disk has it and the outbox knows. */
  async #createSmall(key: BlobKey, content: { readonly bytes: Uint8Array }): Promise<"created" | "exists"> {
    const { disk, bucket, guard } = this.#options;
    if ((await this.#onDisk(() => disk.stat(key))) !== undefined) return "exists";
    if (!guard.isResting) {
      const outcome = await this.#ask(() => bucket.create(key, content));
      if (outcome === "created") await this.#keepCopy(key, content);
      // One that cannot be read now is compared with ours by the uploader; else this one would be kept nowhere.
      const isSettled = outcome === "created" || (outcome === "exists" && (await this.#canRead(key)));
      if (isSettled) return outcome;
    }
    return this.#createOnDisk(key, content);
  }

  async #canRead(key: BlobKey): Promise<boolean> {
    const standing = await this.get(key);
    standing?.discard();
    return standing !== undefined;
  }

  async #createLarge(
    key: BlobKey,
    content: { readonly file: string; readonly size: number },
  ): Promise<"created" | "exists"> {
    const { bucket, guard } = this.#options;
    try {
      return await this.#createOnDisk(key, content);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed") || guard.isResting) throw error;
      return guard.ask({ work: () => bucket.create(key, content) });
    }
  }

  async #createOnDisk(key: BlobKey, content: BlobContent): Promise<"created" | "exists"> {
    const { disk, onStored } = this.#options;
    if ((await disk.stat(key)) !== undefined) return "exists";
    const bytes = sizeOf(content);
    const outcome = await this.#toSend(key, () => disk.create(key, content));
    onStored(bytes);
    return outcome;
  }

  /**
   * In the outbox before it is written: an entry without a file is nothing, a file without an entry would never be sent. And once
   * more after that, as the uploader may have looked in between, and taken the entry away with what it found.
   */
  async #toSend<T>(key: BlobKey, write: () => Promise<T>): Promise<T> {
    const { outbox } = this.#options;
    outbox.add(key);
    const outcome = await write();
    outbox.add(key);
    return outcome;
  }

  async #fill(key: BlobKey): Promise<Filled> {
    const { bucket, disk } = this.#options;
    const blob = await this.#look(key, () => bucket.get(key));
    if (blob === undefined) return undefined;
    // One that is left from another zip of this name would speak against this one.
    if (key.endsWith(".zip")) await this.#onDisk(() => disk.delete(zipHashKey(key)));
    if (blob.bytes !== undefined) return (await this.#keepCopy(key, { bytes: blob.bytes })) ? "on disk" : blob;
    return this.#copy(key, blob);
  }

  async #copy(key: BlobKey, blob: Blob): Promise<Filled> {
    const { disk, guard, events, clock } = this.#options;
    const file = await this.#onDisk(() => disk.stagingFile());
    if (file === undefined) {
      blob.discard();
      return "not kept";
    }
    try {
      await pipeline(withoutStalls(blob.stream(), clock), createWriteStream(file));
      return (await this.#keepCopy(key, { file, size: blob.size })) ? "on disk" : "not kept";
    } catch (error) {
      if (isSluiceError(error, "storage_failed")) {
        guard.report(error);
        this.#inDoubt.set(key, true);
        return undefined;
      }
      tellFailure(events, disk.name, storageError("write", file, error));
      return "not kept";
    } finally {
      await rm(file, { force: true });
    }
  }

  async #keepCopy(key: BlobKey, content: BlobContent): Promise<boolean> {
    const { disk, onStored } = this.#options;
    const outcome = await this.#onDisk(() => disk.create(key, content));
    if (outcome === "created") onStored(sizeOf(content));
    return outcome !== undefined;
  }

  async #setAsideInBucket(key: BlobKey, sha256: string): Promise<void> {
    const { bucket, guard, events } = this.#options;
    if (guard.isResting) return;
    await attempt(events, bucket.name, async () => {
      const theirs = await bucket.get(key);
      if (theirs === undefined || (await sha256OfStream(theirs.stream())) !== sha256) return;
      await bucket.setAside(key, theirs.revision);
    });
  }

  /** As long as it answers. */
  async *#inBucket(prefix: string): AsyncGenerator<BlobKey> {
    const keys = this.#options.bucket.list(prefix)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#ask(() => keys.next());
      if (next === undefined || next.done === true) return;
      yield next.value;
    }
  }

  async #versions(prefix: string): Promise<readonly BlobKey[]> {
    const { bucket } = this.#options;
    const remembered = this.#lists.get(prefix);
    if (remembered !== undefined) return remembered;
    const keys = await this.#ask(() => Array.fromAsync(bucket.list(prefix)));
    // What is known of versions is what a list of them may say.
    const listKey = `${prefix}/list`;
    if (keys === undefined) this.#inDoubt.set(listKey, true);
    else this.#inDoubt.delete(listKey);
    if (keys !== undefined) this.#lists.set(prefix, keys);
    return keys ?? [];
  }

  /** As `#ask`, and remembers of which files it is not known whether the bucket has them. */
  async #look<T>(key: BlobKey, work: () => Promise<T>): Promise<T | undefined> {
    const answer = await this.#ask(async () => {
      const found = await work();
      return { found, discard: () => discardLate(found) };
    });
    if (answer === undefined) this.#inDoubt.set(key, true);
    else this.#inDoubt.delete(key);
    return answer?.found;
  }

  /** A bucket that cannot be asked has nothing. */
  async #ask<T>(work: () => Promise<T>): Promise<T | undefined> {
    const { guard } = this.#options;
    if (guard.isResting) return undefined;
    try {
      return await guard.ask({ work, patienceMs, onLate: discardLate });
    } catch (error) {
      if (isSluiceError(error, "storage_failed")) return undefined;
      throw error;
    }
  }

  /** A disk that fails is told, and the bucket asked instead. */
  #onDisk<T>(work: () => Promise<T>): Promise<T | undefined> {
    const { events, disk } = this.#options;
    return attempt(events, disk.name, work);
  }
}

function kindOf(key: BlobKey): Kind {
  const request = requestOf(key);
  if (request === undefined) return "local";
  return isFileRequest(request) ? "file" : "record";
}

function sizeOf(content: BlobContent): number {
  return "bytes" in content ? content.bytes.length : content.size;
}

function discardLate(late: unknown): void {
  if (typeof late === "object" && late !== null && "discard" in late && typeof late.discard === "function") {
    late.discard();
  }
}

async function* withoutStalls(stream: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await withPatience(chunks.next(), { clock, ms: stallMs });
      if (done === true) return;
      yield value;
    }
  } finally {
    void chunks.return?.();
  }
}
