import { createHash } from "node:crypto";
import type { H1 } from "../protocol/brand.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type FileRequest, formatInfo, maxInfoBytes, parseInfo } from "../protocol/goproxy/index.ts";
import { scanModulePath } from "../protocol/modfile/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { parseFrom, readBody } from "./body.ts";
import type { NewFacts, SourceResponse } from "./ports.ts";

export type InfoRequest = Extract<FileRequest, { readonly kind: "info" }>;
export type GoModRequest = Extract<FileRequest, { readonly kind: "mod" }>;

/** SPEC §5.3: what a zip may carry as go.mod. */
const maxGoModBytes = 16 * 1024 * 1024;

/** A file that is read whole, checked. */
export interface SmallFile {
  readonly bytes: Uint8Array;
  readonly facts: NewFacts;
}

/** An `.info` as it is kept: parsed, and written anew. */
export async function receiveInfo(response: SourceResponse, request: InfoRequest): Promise<SmallFile> {
  const sent = await readBody(response, maxInfoBytes);
  const info = parseFrom(response.source, blobKey(request), () => parseInfo(sent, request));
  const bytes = Buffer.from(formatInfo(info));
  return { bytes, facts: { size: bytes.length, sha256: sha256Of(bytes), source: response.source } };
}

export async function receiveGoMod(
  response: SourceResponse,
  request: GoModRequest,
): Promise<{ bytes: Uint8Array; facts: NewFacts & { h1: H1 } }> {
  const bytes = await readBody(response, maxGoModBytes);
  parseFrom(response.source, blobKey(request), () => refuseWhatIsNoGoMod(bytes));
  return {
    bytes,
    facts: { size: bytes.length, sha256: sha256Of(bytes), h1: hashGoMod(bytes), source: response.source },
  };
}

/**
 * Old releases carry go.mod files that today's parser refuses, and their hashes stand in go.sum files, so how it parses does not
 * matter here. A file that is not blank and names no module is something else, such as a page of a login portal.
 */
function refuseWhatIsNoGoMod(bytes: Uint8Array): void {
  if (scanModulePath(bytes) !== "" || Buffer.from(bytes).toString("utf8").trim() === "") return;
  throw new ProtocolError("malformed_gomod", "it has no module directive");
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
