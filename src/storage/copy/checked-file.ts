import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { H1 } from "../../protocol/brand.ts";
import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { Blob, BlobContent, FetchContext, NewFacts, SumVerifier, ZipVerifier } from "../../core/ports.ts";
import { inspectSmall } from "../adoption.ts";
import { BrokenFile } from "../broken-file.ts";
import { refuseOtherHash } from "../hashing.ts";
import { zipHashKey } from "../layout.ts";
import { storageError } from "../storage-error.ts";
import type { ListedFile } from "./inventory.ts";
import type { Place } from "./place.ts";
import { readH1 } from "./standing.ts";

export interface CheckOptions {
  readonly from: Place;
  readonly verifier: ZipVerifier;
  /** On the target's file system. */
  readonly stagingFile: () => Promise<string>;
  /** Compares with checksum databases. Without it that is left to the Sluice that gets the files. */
  readonly sums?: Pick<SumVerifier, "recheck"> | undefined;
  readonly context: FetchContext;
}

/** A file that is fit to be kept. */
export interface CheckedFile {
  readonly request: FileRequest;
  readonly content: BlobContent;
  readonly facts: NewFacts;
}

/** The place has the file no more, or cannot give it. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile";
}

/**
 * Reads a file and checks it as if it were adopted, and against what is known of it. A zip is copied to `stagingFile`, which is the caller's
 * to remove when it succeeds. Throws `BrokenFile`, `UnreadableFile`, or `storage_failed` when the target's disk fails.
 */
export async function readChecked(file: ListedFile<FileRequest>, options: CheckOptions): Promise<CheckedFile> {
  const { request, name } = file;
  const { from } = options;
  const blob = await fromPlace(() => from.open(name));
  if (blob === undefined) throw new UnreadableFile("it is gone since it was listed");
  const known = from.facts(blobKey(request));
  if (known !== undefined && known.size !== blob.size) {
    blob.discard();
    throw new BrokenFile(`it has ${blob.size} bytes, recorded were ${known.size}`);
  }
  const { content, sha256, h1 } =
    request.kind === "zip" ? await readZip(file, blob, options) : await readSmall(file, blob);
  if (known !== undefined) refuseOtherHash(sha256, known.sha256);
  const size = "bytes" in content ? content.bytes.length : content.size;
  const facts = { size, sha256, h1, source: known?.source ?? `copy of ${from.name}` };
  return {
    request,
    content,
    facts: h1 === undefined ? facts : { ...facts, unverified: await whyUnverified(request, h1, options) },
  };
}

interface ReadFile {
  readonly content: BlobContent;
  readonly sha256: string;
  readonly h1: H1 | undefined;
}

async function readSmall({ request }: ListedFile<FileRequest>, blob: Blob): Promise<ReadFile> {
  const { bytes, sha256, h1 } = await fromPlace(() => inspectSmall(request, blob));
  return { content: { bytes }, sha256, h1 };
}

async function readZip(
  { request, name }: ListedFile<FileRequest>,
  blob: Blob,
  options: CheckOptions,
): Promise<ReadFile> {
  const { from, verifier, stagingFile } = options;
  const file = await stagingFile();
  const content = { file, size: blob.size };
  try {
    await writeTo(file, blob);
    const { h1, sha256 } = await verifier.verify(content, request.modulePath, request.version);
    const stated = await fromPlace(async () => readH1(await from.open(zipHashKey(name))));
    if (stated !== undefined && stated !== h1) throw new BrokenFile(`its h1 is ${h1}, but its .ziphash says ${stated}`);
    return { content, sha256, h1 };
  } catch (error) {
    await rm(file, { force: true });
    if (isSluiceError(error, "integrity")) throw new BrokenFile(error.message, { cause: error });
    throw error;
  }
}

/** Errors of the blob are errors of the store already, those of the file are not. */
async function writeTo(file: string, blob: Blob): Promise<void> {
  try {
    await pipeline(blob.stream(), createWriteStream(file));
  } catch (error) {
    if (isSluiceError(error, "storage_failed")) throw new UnreadableFile(error.message, { cause: error });
    throw storageError("write", file, error);
  }
}

async function fromPlace<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (isSluiceError(error, "storage_failed")) throw new UnreadableFile(error.message, { cause: error });
    throw error;
  }
}

/** Undefined for what a checksum database confirms, or none is to be asked for. */
async function whyUnverified(
  { kind, modulePath, version }: FileRequest,
  h1: H1,
  { from, sums, context }: CheckOptions,
): Promise<string | undefined> {
  if (sums === undefined || kind === "info") return "copied";
  try {
    const verdict = await sums.recheck({ kind, modulePath, version, h1, source: from.name, isDirect: false }, context);
    return verdict.state === "unverified" ? verdict.reason : undefined;
  } catch (error) {
    if (isSluiceError(error, "integrity")) throw new BrokenFile(error.message, { cause: error });
    throw error;
  }
}
