import type { Blob } from "../../core/ports.ts";
import type { H1 } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { blobKey, type FileRequest, parseInfo } from "../../protocol/goproxy/index.ts";
import { parseH1 } from "../../protocol/zip/index.ts";
import { zipHashKey } from "../layout.ts";
import type { ListedFile } from "./inventory.ts";
import type { Place } from "./place.ts";
import type { Target } from "./target.ts";

/** What stands at the target where a file is to be copied to. */
export type Standing =
  | { readonly state: "absent" }
  | { readonly state: "same" }
  /** Only reading the whole can tell. */
  | { readonly state: "unclear" }
  | { readonly state: "other"; readonly reason: string };

interface Sides {
  readonly from: Place;
  readonly to: Target;
}

/** Compares by what is known already, so that a copy that is begun again does not read everything again. */
export async function compareStanding(file: ListedFile<FileRequest>, sides: Sides): Promise<Standing> {
  const { from, to } = sides;
  const key = blobKey(file.request);
  const standing = await to.blobs.stat(key);
  if (standing === undefined) return { state: "absent" };
  const [ours, theirs] = [from.facts(key), await to.ledger.facts(key)];
  // Torn: whoever keeps the file finds that out, and takes it away.
  if (theirs !== undefined && theirs.size !== standing.size) return { state: "absent" };
  if (ours !== undefined && ours.sha256 === theirs?.sha256) return { state: "same" };
  return file.request.kind === "zip" ? compareZip(file, standing.size, sides) : compareSmall(file, sides);
}

async function compareZip(
  file: ListedFile<FileRequest>,
  standingBytes: number,
  { from, to }: Sides,
): Promise<Standing> {
  const key = blobKey(file.request);
  const ours = from.facts(key)?.h1 ?? (await readH1(await from.open(zipHashKey(file.name))));
  const theirs = (await to.ledger.facts(key))?.h1 ?? (await readH1(await to.blobs.get(zipHashKey(key))));
  if (ours !== undefined && theirs !== undefined) return compareH1(ours, theirs);
  return { state: standingBytes === file.size ? "same" : "unclear" };
}

async function compareSmall({ request, name }: ListedFile<FileRequest>, { from, to }: Sides): Promise<Standing> {
  const [ours, theirs] = [await readAll(await from.open(name)), await readAll(await to.blobs.get(blobKey(request)))];
  if (ours === undefined || theirs === undefined) return { state: "unclear" };
  if (Buffer.compare(ours, theirs) === 0) return { state: "same" };
  if (request.kind === "info") return compareInfo({ ...request, kind: "info" }, ours, theirs);
  return { state: "other", reason: "the target has another go.mod of it" };
}

/** Every proxy writes them its own way. It matters that they do not tell of different commits. */
function compareInfo(
  request: Extract<FileRequest, { readonly kind: "info" }>,
  ours: Uint8Array,
  theirs: Uint8Array,
): Standing {
  try {
    const [a, b] = [parseInfo(ours, request), parseInfo(theirs, request)];
    const [hash, otherHash] = [a.origin?.hash, b.origin?.hash];
    if (hash !== undefined && otherHash !== undefined && hash !== otherHash) {
      return { state: "other", reason: `it is of commit ${hash}, and that of the target of ${otherHash}` };
    }
    if (a.time === b.time || a.time === undefined || b.time === undefined) return { state: "same" };
    return { state: "other", reason: `it has the time ${a.time}, and that of the target ${b.time}` };
  } catch (error) {
    if (error instanceof ProtocolError) return { state: "unclear" };
    throw error;
  }
}

export function compareH1(ours: H1, theirs: H1): Standing {
  return ours === theirs
    ? { state: "same" }
    : { state: "other", reason: `its h1 is ${ours}, and that of the target is ${theirs}` };
}

/** What a `.ziphash` says. */
export async function readH1(blob: Blob | undefined): Promise<H1 | undefined> {
  if (blob === undefined || blob.size > 1024) {
    blob?.discard();
    return undefined;
  }
  try {
    return parseH1(
      Buffer.from(await blob.read())
        .toString("latin1")
        .trim(),
    );
  } catch (error) {
    // One that was cut says nothing, and the zip can be hashed.
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function readAll(blob: Blob | undefined): Promise<Uint8Array | undefined> {
  return blob === undefined ? Promise.resolve(undefined) : blob.read();
}
