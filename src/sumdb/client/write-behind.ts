import type { Events } from "../../core/events.ts";
import type { BlobKey, BlobStore } from "../../core/ports.ts";

export interface WriteBehindOptions {
  readonly blobs: BlobStore;
  readonly events: Events;
  /** Waiting content. Beyond that it is not written: whoever needs it has to get it again. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Default 4. */
  readonly concurrency?: number;
}

type Write = { readonly key: BlobKey; readonly bytes: Uint8Array } | { readonly key: BlobKey; readonly bytes?: never };

/** What an entry costs besides its content. */
const entryBytes = 512;

/** Writes blobs after the answer they are for. They are written in the order in which they come, several at a time. */
export class WriteBehind {
  readonly #blobs: BlobStore;
  readonly #events: Events;
  readonly #maxBytes: number;
  readonly #concurrency: number;
  readonly #waiting = new Map<BlobKey, Write>();
  readonly #running = new Map<BlobKey, Promise<void>>();
  #bytes = 0;
  /** Told once, until there is room again. */
  #isFull = false;

  constructor({ blobs, events, maxBytes = 64 * 1024 * 1024, concurrency = 4 }: WriteBehindOptions) {
    this.#blobs = blobs;
    this.#events = events;
    this.#maxBytes = maxBytes;
    this.#concurrency = concurrency;
  }

  /** Creates the blob, unless there is one. */
  create(key: BlobKey, bytes: Uint8Array): void {
    if (this.#waiting.get(key)?.bytes !== undefined) return;
    this.#drop(key);
    if (this.#bytes + bytes.length + entryBytes <= this.#maxBytes) {
      this.#isFull = false;
      this.#add({ key, bytes });
    } else if (!this.#isFull) {
      this.#isFull = true;
      this.#report(new Error(`the disk is too slow: more than ${this.#maxBytes} bytes wait to be written`));
    }
  }

  /** Deletes the blob, behind all that waits. */
  delete(key: BlobKey): void {
    this.#drop(key);
    this.#add({ key });
  }

  /** What is not written yet. */
  peek(key: BlobKey): Uint8Array | undefined {
    return this.#waiting.get(key)?.bytes;
  }

  /** Resolves when everything that waits now is written, or could not be. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  #add(write: Write): void {
    this.#waiting.set(write.key, write);
    this.#bytes += sizeOf(write);
    this.#start();
  }

  #drop(key: BlobKey): void {
    const write = this.#waiting.get(key);
    if (write === undefined) return;
    this.#waiting.delete(key);
    this.#bytes -= sizeOf(write);
  }

  #report(error: Error): void {
    this.#events.emit({ type: "store_failed", store: this.#blobs.name, operation: "write behind", error });
  }

  #start(): void {
    for (const write of this.#waiting.values()) {
      if (this.#running.size >= this.#concurrency) return;
      // Two writes of one key keep their order.
      if (this.#running.has(write.key)) continue;
      const running = this.#run(write).finally(() => {
        this.#running.delete(write.key);
        this.#start();
      });
      this.#running.set(write.key, running);
    }
  }

  async #run(write: Write): Promise<void> {
    const { key, bytes } = write;
    try {
      if (bytes === undefined) await this.#blobs.delete(key);
      else await this.#blobs.create(key, { bytes });
    } catch (cause) {
      this.#report(cause instanceof Error ? cause : new Error(String(cause)));
    } finally {
      if (this.#waiting.get(key) === write) this.#drop(key);
    }
  }
}

function sizeOf({ bytes }: Write): number {
  return (bytes?.length ?? 0) + entryBytes;
}
