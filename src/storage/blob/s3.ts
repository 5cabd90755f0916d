import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { CopyObjectCommand } from "@aws-sdk/client-s3";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Blob, BlobContent, BlobKey, BlobStat, BlobStore, Clock } from "../../core/ports.ts";
import { tellFailure } from "../failures.ts";
import { checkKey, checkPrefix } from "./key.ts";
import { S3Bucket, type S3BucketOptions } from "./s3-bucket.ts";
import { s3Error, statusOf } from "./s3-error.ts";
import { listObjects, type ObjectFacts, openObject, revisionOf } from "./s3-reads.ts";
import { declareSoleWriter } from "./s3-sole-writer.ts";
import { S3Writes, writtenSha256 } from "./s3-writes.ts";
import type { WriteClaims } from "./write-claims.ts";

export interface S3BlobStoreOptions extends S3BucketOptions {
  /** A larger file is sent in parts of this size, at least 5 MiB. Default 16 MiB. */
  readonly partBytes?: number | undefined;
  /** Let one writer at a time create an object in a store without conditional writes, which is refused without them. */
  readonly claims?: WriteClaims | undefined;
  /** Tells who this is, where claims are those of one process: see `declareSoleWriter`. */
  readonly soleWriter?: (() => Promise<string>) | undefined;
}

/** What S3 takes, in UTF-8. */
const maxKeyBytes = 1024;
const defaultPartBytes = 16 * 1024 * 1024;
/** An upload takes minutes; one that is older belongs to a process that ended. */
const uploadLifetimeMs = 24 * 3_600_000;

export interface S3BlobStore extends BlobStore {
  /** Finds out whether it can be used; what a bucket that has no write-once, or refuses, fails with is an `isRefusal`. */
  prepare(): Promise<void>;
  /** A URL that gives an object to whoever has it, for so long. Nobody is asked whether there is such an object. */
  signedUrl(key: BlobKey, lifetimeSeconds: number): Promise<string>;
}

/**
 * Blobs as objects of a bucket: under `modules/`, what was set aside under `quarantine/`, probes under `probe/`. Any number of
 * processes may use it. Nothing is asked of it before it is used.
 */
export function createS3BlobStore(options: S3BlobStoreOptions): S3BlobStore {
  return new S3Store(options);
}

/**
 * The same, prepared. A bucket that cannot be reached now is told as an event and used when it can; one in which nothing decides
 * who was first (see `S3Writes`) is refused with `storage_failed`.
 */
export async function openS3BlobStore({
  events,
  ...options
}: S3BlobStoreOptions & { readonly events: Events }): Promise<BlobStore> {
  const store = createS3BlobStore(options);
  try {
    await store.prepare();
  } catch (error) {
    if (!isSluiceError(error, "storage_failed") || error.details["permanent"] === true) {
      await store.close();
      throw error;
    }
    tellFailure(events, store.name, error);
  }
  return store;
}

class S3Store implements S3BlobStore {
  readonly name: string;
  readonly #bucket: S3Bucket;
  readonly #writes: S3Writes;
  readonly #clock: Clock;
  readonly #soleWriter: S3BlobStoreOptions["soleWriter"];
  #isDeclared = false;

  constructor(options: S3BlobStoreOptions) {
    this.#bucket = new S3Bucket(options);
    const { partBytes = defaultPartBytes, clock, claims } = options;
    this.#writes = new S3Writes({ bucket: this.#bucket, partBytes, clock, claims });
    this.#clock = clock;
    this.#soleWriter = options.soleWriter;
    this.name = this.#bucket.url;
  }

