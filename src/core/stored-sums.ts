import { setImmediate } from "node:timers/promises";
import { parseRequest } from "../protocol/goproxy/index.ts";
import { isChecksumMismatch } from "./checksum-mismatch.ts";
import { isSluiceError } from "./errors.ts";
import type { Events } from "./events.ts";
import type { BlobKey, ModuleStore, StoredUnverified, SumFile, SumVerdict } from "./ports.ts";

export interface StoredSumsOptions {
  readonly store: Pick<ModuleStore, "confirm" | "reject">;
  readonly events: Events;
  /** Told of a file that is no longer in the store, for whoever holds it in memory. */
  readonly onRejected: (key: BlobKey) => void;
}

/**
 * Compares a stored file that no checksum database has confirmed: it is marked so no more when one does, or when none is to be
 * asked, and taken out of the store when one has another hash, unless another file stands there by then. Fails as `ask` does,
 * with all but a mismatch.
 */
export async function compareStored(
  { key, h1, source }: StoredUnverified,
  { store, events, onRejected }: StoredSumsOptions,
  ask: (file: SumFile) => Promise<SumVerdict>,
): Promise<"confirmed" | "rejected" | Extract<SumVerdict, { readonly state: "unverified" }>> {
  const request = parseRequest(`/${key}`);
  if (request.kind !== "mod" && request.kind !== "zip") return "confirmed";
  try {
    const verdict = await ask({ ...request, h1, source, isDirect: false });
    if (verdict.state === "unverified") return verdict;
    await store.confirm(key);
    return "confirmed";
  } catch (error) {
    if (!isSluiceError(error) || !isChecksumMismatch(error)) throw error;
    if (!(await store.reject(request, { h1, reason: error.message }))) return "rejected";
    // Who was just answered with it puts it into memory within this turn of the event loop.
    await setImmediate();
    onRejected(key);
    events.emit({ type: "integrity_failed", key, source, reason: error.message });
    return "rejected";
  }
}
