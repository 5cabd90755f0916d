import type { Blob, BlobKey, FileFacts } from "../../core/ports.ts";

/** A file of a place. */
export interface PlacedFile {
  /** Below the place's root, `/`-separated, in whatever layout. */
  readonly name: string;
  readonly size: number;
}

/** Where modules are copied from. Nothing is written there. Fails with `storage_failed`. */
export interface Place {
  /** Printable. */
  readonly name: string;
  list(): AsyncIterable<PlacedFile>;
  open(name: string): Promise<Blob | undefined>;
  /** What a ledger that belongs to it says of a file, by its key in our own layout. */
  facts(key: BlobKey): FileFacts | undefined;
  close(): Promise<void>;
}
