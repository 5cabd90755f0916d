import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import type { Clock } from "../../core/ports.ts";
import { isMissingObject, isPassing } from "./s3-error.ts";

export interface S3BucketOptions {
  readonly bucket: string;
  /** Of all objects: whole path elements without a slash at either end, or `""`. */
  readonly prefix: string;
  /** Default: what the SDK finds in the environment and its files. Other stores than AWS's take most often any. */
  readonly region?: string | undefined;
  /** Of a store that is not AWS's, such as `https://minio.example.com:9000`. */
  readonly endpoint?: string | undefined;
  /** The bucket's name is in the path instead of in the host name. */
  readonly pathStyle?: boolean | undefined;
  /** Default: the SDK's own chain (environment, shared files, SSO, web identity, container, instance). */
  readonly credentials?: S3ClientConfig["credentials"];
  /** The way out, of `createSdkHandler`. */
  readonly requestHandler: NonNullable<S3ClientConfig["requestHandler"]>;
  readonly clock: Clock;
  /** Times a request is sent before it counts as failed. Default 4. */
  readonly attempts?: number | undefined;
}

const firstDelayMs = 100;

const nothing = (): void => undefined;
/** Without a logger the SDK writes to the console. */
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

/** One bucket: every request sent again while it makes sense. Errors are those of the SDK and of the request handler. */
export class S3Bucket {
  readonly name: string;
  /** Such as `s3://bucket/prefix`, without a slash at its end. */
  readonly url: string;
  readonly #options: S3BucketOptions;
  readonly #client: S3Client;
  #isClosed = false;

  constructor(options: S3BucketOptions) {
    const { bucket, prefix, region, endpoint, credentials } = options;
    this.#options = options;
    this.name = bucket;
    this.url = `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}`;
    this.#client = new S3Client({
      requestHandler: options.requestHandler,
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials !== undefined && { credentials }),
      forcePathStyle: options.pathStyle ?? false,
      maxAttempts: 1,
      logger: silent,
      // Other stores than AWS's do not know them; the module store checks every byte against its own hash.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      expectContinueHeader: false,
    });
  }

  /** The whole key of an object, given by its path elements. */
  keyOf(...elements: readonly string[]): string {
    return [this.#options.prefix, ...elements].filter((element) => element !== "").join("/");
  }

  /** `work` is called again after a failure that may pass. */
  async call<T>(work: (client: S3Client) => Promise<T>): Promise<T> {
    const { clock, attempts = 4 } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(this.#client);
      } catch (error) {
        if (attempt >= attempts || this.#isClosed || !isPassing(error)) throw error;
        await clock.sleep(firstDelayMs * 2 ** (attempt - 1) * (0.5 + Math.random()));
      }
    }
  }

  async head(key: string): Promise<HeadObjectCommandOutput | undefined> {
    return ifFound(this.call((client) => client.send(new HeadObjectCommand({ Bucket: this.name, Key: key }))));
  }

  /** Bytes `start` to `end` (exclusive) of the object that has this ETag still. */
  async getPart(
    key: string,
    { etag, start, end }: { readonly etag: string; readonly start: number; readonly end: number },
  ): Promise<GetObjectCommandOutput> {
    const range = `bytes=${start}-${end - 1}`;
    const part = { Bucket: this.name, Key: key, IfMatch: etag, Range: range };
    const answer = await this.call((client) => client.send(new GetObjectCommand(part)));
    if (answer.ContentRange?.startsWith(`bytes ${start}-`) === true) return answer;
    throw new Error(`asked for ${range}, it sent ${JSON.stringify(answer.ContentRange ?? "everything")}`);
  }

  /** A URL that gives this object to whoever has it, for so long. */
  async signedUrl(key: string, lifetimeSeconds: number): Promise<string> {
    // Most have no use for it.
    const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner");
    const object = new GetObjectCommand({ Bucket: this.name, Key: key, ResponseContentType: "application/zip" });
    return getSignedUrl(this.#client, object, { expiresIn: lifetimeSeconds });
  }

  /** With `etag`, only the object that has it, where the store knows such conditions. */
  async delete(key: string, etag?: string): Promise<void> {
    const object = { Bucket: this.name, Key: key, ...(etag !== undefined && { IfMatch: etag }) };
    await this.call((client) => client.send(new DeleteObjectCommand(object)));
  }

  close(): void {
    this.#isClosed = true;
    this.#client.destroy();
  }
}

export async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isMissingObject(error)) return undefined;
    throw error;
  }
}
