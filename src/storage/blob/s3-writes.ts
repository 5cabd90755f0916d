import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { SluiceError } from "../../core/errors.ts";
import type { BlobContent } from "../../core/ports.ts";
import type { S3Bucket } from "./s3-bucket.ts";
import { statusOf } from "./s3-error.ts";

/** What a store's conditions hold for: `parts` of uploads in parts too, `whole` of those in one request only. */
export type WriteOnce = "parts" | "whole";

interface Source {
  readonly size: number;
  /** Anew for each attempt. */
  readonly open: () => Uint8Array | Readable;
}

const writeIdName = "sluice-write";
const partsAtOnce = 3;
/** Several, so that a store that looks first and writes then is found out as well. */
const probeWriters = 4;

export interface S3WritesOptions {
  readonly bucket: S3Bucket;
  /** A larger file is sent in parts of this size. S3 takes none below 5 MiB but the last. */
  readonly partBytes: number;
}

/**
 * Objects that are written once. Who was first is decided by the store itself, by `If-None-Match: *`: with requests that put,
 * copy, list and delete without a condition, several writers cannot agree on it, since any of them may be overwritten by one that
 * looked before and writes later. So a store without conditions is refused. One that has them for `PutObject` only gets large
 * files in one request.
 */
export class S3Writes {
  readonly #bucket: S3Bucket;
  readonly #partBytes: number;
  #writeOnce: Promise<WriteOnce> | undefined;

  constructor({ bucket, partBytes }: S3WritesOptions) {
    this.#bucket = bucket;
    this.#partBytes = partBytes;
  }

