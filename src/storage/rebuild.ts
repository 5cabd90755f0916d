import { type FileRequest } from "../protocol/goproxy/index.ts";
import type { BlobStore, Ledger, ModuleStore } from "../core/ports.ts";
import { isFileRequest, requestOf } from "./layout.ts";

export interface RebuildOptions {
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  /** Over the same blobs and ledger: reading a file without facts adopts it. */
  readonly store: ModuleStore;
  /** Stops after the files under way. */
  readonly signal?: AbortSignal;
  /** Files checked at the same time. */
  readonly concurrency?: number;
}

export interface RebuildResult {
  /** Files that had their facts. */
  readonly known: number;
  readonly adopted: number;
  /** Files that were broken, or could not be read. Each was told as an event. */
  readonly refused: number;
}

const defaultConcurrency = 2;

/**
 * Finds out the facts of all stored files that have none, as after the ledger was lost or files were copied into the store.
 * Nobody has to wait for it: a file that is asked for is adopted just then. Checks every zip, so it takes its time.
 */
export async function rebuildLedger(options: RebuildOptions): Promise<RebuildResult> {
  const { blobs, concurrency = defaultConcurrency } = options;
  const keys = blobs.list("")[Symbol.asyncIterator]();
  const count = { known: 0, adopted: 0, refused: 0 };
  async function work(): Promise<void> {
    for (let next = await keys.next(); next.done !== true; next = await keys.next()) {
      if (options.signal?.aborted === true) return;
      const request = requestOf(next.value);
      if (request !== undefined && isFileRequest(request)) count[await adopt(next.value, request, options)]++;
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work));
  return count;
}

async function adopt(
  key: string,
  request: FileRequest,
  { ledger, store }: RebuildOptions,
): Promise<keyof RebuildResult> {
  if ((await ledger.facts(key)) !== undefined) return "known";
  const file = await store.read(request);
  file?.discard();
  return file === undefined ? "refused" : "adopted";
}
