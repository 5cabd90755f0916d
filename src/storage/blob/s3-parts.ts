import type { FileHandle } from "node:fs/promises";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { S3Bucket } from "./s3-bucket.ts";

/** An upload in parts, which is no object before it is completed. */
export interface Upload {
  readonly key: string;
  readonly uploadId: string;
}

const partsAtOnce = 3;

/** Uploads in parts, to one bucket. */
export class S3Parts {
  readonly #bucket: S3Bucket;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  async begin(key: string, metadata: Record<string, string>): Promise<Upload> {
    const upload = { Bucket: this.#bucket.name, Key: key, Metadata: metadata };
    const { UploadId: uploadId } = await this.#bucket.call((client) =>
      client.send(new CreateMultipartUploadCommand(upload)),
    );
    if (uploadId === undefined) throw new Error("the store began an upload without an ID");
    return { key, uploadId };
  }

  /** All of the file, in parts of `partBytes`. */
  async sendFile(
    upload: Upload,
    { handle, size, partBytes }: { readonly handle: FileHandle; readonly size: number; readonly partBytes: number },
  ): Promise<CompletedPart[]> {
    const parts: CompletedPart[] = [];
    const offsets = Array.from({ length: Math.ceil(size / partBytes) }, (_, index) => index * partBytes);
    const waiting = offsets.entries();
    const work = async (): Promise<void> => {
      for (const [index, offset] of waiting) {
        const bytes = await readPart(handle, offset, Math.min(partBytes, size - offset));
        parts[index] = await this.send(upload, { number: index + 1, bytes });
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: partsAtOnce }, work));
    for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
    return parts;
  }

  /** Counted from 1. */
  async send(
    { key, uploadId }: Upload,
    { number, bytes }: { readonly number: number; readonly bytes: Uint8Array },
  ): Promise<CompletedPart> {
    const request = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId, PartNumber: number, Body: bytes };
    const { ETag } = await this.#bucket.call((client) => client.send(new UploadPartCommand(request)));
    return { PartNumber: number, ...(ETag !== undefined && { ETag }) };
  }

  /** What makes an object of it. */
  completion(
    { key, uploadId }: Upload,
    parts: CompletedPart[],
    condition: { readonly IfNoneMatch?: "*" },
  ): CompleteMultipartUploadCommand {
    const request = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId, MultipartUpload: { Parts: parts } };
    return new CompleteMultipartUploadCommand({ ...request, ...condition });
  }

  async abort({ key, uploadId }: Upload): Promise<void> {
    const upload = { Bucket: this.#bucket.name, Key: key, UploadId: uploadId };
    await this.#bucket.call((client) => client.send(new AbortMultipartUploadCommand(upload)));
  }

  /** Ends those that were begun before `time` and never completed, whoever began them: their parts cost space. */
  async abortOld(prefix: string, time: Date): Promise<void> {
    const answer = await this.#bucket.call((client) =>
      client.send(new ListMultipartUploadsCommand({ Bucket: this.#bucket.name, Prefix: prefix })),
    );
    for (const { Key: key, UploadId: uploadId, Initiated: begun } of answer.Uploads ?? []) {
      if (key !== undefined && uploadId !== undefined && begun !== undefined && begun < time) {
        await this.abort({ key, uploadId });
      }
    }
  }
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
