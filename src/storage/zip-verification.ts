import { hash } from "node:crypto";
import { SluiceError } from "../core/errors.ts";
import type { BlobContent } from "../core/ports.ts";
import type { H1 } from "../protocol/brand.ts";
import { ProtocolError } from "../protocol/error.ts";
import { randomAccess, verifyZip, type RandomAccess, type ZipModule } from "../protocol/zip/index.ts";
import { withZipFile } from "./zip-file.ts";

export interface VerifiedZip {
  readonly h1: H1;
  /** Lowercase hex of the whole file. */
  readonly sha256: string;
}

/** Verifies a zip on the thread it is called on, and blocks that while it does. Fails with `integrity` or `storage_failed`. */
export async function verifyHere(content: BlobContent, module: ZipModule): Promise<VerifiedZip> {
  if ("file" in content) {
    return withZipFile(content.file, content.size, async (zip) => ({
      h1: await h1Of(zip, module),
      sha256: zip.sha256,
    }));
  }
  const h1 = await h1Of(randomAccess(content.bytes), module);
  return { h1, sha256: hash("sha256", content.bytes, "hex") };
}

async function h1Of(zip: RandomAccess, module: ZipModule): Promise<H1> {
  try {
    return await verifyZip(zip, module);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const { modulePath, version } = module;
    throw new SluiceError("integrity", `${modulePath}@${version}: ${error.message}`, {
      cause: error,
      details: { modulePath, version, problem: error.code },
    });
  }
}
