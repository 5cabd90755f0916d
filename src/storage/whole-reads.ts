import type { Blob } from "../core/ports.ts";

/** Below this a stream costs more than it saves, and nobody's memory suffers. */
const alwaysWholeBytes = 1024 * 1024;

export interface WholeReadsOptions {
  /** Larger blobs are never read whole. */
  readonly maxFileBytes: number;
  /** For all that was read whole and that somebody still holds: the tier in memory, and clients that take their time. */
  readonly maxHeldBytes: number;
}

/** Decides which blobs are read whole, so that many large ones at once, or slow clients, do not fill the memory. */
export class WholeReads {
  readonly #options: WholeReadsOptions;
  #heldBytes = 0;
  readonly #collected = new FinalizationRegistry<number>((size) => {
    this.#heldBytes -= size;
  });

  constructor(options: WholeReadsOptions) {
    this.#options = options;
  }

  /** Undefined when the blob is to be streamed. */
  async read(blob: Blob): Promise<Uint8Array | undefined> {
    const { size } = blob;
    if (size <= alwaysWholeBytes || blob.bytes !== undefined) return blob.read();
    const { maxFileBytes, maxHeldBytes } = this.#options;
    if (size > maxFileBytes || this.#heldBytes + size > maxHeldBytes) return undefined;
    this.#heldBytes += size;
    try {
      const bytes = await blob.read();
      // Views that a client's response makes of it keep the buffer, not this array.
      this.#collected.register(bytes.buffer, size);
      return bytes;
    } catch (error) {
      this.#heldBytes -= size;
      throw error;
    }
  }
}
