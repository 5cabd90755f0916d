import { LRUCache } from "lru-cache";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import type { H1 } from "../protocol/brand.ts";
import { blobKey, type FileRequest } from "../protocol/goproxy/index.ts";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import { Singleflight } from "../core/singleflight.ts";
import type { Events } from "../core/events.ts";
import type {
  Blob,
  BlobContent,
  BlobKey,
  BlobStore,
  ByteRange,
  FileFacts,
  NewFacts,
  StoredFile,
} from "../core/ports.ts";
import type { AdoptedFile } from "./adoption.ts";
import { ownBytes, streamBytes } from "./blob/bytes-blob.ts";
import { BrokenFile } from "./broken-file.ts";
import type { FactBook } from "./fact-book.ts";
import { attempt, tellFailure } from "./failures.ts";
import { checkedChunks, refuseOtherHash, sha256Of, sha256OfStream } from "./hashing.ts";
import type { HotTier } from "./hot-tier.ts";
import { isFileRequest, requestOf } from "./layout.ts";
import { findTheirs, type SharedStore, type TheirFile } from "./shared-copy.ts";
import { Turns } from "./turns.ts";
import type { WholeReads } from "./whole-reads.ts";
import type { ZipHashes } from "./zip-hashes.ts";

export interface FileStoreOptions {
  readonly blobs: BlobStore;
  readonly facts: FactBook;
  readonly hot: HotTier;
  readonly zipHashes: ZipHashes;
  readonly events: Events;
  /** Whether a file that was not found may be stored all the same, where it could not be looked for. Default: never. */
  readonly isInDoubt?: ((key: BlobKey) => boolean) | undefined;
  /** Sends a kept file to where others see it. Answers whether another was there first, so that ours was conceded. */
  readonly send?: ((key: BlobKey) => Promise<boolean>) | undefined;
  /** What others write into as well: what is not as recorded here may be another node's. Default: there are no others. */
  readonly shared?: SharedStore | undefined;
  /** What it reads is answered as bytes, the rest as streams. */
  readonly wholeReads: WholeReads;
  /** Checks a file that nothing is known of; throws `BrokenFile`. Without it such a file counts as not stored. */
  readonly inspect?: (request: FileRequest, blob: Blob) => Promise<AdoptedFile>;
}

const maxRememberedRevisions = 50_000;
const streamBufferBytes = 256 * 1024;

/** Immutable files: never answered unchecked. */
export class FileStore {
  readonly #options: FileStoreOptions;
  readonly #reads = new Singleflight<StoredFile | undefined>();
  /** What records a file, and what forgets it for another. */
  readonly #turns = new Turns();
  readonly #passes = new Singleflight<void>();
  /** Revisions of large files that were hashed in this process and found right. */
  readonly #verified = new LRUCache<BlobKey, string>({ max: maxRememberedRevisions });

  constructor(options: FileStoreOptions) {
    this.#options = options;
  }

  async read(request: FileRequest): Promise<StoredFile | undefined> {
    const key = blobKey(request);
    return this.#options.hot.file(key) ?? this.#reads.run(key, () => this.#readStored(request, key));
  }

