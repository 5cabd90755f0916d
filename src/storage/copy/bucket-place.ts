import type { Blob } from "../../core/ports.ts";
import { S3Bucket, type S3BucketOptions } from "../blob/s3-bucket.ts";
import { s3Error } from "../blob/s3-error.ts";
import { listObjects, openObject } from "../blob/s3-reads.ts";
import type { Place, PlacedFile } from "./place.ts";

/** A bucket of Sluice, of Athens, or any with modules below the prefix in a layout that `requestAt` knows. It is enough to be allowed to list and get. */
export async function openBucketPlace(options: S3BucketOptions): Promise<Place> {
  const bucket = new S3Bucket(options);
  const root = await attempt("list", bucket.url, () => rootOf(bucket));
  return {
    name: bucket.url,
    list: () => listBelow(bucket, root),
    open: (name) =>
      attempt("read", `${bucket.url}/${name}`, (): Promise<Blob | undefined> =>
        openObject(bucket, { objectKey: `${root}${name}`, key: name }),
      ),
    facts: () => undefined,
    close: async () => bucket.close(),
  };
}

/** A host has a dot in its name, so `modules` is no module. */
async function rootOf(bucket: S3Bucket): Promise<string> {
  const ours = `${bucket.keyOf("modules")}/`;
  for await (const _ of listObjects(bucket, ours)) return ours;
  const prefix = bucket.keyOf();
  return prefix === "" ? "" : `${prefix}/`;
}

async function* listBelow(bucket: S3Bucket, root: string): AsyncGenerator<PlacedFile> {
  try {
    for await (const { objectKey, size } of listObjects(bucket, root)) {
      yield { name: objectKey.slice(root.length), size };
    }
  } catch (error) {
    throw s3Error("list", bucket.url, error);
  }
}

async function attempt<T>(operation: string, url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw s3Error(operation, url, error);
  }
}
