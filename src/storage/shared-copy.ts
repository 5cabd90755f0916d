import type { FileRequest } from "../protocol/goproxy/index.ts";
import type { Blob, BlobKey, FileFacts } from "../core/ports.ts";
import type { AdoptedFile } from "./adoption.ts";
import { BrokenFile } from "./broken-file.ts";

/** What other nodes write into as well. */
export interface SharedStore {
  /** Of what stands there for all, as whoever wrote it has meant it; undefined where that cannot be told. */
  writtenSha256(key: BlobKey): Promise<string | undefined>;
  /** Takes away this node's copy, and leaves that of all. */
  setCopyAside(key: BlobKey, revision: string): Promise<boolean>;
}

/** A sound file that another node has put there. `isSame`: it is what was recorded here, packed or written in another way. */
export interface TheirFile extends AdoptedFile {
  readonly size: number;
  readonly isSame: boolean;
}

/**
 * What to think of a file that is not what was recorded of it here: undefined when it is broken, else whose it is. Without a writer
 * who says so, a file that is sound may have rotted in a place where that does not show.
 */
export async function findTheirs(
  request: FileRequest,
  facts: FileFacts,
  {
    blob,
    shared,
    inspect,
  }: {
    /** Opened anew; it is used up. */
    readonly blob: Blob;
    readonly shared: SharedStore;
    readonly inspect: (request: FileRequest, blob: Blob) => Promise<AdoptedFile>;
  },
): Promise<TheirFile | undefined> {
  const { size } = blob;
  try {
    const written = await shared.writtenSha256(facts.key);
    if (written === undefined) return undefined;
    const found = await inspect(request, blob);
    // An `.info` has no h1: which commit a version is of is decided by the shared one.
    return found.sha256 === written ? { ...found, size, isSame: found.h1 === facts.h1 } : undefined;
  } catch (error) {
    if (error instanceof BrokenFile) return undefined;
    throw error;
  } finally {
    blob.discard();
  }
}
