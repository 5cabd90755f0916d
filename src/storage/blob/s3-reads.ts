import { buffer } from "node:stream/consumers";
import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { Blob, BlobKey } from "../../core/ports.ts";
import { bytesBlob } from "./bytes-blob.ts";
import { bodyOf, S3Blob } from "./s3-blob.ts";
import { ifFound, type S3Bucket } from "./s3-bucket.ts";

// Errors are those of the SDK and of the request handler, but those of a body that is read.

/** What S3 answers about an object. */
export interface ObjectFacts {
  readonly ContentLength?: number | undefined;
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
}

export interface ListedObject {
  /** The whole key. */
  readonly objectKey: string;
  readonly size: number;
}

/** Up to this size an object is read when it is opened. */
const wholeReadBytes = 1024 * 1024;

/** All objects whose keys begin with `prefix`, in byte order of keys. */
export async function* listObjects(bucket: S3Bucket, prefix: string): AsyncGenerator<ListedObject> {
  let page: string | undefined;
  do {
    const request = {
      Bucket: bucket.name,
      Prefix: prefix,
      ...(page !== undefined && { ContinuationToken: page }),
    };
    const answer = await bucket.call((client) => client.send(new ListObjectsV2Command(request)));
    for (const { Key: objectKey = "/", Size: size = 0 } of answer.Contents ?? []) {
      // A name that ends in a slash is what some tools make for an empty folder.
      if (!objectKey.endsWith("/")) yield { objectKey, size };
    }
    page = answer.NextContinuationToken;
  } while (page !== undefined);
}

/** `key` is how the caller names it, for errors of the body. */
export function openObject(
  bucket: S3Bucket,
  { objectKey, key }: { readonly objectKey: string; readonly key: BlobKey },
): Promise<Blob | undefined> {
  return ifFound(
    bucket.call(async (client) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket.name, Key: objectKey }));
      const body = bodyOf(answer.Body);
      const size = answer.ContentLength ?? 0;
      const revision = revisionOf(answer);
      if (size <= wholeReadBytes) return bytesBlob(await buffer(body), revision);
      return new S3Blob({ bucket, key, objectKey, size, etag: answer.ETag ?? "", revision, body });
    }),
  );
}

/** Written anew, an object has another time; changed, another ETag. */
export function revisionOf({ ETag: etag = "", ContentLength: size = 0, LastModified: time }: ObjectFacts): string {
  return `${etag}-${size}-${time?.getTime() ?? 0}`;
}
