import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import type { Events } from "../../core/events.ts";
import type { BlobStore, ZipVerifier } from "../../core/ports.ts";
import type { LocalStore } from "../local-store.ts";
import { storageError } from "../storage-error.ts";
import { ZipHashes } from "../zip-hashes.ts";
import { checkStored } from "./check-stored.ts";

/**
 * A bucket with what a data folder in front of it knows of its files. Of others nothing is recorded: the bucket may have much more than this
 * node will ever need.
 */
export function bucketBehind(local: LocalStore, bucket: BlobStore, events: Events): LocalStore {
  return {
    ...local,
    blobs: bucket,
    zipHashes: new ZipHashes(bucket, events),
    facts: { adopt: (key, facts) => Promise.resolve({ ...facts, key, source: "adopted", firstSeenAt: 0 }) },
  };
}

/** Puts a file that the bucket lost back from the data folder, where that has it and it is sound. Answers whether it stands there now. */
export async function refill(
  request: FileRequest,
  {
    local,
    bucket,
    verifier,
  }: { readonly local: LocalStore; readonly bucket: LocalStore; readonly verifier: ZipVerifier },
): Promise<boolean> {
  const key = blobKey(request);
  const found = await checkStored(request, { store: local, verifier, spend: () => Promise.resolve() });
  const blob = found.state === "sound" ? await local.blobs.get(key) : undefined;
  if (blob === undefined) return false;
  const file = await local.stagingFile();
  try {
    await pipeline(blob.stream(), createWriteStream(file));
    await bucket.blobs.create(key, { file, size: blob.size });
  } catch (error) {
    throw storageError("copy", key, error);
  } finally {
    await rm(file, { force: true });
  }
  const facts = await local.ledger.facts(key);
  if (request.kind === "zip" && facts?.h1 !== undefined) await bucket.zipHashes.write(key, facts.h1);
  return true;
}