  async keep(request: FileRequest, content: BlobContent, facts: NewFacts): Promise<StoredFile> {
    const key = blobKey(request);
    const kept = await this.#turns.take(key, () => this.#keepInTurn(request, content, facts));
    const isConceded = (await this.#options.send?.(key)) ?? false;
    return isConceded ? ((await this.read(request)) ?? kept) : kept;
  }

  async #keepInTurn(request: FileRequest, content: BlobContent, facts: NewFacts): Promise<StoredFile> {
    const key = blobKey(request);
    // Facts before the file: another process writes the file first, so facts without a file are of one that was lost.
    const known = await this.#options.facts.find(key);
    // Where nothing is known, creating it tells whether a file stands; only a mark must not be put on one.
    const mayCreate = known === undefined && facts.unverified === undefined;
    const standing = this.#options.hot.file(key) ?? (mayCreate ? undefined : await this.#readStored(request, key));
    if (standing !== undefined) return standing;
    if (known !== undefined) this.#options.facts.refuseChange(known, facts);
    const bytes = "bytes" in content ? await checkedCopy(key, content.bytes, facts) : undefined;
    try {
      const { h1, unverified } = facts;
      if (unverified !== undefined && h1 !== undefined) await this.#options.facts.markUnverified(key, h1, unverified);
      // Before the file is visible: whoever finds it beside the facts of the lost one, such as a scrub, takes it for broken.
      const replaced = await this.#replaceFacts(known, facts);
      const theirs = await this.#create(request, content);
      if (theirs !== undefined) return theirs;
      const recorded = await this.#record(request, facts, replaced);
      if (unverified === undefined && recorded.sha256 === facts.sha256) await this.#options.facts.confirm(key);
      if (recorded.sha256 === facts.sha256) {
        if (bytes !== undefined) return this.#wholeFile(recorded, bytes);
        await this.#rememberVerified(recorded);
        // Whoever asked has followed it on its way; it is read into memory when the next one asks.
        return this.#streamedFile(recorded);
      }
      // It may have been read before it was known to be the wrong one.
      this.#options.hot.delete(key);
      const stored = await this.read(request);
      if (stored === undefined) throw new SluiceError("storage_failed", `${key} was stored but cannot be read back`);
      return stored;
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      tellFailure(this.#options.events, this.#options.blobs.name, error);
      const held = bytes ?? (await this.#readUnkept(content, facts));
      if (held !== undefined) this.#wholeFile({ key, ...facts }, held);
      throw error;
    }
  }

  /** What the store did not take can still be answered from memory, where it fits. */
  async #readUnkept(content: BlobContent, facts: NewFacts): Promise<Uint8Array | undefined> {
    if (!("file" in content) || content.size > this.#options.hot.maxFileBytes) return undefined;
    try {
      const bytes = await readFile(content.file);
      return (await sha256Of(bytes)) === facts.sha256 ? bytes : undefined;
    } catch {
      // The medium has failed, and that was told already.
      return undefined;
    }
  }

  async isKnown(request: FileRequest): Promise<boolean> {
    const { facts, isInDoubt = () => false } = this.#options;
    const key = blobKey(request);
    return isInDoubt(key) || (await facts.find(key)) !== undefined;
  }

  /** Another node was first with a file of this name: ours is taken out by `take` and forgotten, and theirs is read from then on. */
  concede(key: BlobKey, take: () => Promise<void>): Promise<void> {
    return this.#withoutReaders(key, async () => {
      await this.#options.facts.forget(key);
      await take();
      this.#verified.delete(key);
      this.#options.hot.delete(key);
    });
  }

