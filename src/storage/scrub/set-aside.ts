import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import type { Events } from "../../core/events.ts";
import type { LocalStore } from "../local-store.ts";

/**
 * Takes a broken file out of the store, for an operator to look at, and tells. What is recorded of it stays: what comes in its place must
 * be the same. Answers `false` when another file has come there already. A Sluice that has the good content in memory goes on
 * answering with it.
 */
export async function setAside(
  request: FileRequest,
  { reason, revision }: { readonly reason: string; readonly revision: string | undefined },
  { store, events }: { readonly store: LocalStore; readonly events: Events },
): Promise<boolean> {
  const key = blobKey(request);
  if (!(await store.blobs.setAside(key, revision))) return false;
  events.emit({ type: "file_corrupt", key, reason });
  // It could meet another zip.
  if (request.kind === "zip") await store.zipHashes.setAside(key);
  return true;
}
