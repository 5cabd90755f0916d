import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, BlobStore, FetchContext } from "../../core/ports.ts";
import { hashBytes, type Tile, tileHeight, tilePath } from "../../protocol/sumdb/index.ts";
import { missing } from "./problems.ts";
import type { LogResponse, LogTransport } from "./transport.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface LogFilesOptions {
  /** Of the database. */
  readonly name: string;
  readonly transport: LogTransport;
  readonly cache: BlobStore;
  readonly writes: WriteBehind;
  readonly events: Events;
}

/** Entries of a full tile. */
export const fullWidth = 2 ** tileHeight;

/** The files of a log as they come from the cache and from the log itself. Nothing here is proven. */
export class LogFiles {
  readonly name: string;
  readonly #transport: LogTransport;
  readonly #cache: BlobStore;
  readonly #writes: WriteBehind;
  readonly #events: Events;

  constructor({ name, transport, cache, writes, events }: LogFilesOptions) {
    this.name = name;
    this.#transport = transport;
    this.#cache = cache;
    this.#writes = writes;
    this.#events = events;
  }

  /** A kept file of the log. One that cannot be read counts as not kept. */
  async stored(path: string): Promise<Uint8Array | undefined> {
    const key = this.#keyOf(path);
    const waiting = this.#writes.peek(key);
    if (waiting !== undefined) return waiting;
    try {
      const blob = await this.#cache.get(key);
      return await blob?.read();
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      this.#events.emit({ type: "store_failed", store: this.#cache.name, operation: "read", error });
      return undefined;
    }
  }

  /** A kept tile of hashes, or the beginning of the full one. */
  async storedTile(tile: Tile): Promise<Uint8Array | undefined> {
    for (const width of new Set([tile.width, fullWidth])) {
      const path = tilePath({ ...tile, width });
      const bytes = await this.stored(path);
      if (bytes === undefined) continue;
      if (bytes.length === width * hashBytes) return bytes.subarray(0, tile.width * hashBytes);
      await this.setAside(path, `it has ${bytes.length} bytes instead of ${width * hashBytes}`);
    }
    return undefined;
  }

  /**
   * Asks the log for a tile. One that it does not have any more in this width it has in full. Fails with `upstream_invalid` when it
   * has neither.
   */
  async fetchTile(tile: Tile, context: FetchContext): Promise<LogResponse> {
    const path = tilePath(tile);
    const kind = tile.level < 0 ? "data" : "tile";
    try {
      return await this.#transport.get(path, kind, context);
    } catch (error) {
      if (!isSluiceError(error, "not_found")) throw error;
      if (tile.width === fullWidth || tile.level < 0) throw missing(path, { database: this.name, cause: error });
    }
    const { bytes, via } = await this.fetchTile({ ...tile, width: fullWidth }, context);
    return { bytes: bytes.subarray(0, tile.width * hashBytes), via };
  }

  /** Keeps a proven file, soon. */
  keep(path: string, bytes: Uint8Array): void {
    this.#writes.create(this.#keyOf(path), bytes);
  }

  /** Forgets a file, soon. */
  forget(path: string): void {
    this.#writes.delete(this.#keyOf(path));
  }

  /** Takes a kept file that turned out to be wrong out of the cache. */
  async setAside(path: string, reason: string): Promise<void> {
    const key = this.#keyOf(path);
    this.#events.emit({ type: "file_corrupt", key, reason });
    try {
      await this.#cache.setAside(key);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#events.emit({ type: "store_failed", store: this.#cache.name, operation: "set aside", error });
    }
  }

  #keyOf(path: string): BlobKey {
    return `${this.name}/${path}`;
  }
}