  /**
   * Another node was first with another content of this file: `settle` records what the file must be, and ours is set aside if it is
   * known to stand, by its h1. Nobody reads or keeps it meanwhile, as ours would be fetched again as if nothing were known.
   */
  giveWay(
    request: FileRequest,
    { reason, h1, settle }: { readonly reason: string; readonly h1: H1; readonly settle: () => Promise<void> },
  ): Promise<void> {
    const key = blobKey(request);
    return this.#withoutReaders(key, async () => {
      const standing = await this.#options.facts.find(key);
      if (standing === undefined || standing.h1 === h1) await settle();
      // Of what stands there otherwise, which may be theirs, the next reader finds out whether it is as recorded.
      if (standing?.h1 === h1) await this.#setAside(key, undefined, reason);
      this.#options.hot.delete(key);
    });
  }

  async #withoutReaders(key: BlobKey, work: () => Promise<void>): Promise<void> {
    await this.#turns.take(key, async () => {
      const done = Promise.withResolvers<void>();
      // Whoever reads meanwhile finds nothing, also when it fails.
      const turn = (): Promise<undefined> =>
        work()
          .then(done.resolve, done.reject)
          .then(() => undefined);
      // In the turn of a read, as one that is under way would record ours again.
      while (this.#reads.has(key)) await this.#reads.run(key, turn).catch(() => undefined);
      await Promise.all([done.promise, this.#reads.run(key, turn)]);
    });
  }

  async reject(
    request: FileRequest,
    { reason, h1 }: { readonly reason: string; readonly h1?: H1 | undefined },
  ): Promise<boolean> {
    const key = blobKey(request);
    const standing = h1 && (await this.#options.facts.find(key));
    if (standing !== undefined && standing.h1 !== h1) return false;
    await this.#setAside(key, undefined, reason);
    await this.#options.facts.forget(key);
    // Who read it before it was taken away may put it into memory only now.
    await this.#reads.run(key, () => Promise.resolve(undefined)).catch(() => undefined);
    this.#options.hot.delete(key);
    return true;
  }

  async #readStored(request: FileRequest, key: BlobKey): Promise<StoredFile | undefined> {
    const { blobs, events } = this.#options;
    let blob: Blob | undefined;
    try {
      blob = await blobs.get(key);
      return blob && (await this.#readBlob(request, key, blob));
    } catch (error) {
      if (error instanceof BrokenFile) return this.#settle(request, blob?.revision, error);
      if (!isSluiceError(error, "storage_failed")) throw error;
      tellFailure(events, blobs.name, error);
      return undefined;
    } finally {
      blob?.discard();
    }
  }

  async #readBlob(request: FileRequest, key: BlobKey, blob: Blob): Promise<StoredFile | undefined> {
    const facts = await this.#options.facts.find(key);
    if (facts === undefined) return this.#adopt(request, key, blob);
    if (blob.size !== facts.size) throw new BrokenFile(`it has ${blob.size} bytes, recorded were ${facts.size}`);
    const bytes = await this.#options.wholeReads.read(blob);
    if (bytes === undefined) {
      await this.#ensureVerified(facts, blob.revision);
      return this.#streamedFile(facts);
    }
    refuseOtherHash(await sha256Of(bytes), facts.sha256);
    return this.#wholeFile(facts, bytes);
  }

  /** Sets a broken file aside. One that is sound and another node's is taken over when it is the same module, else left to the others. */
  async #settle(
    request: FileRequest,
    revision: string | undefined,
    broken: BrokenFile,
  ): Promise<StoredFile | undefined> {
    const { facts: book, shared, blobs, events } = this.#options;
    const key = blobKey(request);
    const known = await book.find(key);
    const theirs = known && (await this.#findTheirs(request, known, revision));
    if (known === undefined || theirs === undefined || revision === undefined) {
      await this.#setAside(key, revision, broken.message);
      return undefined;
    }
    if (!theirs.isSame) {
      const reason = `the file of another node has the h1 ${theirs.h1}, and the one served here before ${known.h1}: it stays in the bucket, and is not served here`;
      events.emit({ type: "integrity_failed", key, source: blobs.name, reason });
      this.#verified.delete(key);
      await attempt(events, blobs.name, async () => void (await shared?.setCopyAside(key, revision)));
      return undefined;
    }
    const recorded = await book.exchange(known, theirs);
    if (theirs.bytes !== undefined) return this.#wholeFile(recorded, theirs.bytes);
    this.#verified.set(key, revision);
    return this.#streamedFile(recorded);
  }

  async #findTheirs(
    request: FileRequest,
    known: FileFacts,
    revision: string | undefined,
  ): Promise<TheirFile | undefined> {
    const { blobs, events, shared, inspect } = this.#options;
    if (shared === undefined || inspect === undefined) return undefined;
    return attempt(events, blobs.name, async () => {
      const blob = await blobs.get(known.key);
      if (blob === undefined || blob.revision === revision)
        return blob && findTheirs(request, known, { blob, shared, inspect });
      blob.discard();
      return undefined;
    });
  }

  async #adopt(request: FileRequest, key: BlobKey, blob: Blob): Promise<StoredFile | undefined> {
    const { inspect, zipHashes } = this.#options;
    if (inspect === undefined) return undefined;
    const { bytes, sha256, h1 } = await inspect(request, blob);
    if (request.kind === "zip" && h1 !== undefined) await zipHashes.check(key, h1);
    const size = bytes?.length ?? blob.size;
    const facts = await this.#options.facts.adopt(key, { size, sha256, h1 });
    refuseOtherHash(sha256, facts.sha256);
    if (bytes !== undefined) return this.#wholeFile(facts, bytes);
    this.#verified.set(key, blob.revision);
    return this.#streamedFile(facts);
  }

  /** Answers the file that stands when another writer was first. */
  async #create(request: FileRequest, content: BlobContent): Promise<StoredFile | undefined> {
    const { blobs } = this.#options;
    const key = blobKey(request);
    if ((await blobs.create(key, content)) === "created") return undefined;
    const standing = await this.#readStored(request, key);
    if (standing !== undefined) return standing;
    // What stood there was broken, and has been set aside.
    if ((await blobs.create(key, content)) === "created") return undefined;
    throw new SluiceError(
      "storage_failed",
      `another file stands in the way of ${key}: a broken one that cannot be moved, or that of another node`,
    );
  }

  async #replaceFacts(known: FileFacts | undefined, facts: NewFacts): Promise<FileFacts | undefined> {
    const isChange = known !== undefined && known.sha256 !== facts.sha256;
    return isChange ? this.#options.facts.replace(known, facts) : undefined;
  }

  async #record(request: FileRequest, facts: NewFacts, replaced: FileFacts | undefined): Promise<FileFacts> {
    const { facts: book, zipHashes, events } = this.#options;
    const key = blobKey(request);
    if (request.kind === "zip" && facts.h1 !== undefined) await zipHashes.write(key, facts.h1);
    const recorded = replaced ?? (await book.record(key, facts));
    events.emit({ type: "file_stored", key, source: facts.source, size: facts.size });
    return recorded;
  }

  /** It was verified on its way into the store; hashing it again would make the first reader wait. */
  async #rememberVerified({ key, size }: FileFacts): Promise<void> {
    const written = await this.#options.blobs.stat(key);
    if (written?.size === size) this.#verified.set(key, written.revision);
  }

  #wholeFile({ key, sha256, h1, source }: Omit<FileFacts, "size" | "firstSeenAt">, bytes: Uint8Array): StoredFile {
    const stream = (range?: ByteRange): Readable => streamBytes(bytes, range);
    const file = { key, size: bytes.length, sha256, h1, source, bytes, stream, discard: () => undefined };
    this.#options.hot.put({ file });
    return file;
  }

  /** Opened when it is streamed, so that nothing leaks when it is not. */
  #streamedFile(facts: FileFacts): StoredFile {
    const { key, size, sha256, h1, source } = facts;
    const stream = (range?: ByteRange): Readable =>
      Readable.from(this.#chunks(facts, range), { objectMode: false, highWaterMark: streamBufferBytes });
    return { key, size, sha256, h1, source, stream, discard: () => undefined };
  }

  async *#chunks(facts: FileFacts, range: ByteRange | undefined): AsyncGenerator<Uint8Array> {
    const { key, sha256 } = facts;
    const blob = await this.#options.blobs.get(key);
    if (blob === undefined) throw new SluiceError("storage_failed", `${key} was removed while it was asked for`);
    try {
      await this.#ensureVerified(facts, blob.revision);
      if (range === undefined) yield* checkedChunks(blob.stream(), sha256);
      else yield* blob.stream(range);
    } catch (error) {
      if (!(error instanceof BrokenFile)) throw error;
      const request = requestOf(key);
      if (request !== undefined && isFileRequest(request)) await this.#settle(request, blob.revision, error);
      throw new SluiceError(
        "integrity",
        `the stored ${key} is broken (${error.message}): ask again, it is fetched anew`,
        { cause: error },
      );
    } finally {
      blob.discard();
    }
  }

  /** Hashes a large file once per process and revision, before its first byte is served. */
  async #ensureVerified({ key, sha256 }: FileFacts, revision: string): Promise<void> {
    if (this.#verified.get(key) === revision) return;
    await this.#passes.run(`${revision} ${key}`, async () => {
      const blob = await this.#options.blobs.get(key);
      if (blob === undefined) throw new SluiceError("storage_failed", `${key} was removed while it was checked`);
      refuseOtherHash(await sha256OfStream(blob.stream()), sha256);
      this.#verified.set(key, blob.revision);
    });
  }

  async #setAside(key: BlobKey, revision: string | undefined, reason: string): Promise<void> {
    const { blobs, hot, zipHashes, events } = this.#options;
    hot.delete(key);
    this.#verified.delete(key);
    events.emit({ type: "file_corrupt", key, reason });
    await attempt(events, blobs.name, async () => {
      const isTaken = await blobs.setAside(key, revision);
      if (isTaken && key.endsWith(".zip")) await zipHashes.setAside(key);
    });
  }
}

/** A caller that mixed up bytes and facts would otherwise have them served for ever. */
async function checkedCopy(key: BlobKey, bytes: Uint8Array, facts: NewFacts): Promise<Uint8Array> {
  const copy = ownBytes(bytes);
  if (copy.length === facts.size && (await sha256Of(copy)) === facts.sha256) return copy;
  throw new SluiceError("internal", `the bytes of ${key} are not what their facts say`);
}
