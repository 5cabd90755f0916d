import type { ModulePath } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  blobKey,
  formatList,
  maxInfoBytes,
  type ModuleRequest,
  parseInfo,
  parseList,
} from "../../protocol/goproxy/index.ts";
import { isPseudoVersion, sortVersions } from "../../protocol/semver/index.ts";
import { isFileRequest } from "../layout.ts";
import type { ListedFile, ListedVersion } from "./inventory.ts";
import type { Place } from "./place.ts";
import type { Target } from "./target.ts";

/** Of a module with thousands of versions; more is no list. */
const maxRecordBytes = Math.max(maxInfoBytes, 4 * 1024 * 1024);

interface Sides {
  readonly from: Place;
  readonly to: Target;
  readonly dryRun: boolean;
}

/**
 * Copies lists, `@latest` and the answers for branches that the target does not have, and makes a list where neither has one. A Sluice takes
 * them for unconfirmed: it asks its upstreams first, and uses them when those fail. A `file://` GOPROXY has nothing else.
 */
export async function copyRecords(
  records: readonly ListedFile[],
  versions: readonly ListedVersion[],
  sides: Sides,
): Promise<number> {
  let count = 0;
  for (const { request, name, size } of records) {
    if (size > maxRecordBytes || (await stands(request, sides))) continue;
    const bytes = await (await sides.from.open(name))?.read();
    if (bytes !== undefined && isSound(request, bytes)) count += await put(request, bytes, sides);
  }
  for (const request of modulesOf(versions)) count += await completeList(request, sides);
  return count;
}

interface ListRequest {
  readonly kind: "list";
  readonly modulePath: ModulePath;
}

function modulesOf(versions: readonly ListedVersion[]): ListRequest[] {
  const released = versions.filter(({ version }) => !isPseudoVersion(version));
  return [...new Set(released.map(({ modulePath }) => modulePath))].map((modulePath) => ({ kind: "list", modulePath }));
}

/** A list that nobody else completes gets the new versions. */
async function completeList(request: ListRequest, sides: Sides): Promise<number> {
  const { to, dryRun } = sides;
  const standing = await (await to.blobs.get(blobKey(request)))?.read();
  if (standing !== undefined && (to.isManaged || dryRun)) return 0;
  const listed = standing === undefined || !isSound(request, standing) ? [] : parseList(standing).versions;
  const versions = new Set([...listed, ...(await to.store.versions(request.modulePath))]);
  if (versions.size === listed.length) return 0;
  if (standing === undefined) return put(request, Buffer.from(formatList(sortVersions([...versions]))), sides);
  await to.blobs.replace(blobKey(request), Buffer.from(formatList(sortVersions([...versions]))));
  return 1;
}

async function stands(request: ModuleRequest, { to }: Sides): Promise<boolean> {
  return (await to.blobs.stat(blobKey(request))) !== undefined;
}

async function put(request: ModuleRequest, bytes: Uint8Array, { to, dryRun }: Sides): Promise<number> {
  if (dryRun) return 1;
  return (await to.blobs.create(blobKey(request), { bytes })) === "created" ? 1 : 0;
}

function isSound(request: ModuleRequest, bytes: Uint8Array): boolean {
  try {
    if (request.kind === "list") parseList(bytes);
    else if (!isFileRequest(request)) parseInfo(bytes, request);
    return !bytes.includes(0);
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
