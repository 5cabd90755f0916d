import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { SluiceError } from "../../core/errors.ts";
import { ifFound, type S3Bucket } from "./s3-bucket.ts";

/**
 * Says in the bucket, in an object `writer` below its prefix, who alone writes there. Fails with `storage_failed` when somebody
 * else has said so before. It finds a mistake in a configuration; it is no lock.
 */
export async function declareSoleWriter(bucket: S3Bucket, storeId: string): Promise<void> {
  const object = { Bucket: bucket.name, Key: bucket.keyOf("writer") };
  const found = await ifFound(bucket.call((client) => client.send(new GetObjectCommand(object))));
  const other = (await found?.Body?.transformToString())?.trim();
  if (other === storeId) return;
  if (other !== undefined) throw anotherWriter(bucket, other);
  await bucket.call((client) => client.send(new PutObjectCommand({ ...object, Body: `${storeId}\n` })));
}

function anotherWriter(bucket: S3Bucket, other: string): SluiceError {
  return new SluiceError(
    "storage_failed",
    `${bucket.url}: another Sluice, whose data folder has the store-id ${other}, is the only one that writes there, as only_writer says. For several nodes set [database]; if that one is gone, delete the object ${JSON.stringify(bucket.keyOf("writer"))}`,
    { details: { operation: "write", permanent: true } },
  );
}
