import type { ModulePath, Version } from "../../protocol/brand.ts";
import type { FileRequest } from "../../protocol/goproxy/index.ts";
import type { BlobKey, FileFacts } from "../../core/ports.ts";
import { isFileRequest, requestOf, zipHashKey } from "../layout.ts";
import type { LocalStore } from "../local-store.ts";
import type { KnownVersion } from "./replaceable.ts";

export interface CollectionOptions {
  /** Files unused since then go. Milliseconds since the epoch. */
  readonly unusedSince?: number | undefined;
  /** Those unused for longest go until all files of modules are within this. */
  readonly maxBytes?: number | undefined;
  /** Those unused for longest go until so much is gone, whatever is left then. */
  readonly missingBytes?: number | undefined;
  /** Why a version has to stay. */
  readonly whyKept: (version: KnownVersion) => string | undefined;
}

export interface CollectedFile {
  readonly request: FileRequest;
  readonly key: BlobKey;
  readonly size: number;
  /** When it was used last, or came, in milliseconds since the epoch. */
  readonly usedAt: number;
}

export interface CollectionPlan {
  readonly files: number;
  readonly bytes: number;
  /** In the order in which they go. */
  readonly collected: readonly CollectedFile[];
  readonly collectedBytes: number;
  /** Files that stay whatever they are used, by why. */
  readonly kept: ReadonlyMap<string, { readonly files: number; readonly bytes: number }>;
}

interface StoredFile extends CollectedFile {
  readonly facts: FileFacts | undefined;
}

interface StoredVersion {
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly files: StoredFile[];
}

/**
 * Which files of a store would go. Zips go by their own use; `.info` and go.mod, which are small and wanted by whoever computes a
 * build list, by that of the whole version, so never before the zip.
 */
export async function planCollection(store: LocalStore, options: CollectionOptions): Promise<CollectionPlan> {
  const versions = await versionsOf(store);
  const kept = new Map<string, { files: number; bytes: number }>();
  const candidates: CollectedFile[] = [];
  let [files, bytes] = [0, 0];
  for (const version of versions) {
    files += version.files.length;
    const versionBytes = version.files.reduce((sum, { size }) => sum + size, 0);
    bytes += versionBytes;
    const why = options.whyKept(await known(version, store));
    if (why === undefined) {
      candidates.push(...byUse(version.files));
      continue;
    }
    const count = kept.get(why) ?? { files: 0, bytes: 0 };
    kept.set(why, { files: count.files + version.files.length, bytes: count.bytes + versionBytes });
  }
  const collected: CollectedFile[] = [];
  const { unusedSince = 0, maxBytes = Number.POSITIVE_INFINITY, missingBytes = 0 } = options;
  let collectedBytes = 0;
  for (const file of candidates.toSorted(unusedFirst)) {
    const isOld = file.usedAt < unusedSince;
    const isOver = bytes - collectedBytes > maxBytes || collectedBytes < missingBytes;
    if (!isOld && !isOver) break;
    collected.push(file);
    collectedBytes += file.size;
  }
  return { files, bytes, collected, collectedBytes, kept };
}

/**
 * Removes what was planned, but for what was used since. What is recorded of it stays: what comes back must be the same. Answers what
 * is gone.
 */
export async function collect(
  store: LocalStore,
  plan: readonly CollectedFile[],
  onProgress: (done: number) => void = () => undefined,
): Promise<{ files: number; bytes: number }> {
  let [files, bytes, done] = [0, 0, 0];
  for (const { request, key, size, usedAt } of plan) {
    onProgress(++done);
    if (((await store.ledger.lastUsed(key)) ?? 0) > usedAt) continue;
    // A hash without its zip could meet another zip.
    if (request.kind === "zip") await store.blobs.delete(zipHashKey(key));
    if (!(await store.blobs.delete(key))) continue;
    files += 1;
    bytes += size;
  }
  return { files, bytes };
}

async function versionsOf(store: LocalStore): Promise<Iterable<StoredVersion>> {
  const versions = new Map<string, StoredVersion>();
  for await (const key of store.blobs.list("")) {
    const request = requestOf(key);
    if (request === undefined || !isFileRequest(request)) continue;
    const found = await store.blobs.stat(key);
    if (found === undefined) continue;
    const facts = await store.ledger.facts(key);
    const usedAt = Math.max((await store.ledger.lastUsed(key)) ?? 0, facts?.firstSeenAt ?? 0);
    const { modulePath, version } = request;
    const id = `${modulePath}@${version}`;
    const stored = versions.get(id) ?? { modulePath, version, files: [] };
    stored.files.push({ request, key, size: found.size, usedAt, facts });
    versions.set(id, stored);
  }
  return versions.values();
}

async function known({ modulePath, files }: StoredVersion, { ledger }: LocalStore): Promise<KnownVersion> {
  const hashed = files.filter(({ request }) => request.kind !== "info");
  const marks = await Promise.all(hashed.map(({ key }) => ledger.unverified(key)));
  return {
    modulePath,
    facts: files.map(({ facts }) => facts),
    isConfirmed: hashed.length > 0 && marks.every((mark) => mark === undefined),
  };
}

function byUse(files: readonly StoredFile[]): CollectedFile[] {
  const versionUsedAt = Math.max(...files.map(({ usedAt }) => usedAt));
  return files.map(({ request, key, size, usedAt }) => ({
    request,
    key,
    size,
    usedAt: request.kind === "zip" ? usedAt : versionUsedAt,
  }));
}

function unusedFirst(a: CollectedFile, b: CollectedFile): number {
  return a.usedAt - b.usedAt || Number(b.request.kind === "zip") - Number(a.request.kind === "zip");
}
