import { LRUCache } from "lru-cache";
import type { BlobKey, StoredFile, StoredRecord } from "../core/ports.ts";
import { entryOverheadBytes } from "./blob/memory.ts";

type Entry = { readonly file: StoredFile } | { readonly record: StoredRecord };

/**
 * Verified files and records in memory, with all that is known of them, so that a hit asks neither disk nor ledger. Bounded in
 * bytes; the ones unused for longest make room.
 */
export class HotTier {
  readonly #entries: LRUCache<BlobKey, Entry> | undefined;
  /** Larger files never enter, so that one of them does not push out everything else. */
  readonly maxFileBytes: number;

  /** `maxBytes` 0 is a tier that keeps nothing. */
  constructor(maxBytes: number) {
    this.maxFileBytes = Math.floor(maxBytes / 8);
    if (maxBytes > 0) this.#entries = new LRUCache({ maxSize: maxBytes, sizeCalculation: sizeOf });
  }

  file(key: BlobKey): StoredFile | undefined {
    const entry = this.#entries?.get(key);
    return entry !== undefined && "file" in entry ? entry.file : undefined;
  }

  record(key: BlobKey): StoredRecord | undefined {
    const entry = this.#entries?.get(key);
    return entry !== undefined && "record" in entry ? entry.record : undefined;
  }

  put(entry: Entry): void {
    const { key } = "file" in entry ? entry.file : entry.record;
    if (sizeOf(entry) <= this.maxFileBytes) this.#entries?.set(key, entry);
    else this.#entries?.delete(key);
  }

  delete(key: BlobKey): void {
    this.#entries?.delete(key);
  }
}

function sizeOf(entry: Entry): number {
  return entryOverheadBytes + ("file" in entry ? entry.file.size : entry.record.bytes.length);
}