  prepare(): Promise<void> {
    return this.#attempt("write", "", async () => {
      await this.#declareWriter();
      const abortBefore = new Date(this.#clock.now() - uploadLifetimeMs);
      await this.#writes.abortOldUploads(this.#objectKey(""), abortBefore);
    });
  }

  async signedUrl(key: BlobKey, lifetimeSeconds: number): Promise<string> {
    checkKey(key);
    return this.#attempt("sign a URL of", key, () => this.#bucket.signedUrl(this.#objectKey(key), lifetimeSeconds));
  }

  async stat(key: BlobKey): Promise<BlobStat | undefined> {
    checkKey(key);
    return this.#attempt("read", key, async () => {
      const found = await this.#head(key);
      if (found === undefined) return undefined;
      return { size: found.ContentLength ?? 0, revision: revisionOf(found), sha256: writtenSha256(found.Metadata) };
    });
  }

  async get(key: BlobKey): Promise<Blob | undefined> {
    checkKey(key);
    return this.#attempt("read", key, () => this.#open(key));
  }

  async create(key: BlobKey, content: BlobContent): Promise<"created" | "exists"> {
    checkKey(key);
    return this.#attempt("write", key, async () => {
      this.#refuseTooLong(key);
      if ((await this.#head(key)) !== undefined) return "exists";
      await this.#declareWriter();
      const outcome = await this.#writes.create(this.#objectKey(key), content);
      if (outcome === "created" && "file" in content) await rm(content.file, { force: true });
      return outcome;
    });
  }

  async replace(key: BlobKey, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    await this.#attempt("write", key, async () => {
      this.#refuseTooLong(key);
      await this.#writes.replace(this.#objectKey(key), bytes);
    });
  }

  async delete(key: BlobKey): Promise<boolean> {
    checkKey(key);
    return this.#attempt("delete", key, async () => {
      if ((await this.#head(key)) === undefined) return false;
      await this.#bucket.delete(this.#objectKey(key));
      return true;
    });
  }

  async setAside(key: BlobKey, revision?: string): Promise<boolean> {
    checkKey(key);
    return this.#attempt("set aside", key, async () => {
      const found = await this.#head(key);
      if (found === undefined || (revision !== undefined && revisionOf(found) !== revision)) return false;
      return this.#moveToQuarantine(key, found.ETag);
    });
  }

  async *list(prefix: string): AsyncGenerator<BlobKey> {
    checkPrefix(prefix);
    const root = this.#objectKey("");
    const below = prefix === "" ? root : `${root}${prefix}/`;
    try {
      for await (const { objectKey } of listObjects(this.#bucket, below)) yield objectKey.slice(root.length);
    } catch (error) {
      throw s3Error("list", this.#urlOf(prefix), error);
    }
  }

  async check(): Promise<void> {
    await this.#attempt("write", "", async () => {
      await this.#writes.writeOnce();
      const probe = this.#bucket.keyOf("probe", randomUUID());
      await this.#writes.replace(probe, Buffer.from("probe"));
      await this.#bucket.delete(probe);
    });
  }

  async close(): Promise<void> {
    this.#bucket.close();
  }

  /** Until it worked once: where the bucket was away at the start, before the first file. */
  async #declareWriter(): Promise<void> {
    if ((await this.#writes.writeOnce()) !== "claims" || this.#soleWriter === undefined || this.#isDeclared) return;
    await declareSoleWriter(this.#bucket, await this.#soleWriter());
    this.#isDeclared = true;
  }

  async #open(key: BlobKey): Promise<Blob | undefined> {
    if (this.#isTooLong(key)) return undefined;
    return openObject(this.#bucket, { objectKey: this.#objectKey(key), key });
  }

  /** The copy may fail, for want of space or permission: what is broken must leave the store all the same. */
  async #moveToQuarantine(key: BlobKey, etag: string | undefined): Promise<boolean> {
    const from = this.#objectKey(key);
    const time = new Date().toISOString().replaceAll(":", "-");
    const to = this.#bucket.keyOf("quarantine", `${time}-${randomUUID().slice(0, 6)}`, key);
    const copy = {
      Bucket: this.#bucket.name,
      Key: to,
      CopySource: `${this.#bucket.name}/${from.split("/").map(encodeURIComponent).join("/")}`,
      ...(etag !== undefined && { CopySourceIfMatch: etag }),
    };
    try {
      await this.#bucket.call((client) => client.send(new CopyObjectCommand(copy)));
    } catch (error) {
      // Somebody else took it, or put another one there.
      if ([404, 412].includes(statusOf(error) ?? 0)) return false;
    }
    return this.#deleteThis(from, etag);
  }

  async #deleteThis(objectKey: string, etag: string | undefined): Promise<boolean> {
    try {
      await this.#bucket.delete(objectKey, etag);
      return true;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404 || status === 412) return false;
      if (status !== 501) throw error;
      await this.#bucket.delete(objectKey);
      return true;
    }
  }

  async #head(key: BlobKey): Promise<ObjectFacts | undefined> {
    return this.#isTooLong(key) ? undefined : this.#bucket.head(this.#objectKey(key));
  }

  #objectKey(key: BlobKey): string {
    return `${this.#bucket.keyOf("modules")}/${key}`;
  }

  #isTooLong(key: BlobKey): boolean {
    return Buffer.byteLength(this.#objectKey(key)) > maxKeyBytes;
  }

  #refuseTooLong(key: BlobKey): void {
    if (!this.#isTooLong(key)) return;
    throw new SluiceError("storage_failed", `${key} has a longer name than the ${maxKeyBytes} bytes that S3 takes`, {
      details: { operation: "write", refused: "key" },
    });
  }

  async #attempt<T>(operation: string, key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(operation, this.#urlOf(key), error);
    }
  }

  #urlOf(key: string): string {
    return key === "" ? this.name : `${this.name}/${key}`;
  }
}
