import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { Blob, BlobKey, ByteRange } from "../../core/ports.ts";
import type { S3Bucket } from "./s3-bucket.ts";
import { s3Error } from "./s3-error.ts";

/** How often in a row a body may break off without a byte. */
const maxBarrenReads = 3;

export interface OpenObject {
  readonly bucket: S3Bucket;
  /** As the caller of the store names it, for errors. */
  readonly key: BlobKey;
  readonly objectKey: string;
  readonly size: number;
  readonly etag: string;
  readonly revision: string;
  /** All of it, not read yet. */
  readonly body: Readable;
}

/** A blob whose answer has begun. A part of it is asked for anew, and only of the object that was opened. */
export class S3Blob implements Blob {
  readonly size: number;
  readonly revision: string;
  readonly #object: OpenObject;
  #isTaken = false;

  constructor(object: OpenObject) {
    this.#object = object;
    this.size = object.size;
    this.revision = object.revision;
  }

  stream(range?: ByteRange): Readable {
    this.#take();
    const { size, body } = this.#object;
    const start = Math.min(range?.start ?? 0, size);
    const end = Math.min(range?.end ?? size, size);
    const isWhole = start === 0 && end === size;
    if (!isWhole) body.destroy();
    return new ObjectStream(this.#object, { start, end, body: isWhole ? body : undefined });
  }

  async read(): Promise<Uint8Array> {
    return buffer(this.stream());
  }

  discard(): void {
    if (!this.#isTaken) this.#object.body.destroy();
    this.#isTaken = true;
  }

  #take(): void {
    if (this.#isTaken) throw new Error(`${this.#object.key} was read or discarded already`);
    this.#isTaken = true;
  }
}

/** Goes on where a body broke off, as long as the object is the same. */
class ObjectStream extends Readable {
  readonly #object: OpenObject;
  readonly #end: number;
  #at: number;
  #body: Readable | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #barrenReads = 0;

  constructor(object: OpenObject, part: { readonly start: number; readonly end: number; body: Readable | undefined }) {
    super();
    this.#object = object;
    this.#at = part.start;
    this.#end = part.end;
    this.#body = part.body;
  }

  override _read(): void {
    this.#next().then(
      (chunk) => this.push(chunk),
      (error: unknown) => this.destroy(this.#failure(error)),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#body?.destroy();
    callback(error);
  }

  async #next(): Promise<Uint8Array | null> {
    while (this.#at < this.#end) {
      const chunks = this.#chunks ?? (await this.#open());
      try {
        const { value, done } = await chunks.next();
        if (done === true) throw new Error("it ended too early");
        this.#at += value.length;
        this.#barrenReads = 0;
        return value;
      } catch (error) {
        if (this.destroyed || ++this.#barrenReads > maxBarrenReads) throw error;
        this.#body?.destroy();
        this.#body = undefined;
        this.#chunks = undefined;
      }
    }
    return null;
  }

  async #open(): Promise<AsyncIterator<Uint8Array>> {
    const { bucket, objectKey, etag } = this.#object;
    this.#body ??= bodyOf((await bucket.getPart(objectKey, { etag, start: this.#at, end: this.#end })).Body);
    if (this.destroyed) this.#body.destroy();
    const chunks: AsyncIterator<Uint8Array> = this.#body[Symbol.asyncIterator]();
    this.#chunks = chunks;
    return chunks;
  }

  #failure(error: unknown): Error {
    return s3Error("read", `${this.#object.bucket.url}/${this.#object.key}`, error);
  }
}

/** On Node the SDK's body is the handler's own stream. */
export function bodyOf(body: unknown): Readable {
  if (body instanceof Readable) return body;
  throw new TypeError("the request handler gave no stream");
}
