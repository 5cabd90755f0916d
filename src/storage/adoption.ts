import { rm } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { H1 } from "../protocol/brand.ts";
import { ProtocolError } from "../protocol/error.ts";
import { type FileRequest, maxInfoBytes, parseInfo } from "../protocol/goproxy/index.ts";
import { parseModFile, scanModulePath } from "../protocol/modfile/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { isSluiceError } from "../core/errors.ts";
import type { Blob, BlobContent, ZipVerifier } from "../core/ports.ts";
import { BrokenFile } from "./broken-file.ts";
import { sha256Of } from "./hashing.ts";
import type { WholeReads } from "./whole-reads.ts";

/** SPEC §5.3. */
const maxGoModBytes = 16 * 1024 * 1024;

export interface AdoptionOptions {
  readonly verifier: ZipVerifier;
  readonly stagingFile: () => Promise<string>;
  /** Zips that it reads are checked in memory, others as a copy in the staging folder. */
  readonly wholeReads: WholeReads;
}

/** What a file without facts turned out to be. */
export interface AdoptedFile {
  readonly sha256: string;
  readonly h1: H1 | undefined;
  /** When it was read whole. */
  readonly bytes: Uint8Array | undefined;
}

/** Checks a file that nothing is known of as it would be checked coming from a source. Throws `BrokenFile`. */
export async function inspect(request: FileRequest, blob: Blob, options: AdoptionOptions): Promise<AdoptedFile> {
  return request.kind === "zip" ? inspectZip(request, blob, options) : inspectSmall(request, blob);
}

/** The same for an `.info` or a go.mod. */
export async function inspectSmall(
  request: FileRequest,
  blob: Blob,
): Promise<AdoptedFile & { readonly bytes: Uint8Array }> {
  const maxBytes = request.kind === "info" ? maxInfoBytes : maxGoModBytes;
  if (blob.size > maxBytes) throw new BrokenFile(`it has ${blob.size} bytes, more than a .${request.kind} may have`);
  const bytes = await blob.read();
  try {
    if (request.kind === "info") parseInfo(bytes, { ...request, kind: "info" });
    else checkGoMod(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) throw new BrokenFile(error.message, { cause: error });
    throw error;
  }
  return { sha256: await sha256Of(bytes), h1: request.kind === "mod" ? hashGoMod(bytes) : undefined, bytes };
}

/**
 * Old releases have go.mod files that today's parser refuses, and go keeps them, so only what neither parses nor names a module
 * is refused, and what a crash leaves: nothing, or zeros.
 */
function checkGoMod(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new BrokenFile("it is empty");
  if (bytes.includes(0)) throw new BrokenFile("it has zero bytes, as a write that was cut leaves them");
  try {
    parseModFile(bytes, { lax: true });
  } catch (error) {
    if (!(error instanceof ProtocolError) || scanModulePath(bytes) === "") throw error;
  }
}

async function inspectZip(request: FileRequest, blob: Blob, options: AdoptionOptions): Promise<AdoptedFile> {
  const bytes = await options.wholeReads.read(blob);
  if (bytes !== undefined) return { ...(await verifyZip(request, { bytes }, options)), bytes };
  const copy = await options.stagingFile();
  try {
    await pipeline(blob.stream(), createWriteStream(copy));
    return { ...(await verifyZip(request, { file: copy, size: blob.size }, options)), bytes: undefined };
  } finally {
    await rm(copy, { force: true });
  }
}

async function verifyZip(
  request: FileRequest,
  content: BlobContent,
  { verifier }: AdoptionOptions,
): Promise<{ h1: H1; sha256: string }> {
  try {
    return await verifier.verify(content, request.modulePath, request.version);
  } catch (error) {
    if (isSluiceError(error, "integrity")) throw new BrokenFile(error.message, { cause: error });
    throw error;
  }
}
