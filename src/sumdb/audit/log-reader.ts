import { isSluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { refusalOf } from "../../net/answer.ts";
import type { HttpClient } from "../../net/http.ts";
import { withRetry } from "../../net/retry.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import {
  hashBytes,
  lookupPath,
  maxDataTileBytes,
  maxLookupBytes,
  maxNoteBytes,
  maxTileBytes,
  type Tile,
  tilePath,
} from "../../protocol/sumdb/index.ts";

/**
 * A log as anybody can read it. Nothing of what it answers is proven. Fails with `not_found` for what the log does not have,
 * and with an `upstream_*` code when it cannot be asked.
 */
export interface LogReader {
  /** Its address, for people. */
  readonly name: string;
  latest(): Promise<Uint8Array>;
  lookup(modulePath: ModulePath, version: Version): Promise<Uint8Array>;
  /** In the width that is asked for, where a log that has grown since may only have a wider one. */
  tile(tile: Tile): Promise<Uint8Array>;
}

export interface LogReaderOptions {
  /** Where `latest`, `lookup/…` and `tile/…` are. */
  readonly url: URL;
  /** Stays the caller's. */
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const attempts = 5;

/** Reads a log over HTTP, from nowhere but its own address. */
export function createLogReader({ url, http, clock, signal }: LogReaderOptions): LogReader {
  const base = url.href.replace(/\/+$/, "");

  function get(path: string, maxBytes: number): Promise<Uint8Array> {
    return withRetry(() => getOnce(path, maxBytes), { clock, signal, name: `${base}/${path}`, attempts });
  }

  async function getOnce(path: string, maxBytes: number): Promise<Uint8Array> {
    const response = await http.get({ url: new URL(`${base}/${path}`), signal, maxBytes });
    try {
      const rules = { name: `${base}/${path}`, notFoundStatus: [], hasCredentials: false, now: clock.now() };
      const refusal = await refusalOf(response, rules);
      if (refusal !== undefined) throw refusal;
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.body) chunks.push(chunk);
      return Buffer.concat(chunks);
    } finally {
      response.discard();
    }
  }

  return {
    name: base,
    latest: () => get("latest", maxNoteBytes),
    lookup: (modulePath, version) => get(lookupPath(modulePath, version), maxLookupBytes),
    async tile(tile) {
      const maxBytes = tile.level === -1 ? maxDataTileBytes : maxTileBytes;
      const fullWidth = 2 ** tile.height;
      try {
        return await get(tilePath(tile), maxBytes);
      } catch (error) {
        if (tile.width === fullWidth || !isSluiceError(error, "not_found")) throw error;
        const full = await get(tilePath({ ...tile, width: fullWidth }), maxBytes).catch((cause: unknown) => {
          throw isSluiceError(cause, "not_found") ? error : cause;
        });
        return narrow(tile, full);
      }
    },
  };
}

/** A log may give up the partial tiles of a tile that is full now (SPEC §6.4). */
function narrow(tile: Tile, full: Uint8Array): Uint8Array {
  if (tile.level >= 0) return full.subarray(0, tile.width * hashBytes);
  const text = Buffer.from(full.buffer, full.byteOffset, full.byteLength);
  let end = 0;
  for (let record = 0; record < tile.width; record++) {
    const cut = text.indexOf("\n\n", end);
    if (cut < 0) return full;
    end = cut + 2;
  }
  return full.subarray(0, end);
}
