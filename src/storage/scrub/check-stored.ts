import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { Blob, FileFacts, ZipVerifier } from "../../core/ports.ts";
import { inspect } from "../adoption.ts";
import { BrokenFile } from "../broken-file.ts";
import { refuseOtherHash, sha256OfStream } from "../hashing.ts";
import type { LocalStore } from "../local-store.ts";
import { WholeReads } from "../whole-reads.ts";

export interface CheckStoredOptions {
  readonly store: LocalStore;
  readonly verifier: ZipVerifier;
  /** Called with the bytes that were just read; whoever wants to be slow makes it wait. */
  readonly spend: (bytes: number) => Promise<void>;
}

export type StoredState =
  | { readonly state: "sound"; readonly size: number }
  /** It is not there, or not there any more. */
  | { readonly state: "gone" }
  /** `revision` is of what was read; undefined where nothing could be. */
  | { readonly state: "broken"; readonly reason: string; readonly revision: string | undefined };

/** Zips are inspected as a copy on the disk, however small. */
const wholeReads = new WholeReads({ maxFileBytes: 0, maxHeldBytes: 0 });

/**
 * Reads a stored file from its first byte to its last and compares it with what is recorded of it; a file without facts is checked as if it
 * came from a source, and recorded. Fails with `storage_failed` when the medium fails as a whole.
 */
export async function checkStored(request: FileRequest, options: CheckStoredOptions): Promise<StoredState> {
  const key = blobKey(request);
  const { store } = options;
  let blob: Blob | undefined;
  try {
    blob = await store.blobs.get(key);
    if (blob === undefined) return { state: "gone" };
    const facts = await store.ledger.facts(key);
    if (facts === undefined) await adopt(request, blob, options);
    else await compare(blob, facts, options);
    return { state: "sound", size: blob.size };
  } catch (error) {
    if (error instanceof BrokenFile) return { state: "broken", reason: error.message, revision: blob?.revision };
    // A sector that cannot be read any more is how disks lose single files.
    if (isSluiceError(error, "storage_failed") && error.details["errno"] === "EIO") {
      return { state: "broken", reason: error.message, revision: blob?.revision };
    }
    throw error;
  } finally {
    blob?.discard();
  }
}

async function compare(blob: Blob, facts: FileFacts, { spend }: CheckStoredOptions): Promise<void> {
  if (blob.size !== facts.size) throw new BrokenFile(`it has ${blob.size} bytes, recorded were ${facts.size}`);
  refuseOtherHash(await sha256OfStream(paced(blob, spend)), facts.sha256);
}

async function* paced(blob: Blob, spend: (bytes: number) => Promise<void>): AsyncGenerator<Uint8Array> {
  for await (const chunk of blob.stream() as AsyncIterable<Uint8Array>) {
    yield chunk;
    await spend(chunk.length);
  }
}

async function adopt(request: FileRequest, blob: Blob, { store, verifier, spend }: CheckStoredOptions): Promise<void> {
  const { stagingFile, facts, zipHashes } = store;
  const { sha256, h1 } = await inspect(request, blob, { verifier, stagingFile, wholeReads });
  if (request.kind === "zip" && h1 !== undefined) await zipHashes.check(blobKey(request), h1);
  const standing = await facts.adopt(blobKey(request), { size: blob.size, sha256, h1 });
  refuseOtherHash(sha256, standing.sha256);
  await spend(blob.size);
}
