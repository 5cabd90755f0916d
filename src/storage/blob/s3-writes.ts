import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { BlobContent, Clock } from "../../core/ports.ts";
import type { S3Bucket } from "./s3-bucket.ts";
import { sha256Of, sha256OfStream } from "../hashing.ts";
import { statusOf } from "./s3-error.ts";
import { S3Parts } from "./s3-parts.ts";
import { claimLifetimeMs, type WriteClaims } from "./write-claims.ts";

/**
 * What a store's conditions hold for: `parts` of uploads in parts too, `whole` of those in one request only. Where it has none,
 * `claims` decide.
 */
export type WriteOnce = "parts" | "whole" | "claims";

type Outcome = "created" | "exists";

interface Condition {
  readonly IfNoneMatch?: "*";
}

/** One request that makes the object. */
type Send = (client: S3Client, condition: Condition) => Promise<unknown>;

interface Source {
  readonly size: number;
  readonly sha256: string;
  /** Anew for each attempt. */
  readonly open: () => Uint8Array | Readable;
}

const writeIdName = "sluice-write";
const sha256Name = "sluice-sha256";
/** Several, so that a store that looks first and writes then is found out as well. */
const probeWriters = 4;
/** For the object of another writer to appear, whose claim was first. */
const otherWriterMs = 10_000;
const lookEveryMs = 100;

export interface S3WritesOptions {
  readonly bucket: S3Bucket;
  /** A larger file is sent in parts of this size. S3 takes none below 5 MiB but the last. */
  readonly partBytes: number;
  readonly clock: Clock;
  /** For a store without conditions. Without them it is refused. */
  readonly claims?: WriteClaims | undefined;
}

/**
 * Objects that are written once. Who was first is decided by the store itself, by `If-None-Match: *`: with requests that put,
 * copy, list and delete without a condition, several writers cannot agree on it, since any of them may be overwritten by one that
 * looked before and writes later. One that has conditions for `PutObject` only gets large files in one request.
 *
 * In a store without conditions, one writer at a time has the claim to an object, looks whether there is one, and sends its own.
 * Whoever has no claim waits for the object of the one that has.
 */
export class S3Writes {
  readonly #bucket: S3Bucket;
  readonly #parts: S3Parts;
  readonly #partBytes: number;
  readonly #clock: Clock;
  readonly #claims: WriteClaims | undefined;
  #writeOnce: Promise<WriteOnce> | undefined;
  #byClaims = false;

  constructor({ bucket, partBytes, clock, claims }: S3WritesOptions) {
    this.#bucket = bucket;
    this.#parts = new S3Parts(bucket);
    this.#partBytes = partBytes;
    this.#clock = clock;
    this.#claims = claims;
  }