  /** Asked once, of the store itself. Fails with `storage_failed` when it has no conditions. */
  writeOnce(): Promise<WriteOnce> {
    this.#writeOnce ??= this.#probe().catch((error: unknown) => {
      this.#writeOnce = undefined;
      throw error;
    });
    return this.#writeOnce;
  }

  async create(key: string, content: BlobContent): Promise<"created" | "exists"> {
    const writeOnce = await this.writeOnce();
    if ("bytes" in content) return this.#createWhole(key, sourceOf(content.bytes));
    const handle = await open(content.file, "r");
    try {
      const { size } = await handle.stat();
      if (size !== content.size) throw new Error(`${content.file} has ${size} bytes instead of ${content.size}`);
      if (size <= this.#partBytes) return await this.#createWhole(key, sourceOf(await readFile(handle)));
      if (writeOnce === "parts") return await this.#createFromParts(key, handle, size);
      return await this.#createWhole(key, { size, open: () => createReadStream(content.file) });
    } finally {
      await handle.close();
    }
  }

  async replace(key: string, bytes: Uint8Array): Promise<void> {
    const object = { Bucket: this.#bucket.name, Key: key, Body: bytes };
    await this.#bucket.call((client) => client.send(new PutObjectCommand(object)));
  }

  /** Ends uploads in parts that were begun before `time` and never completed, whoever began them: their parts cost space. */
  async abortUploads(prefix: string, time: Date): Promise<void> {
    const answer = await this.#bucket.call((client) =>
      client.send(new ListMultipartUploadsCommand({ Bucket: this.#bucket.name, Prefix: prefix })),
    );
    for (const { Key: key, UploadId: uploadId, Initiated: begun } of answer.Uploads ?? []) {
      if (key !== undefined && uploadId !== undefined && begun !== undefined && begun < time) {
        await this.#abort(key, uploadId);
      }
    }
  }

  async #createWhole(key: string, { size, open }: Source): Promise<"created" | "exists"> {
    const writeId = randomUUID();
    const object = { Bucket: this.#bucket.name, Key: key, ContentLength: size, Metadata: { [writeIdName]: writeId } };
    try {
      await this.#bucket.call((client) =>
        client.send(new PutObjectCommand({ ...object, Body: open(), IfNoneMatch: "*" })),
      );
      return "created";
    } catch (error) {
      return this.#whoWrote(key, writeId, error);
    }
  }

  async #createFromParts(key: string, file: FileHandle, size: number): Promise<"created" | "exists"> {
    const writeId = randomUUID();
    const uploadId = await this.#begin(key, writeId);
    try {
      const parts = await this.#sendParts({ key, uploadId, file, size });
      await this.#complete(key, uploadId, parts);
      return "created";
    } catch (error) {
      // It is no file yet, and the sweep at the next start finds what cannot be ended now.
      await this.#abort(key, uploadId).catch(() => undefined);
      return this.#whoWrote(key, writeId, error);
    }
  }

  async #begin(key: string, writeId: string): Promise<string> {
    const upload = { Bucket: this.#bucket.name, Key: key, Metadata: { [writeIdName]: writeId } };
    const { UploadId } = await this.#bucket.call((client) => client.send(new CreateMultipartUploadCommand(upload)));
    if (UploadId === undefined) throw new Error("the store began an upload without an ID");
    return UploadId;
  }

  async #sendParts(upload: {
    readonly key: string;
    readonly uploadId: string;
    readonly file: FileHandle;
    readonly size: number;
  }): Promise<CompletedPart[]> {
    const { key, uploadId, file, size } = upload;
    const parts: CompletedPart[] = [];
    const offsets = Array.from({ length: Math.ceil(size / this.#partBytes) }, (_, index) => index * this.#partBytes);
    const waiting = offsets.entries();
    const work = async (): Promise<void> => {
      for (const [index, offset] of waiting) {
        const bytes = await readPart(file, offset, Math.min(this.#partBytes, size - offset));
        parts[index] = await this.#sendPart({ key, uploadId, number: index + 1, bytes });
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: partsAtOnce }, work));
    for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
    return parts;
  }

  async #sendPart(part: {
    readonly key: string;
    readonly uploadId: string;
    readonly number: number;
    readonly bytes: Uint8Array;
  }): Promise<CompletedPart> {
    const { key, uploadId, number, bytes } = part;
    const request = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId, PartNumber: number, Body: bytes };
    const { ETag } = await this.#bucket.call((client) => client.send(new UploadPartCommand(request)));
    return { PartNumber: number, ...(ETag !== undefined && { ETag }) };
  }

  async #complete(key: string, uploadId: string, parts: CompletedPart[]): Promise<void> {
    const request = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId, MultipartUpload: { Parts: parts } };
    await this.#bucket.call((client) =>
      client.send(new CompleteMultipartUploadCommand({ ...request, IfNoneMatch: "*" })),
    );
  }

  async #abort(key: string, uploadId: string): Promise<void> {
    const upload = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId };
    await this.#bucket.call((client) => client.send(new AbortMultipartUploadCommand(upload)));
  }

  /**
   * What a refusal means: an attempt whose answer got lost makes the next one find its own object in the way (412), or its
   * upload gone (404). AWS answers 409 while others write or delete the object.
   */
  async #whoWrote(key: string, writeId: string, refusal: unknown): Promise<"created" | "exists"> {
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
      if (outcomes.filter((outcome) => outcome === "created").length !== 1) throw this.#unconditional();
      return (await this.#takesConditionsOfParts(key)) ? "parts" : "whole";
    } finally {
      await this.#bucket.delete(key).catch(() => undefined);
    }
  }

  async #writeAtOnce(key: string): Promise<("created" | "exists")[]> {
    const source = sourceOf(Buffer.from("probe"));
    try {
      return await Promise.all(Array.from({ length: probeWriters }, () => this.#createWhole(key, source)));
    } catch (error) {
      throw statusOf(error) === 501 ? this.#unconditional(error) : error;
    }
  }

  /** Tried on an object that is there: it must be refused. */
  async #takesConditionsOfParts(key: string): Promise<boolean> {
    const uploadId = await this.#begin(key, randomUUID());
    try {
      const part = await this.#sendPart({ key, uploadId, number: 1, bytes: Buffer.from("probe") });
      await this.#complete(key, uploadId, [part]);
      return false;
    } catch (error) {
      await this.#abort(key, uploadId);
      if (statusOf(error) === 412) return true;
      if (statusOf(error) === 501 || statusOf(error) === 400) return false;
      throw error;
    }
  }

  #unconditional(cause?: unknown): SluiceError {
    return new SluiceError(
      "storage_failed",
      `${this.#bucket.url}: this store does not heed If-None-Match when it writes, so that two writers could overwrite each other's files. Use one that does, such as AWS S3, MinIO or versitygw of a recent version`,
      { cause, details: { operation: "write", permanent: true } },
    );
  }
}

function sourceOf(bytes: Uint8Array): Source {
  return { size: bytes.length, open: () => bytes };
}

async function readPart(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new Error("the file was cut while it was sent");
    at += bytesRead;
  }
  return bytes;
}
