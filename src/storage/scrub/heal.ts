import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import { SluiceError } from "../../core/errors.ts";
import type { ModuleStore, StoredFile } from "../../core/ports.ts";
import { sha256Of } from "../hashing.ts";
import type { LocalStore } from "../local-store.ts";

export interface HealOptions {
  readonly store: LocalStore;
  /** What a Sluice has in memory. */
  readonly peek: ModuleStore["peek"];
  /** The resolver's own way: from the store, else from the sources, kept when it is what it was before. */
  readonly fetch: (request: FileRequest, signal: AbortSignal) => Promise<StoredFile>;
}

/** Brings a file again that was taken away: from memory where it is still there, else from the sources. Fails with why it cannot be had. */
export function createHeal({ store, peek, fetch }: HealOptions) {
  return async (request: FileRequest, signal: AbortSignal): Promise<void> => {
    const key = blobKey(request);
    const held = peek(key)?.bytes;
    // While it is in memory nobody would fetch and keep it.
    if (held !== undefined) await restore(request, held, store);
    else (await fetch(request, signal)).discard();
    if ((await store.blobs.stat(key)) !== undefined) return;
    throw new SluiceError("storage_failed", `${key} was fetched again, and could not be stored`);
  };
}

async function restore(
  request: FileRequest,
  bytes: Uint8Array,
  { blobs, ledger, zipHashes }: LocalStore,
): Promise<void> {
  const key = blobKey(request);
  const facts = await ledger.facts(key);
  if (facts !== undefined && facts.sha256 !== (await sha256Of(bytes))) return;
  await blobs.create(key, { bytes });
  if (request.kind === "zip" && facts?.h1 !== undefined) await zipHashes.write(key, facts.h1);
}