  /** Asked once, of the store itself. Fails with `storage_failed` when nothing decides who was first. */
  writeOnce(): Promise<WriteOnce> {
    this.#writeOnce ??= this.#probe().catch((error: unknown) => {
      this.#writeOnce = undefined;
      throw error;
    });
    return this.#writeOnce;
  }

  async create(key: string, content: BlobContent): Promise<Outcome> {
    const writeOnce = await this.writeOnce();
    if ("bytes" in content) return this.#createWhole(key, await sourceOf(content.bytes));
    const handle = await open(content.file, "r");
    try {
      const { size } = await handle.stat();
      if (size !== content.size) throw new Error(`${content.file} has ${size} bytes instead of ${content.size}`);
      if (size <= this.#partBytes) {
        return await this.#createWhole(key, await sourceOf(await readFile(handle), content.sha256));
      }
      const open = () => createReadStream(content.file);
      const sha256 = content.sha256 ?? (await sha256OfStream(open()));
      if (writeOnce !== "whole") return await this.#createFromParts(key, handle, { size, sha256 });
      return await this.#createWhole(key, { size, sha256, open });
    } finally {
      await handle.close();
    }
  }

  /** See `S3Parts.abortOld`. */
  abortOldUploads(prefix: string, time: Date): Promise<void> {
    return this.#parts.abortOld(prefix, time);
  }

  async replace(key: string, bytes: Uint8Array): Promise<void> {
    const object = { Bucket: this.#bucket.name, Key: key, Body: bytes };
    await this.#bucket.call((client) => client.send(new PutObjectCommand(object)));
  }

  async #createWhole(key: string, { size, sha256, open }: Source): Promise<Outcome> {
    const writer = randomUUID();
    const metadata = { [writeIdName]: writer, [sha256Name]: sha256 };
    const object = { Bucket: this.#bucket.name, Key: key, ContentLength: size, Metadata: metadata };
    return this.#writeTheFirst(key, writer, (client, condition) =>
      client.send(new PutObjectCommand({ ...object, Body: open(), ...condition })),
    );
  }

  async #createFromParts(key: string, handle: FileHandle, { size, sha256 }: Omit<Source, "open">): Promise<Outcome> {
    const writer = randomUUID();
    const upload = await this.#parts.begin(key, { [writeIdName]: writer, [sha256Name]: sha256 });
    let outcome: Outcome | undefined;
    try {
      const parts = await this.#parts.sendFile(upload, { handle, size, partBytes: this.#partBytes });
      outcome = await this.#writeTheFirst(key, writer, (client, condition) =>
        client.send(this.#parts.completion(upload, parts, condition)),
      );
      return outcome;
    } finally {
      // It is no file yet, and the sweep at the next start finds what cannot be ended now.
      if (outcome !== "created") await this.#parts.abort(upload).catch(() => undefined);
    }
  }

  #writeTheFirst(key: string, writer: string, send: Send): Promise<Outcome> {
    return this.#byClaims ? this.#writeByClaim(key, writer, send) : this.#writeByCondition(key, writer, send);
  }

  async #writeByCondition(key: string, writer: string, send: Send): Promise<Outcome> {
    try {
      await this.#bucket.call((client) => send(client, { IfNoneMatch: "*" }));
      return "created";
    } catch (error) {
      return this.#whoWrote(key, writer, error);
    }
  }

  async #writeByClaim(key: string, writer: string, send: Send): Promise<Outcome> {
    if (this.#claims === undefined) throw this.#unconditional();
    const object = `s3://${this.#bucket.name}/${key}`;
    const isHolder = await this.#claims.claim(object, writer).catch(rethrowUndecided);
    const letGo = async (): Promise<void> => {
      // It ends by itself as well.
      if (isHolder) await this.#claims?.letGo(object, writer).catch(() => undefined);
    };
    let isThere: boolean;
    try {
      isThere = await this.#appears(key, isHolder ? 0 : otherWriterMs);
    } catch (error) {
      await letGo();
      throw error;
    }
    if (isThere) {
      await letGo();
      return "exists";
    }
    if (!isHolder) throw beingWritten(object);
    let attempts = 0;
    try {
      await this.#bucket.call((client) => {
        attempts++;
        return send(client, {});
      });
    } catch (error) {
      return this.#whoWrote(key, writer, error);
    }
    // An attempt that was given up may still arrive.
    if (attempts === 1) await letGo();
    return "created";
  }

  /** Whether there is an object by then. */
  async #appears(key: string, withinMs: number): Promise<boolean> {
    const until = this.#clock.now() + withinMs;
    for (;;) {
      if ((await this.#bucket.head(key)) !== undefined) return true;
      if (this.#clock.now() >= until) return false;
      await this.#clock.sleep(lookEveryMs);
    }
  }

  /**
   * What a refusal means: an attempt whose answer got lost makes the next one find its own object in the way (412), or its
   * upload gone (404). AWS answers 409 while others write or delete the object.
   */
  async #whoWrote(key: string, writeId: string, refusal: unknown): Promise<Outcome> {
    const status = statusOf(refusal) ?? 0;
    if (![404, 409, 412].includes(status)) throw refusal;
    const standing = await this.#bucket.head(key);
    if (standing?.Metadata?.[writeIdName] === writeId) return "created";
    if (status === 412 || (status === 409 && standing !== undefined)) return "exists";
    throw refusal;
  }

  async #probe(): Promise<WriteOnce> {
    const key = this.#bucket.keyOf("probe", randomUUID());
    const outcomes = await this.#writeAtOnce(key);
    try {
      if (outcomes?.filter((outcome) => outcome === "created").length !== 1) {
        if (this.#claims === undefined) throw this.#unconditional();
        this.#byClaims = true;
        return "claims";
      }
      return (await this.#takesConditionsOfParts(key)) ? "parts" : "whole";
    } finally {
      await this.#bucket.delete(key).catch(() => undefined);
    }
  }

  /** Undefined when the store says that it knows no conditions. */
  async #writeAtOnce(key: string): Promise<Outcome[] | undefined> {
    const source = await sourceOf(Buffer.from("probe"));
    try {
      return await Promise.all(Array.from({ length: probeWriters }, () => this.#createWhole(key, source)));
    } catch (error) {
      if (statusOf(error) === 501) return undefined;
      throw error;
    }
  }

  /** Tried on an object that is there: it must be refused. */
  async #takesConditionsOfParts(key: string): Promise<boolean> {
    const upload = await this.#parts.begin(key, {});
    try {
      const part = await this.#parts.send(upload, { number: 1, bytes: Buffer.from("probe") });
      await this.#bucket.call((client) => client.send(this.#parts.completion(upload, [part], { IfNoneMatch: "*" })));
      return false;
    } catch (error) {
      await this.#parts.abort(upload);
      if (statusOf(error) === 412) return true;
      if (statusOf(error) === 501 || statusOf(error) === 400) return false;
      throw error;
    }
  }

  #unconditional(): SluiceError {
    return new SluiceError(
      "storage_failed",
      `${this.#bucket.url}: this store does not heed If-None-Match when it writes, so that two writers could overwrite each other's files. Use one that does, such as AWS S3, MinIO or versitygw of a recent version; or set [database], which decides then; or, where this Sluice alone writes there, only_writer in [bucket]`,
      { details: { operation: "write", permanent: true } },
    );
  }
}

function beingWritten(object: string): SluiceError {
  return new SluiceError(
    "storage_failed",
    `another writer was about to create ${object}, and has not done so yet; its claim ends after ${claimLifetimeMs / 60_000} minutes`,
    { details: { operation: "write", refused: "claim" }, retryAfterSeconds: 60 },
  );
}

/** That nobody can tell who is first says nothing of the bucket. */
function rethrowUndecided(error: unknown): never {
  if (!isSluiceError(error, "storage_failed")) throw error;
  const { message, details, retryAfterSeconds } = error;
  throw new SluiceError("storage_failed", message, {
    cause: error,
    details: { ...details, refused: "claim" },
    retryAfterSeconds,
  });
}

/** Of an object that `create` wrote, as its writer had it: by the object's metadata. */
export function writtenSha256(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  return metadata?.[sha256Name];
}

async function sourceOf(bytes: Uint8Array, sha256?: string): Promise<Source> {
  return { size: bytes.length, sha256: sha256 ?? (await sha256Of(bytes)), open: () => bytes };
}
