import type { Events } from "../../core/events.ts";
import type { FetchContext } from "../../core/ports.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  checkDataTile,
  formatDataTile,
  hashBytes,
  parseDataTile,
  type Tile,
  tilePath,
} from "../../protocol/sumdb/index.ts";
import { fullWidth, type LogFiles } from "./log-files.ts";
import { invalid } from "./problems.ts";
import type { ProvenTile } from "./timeline.ts";

/**
 * The records whose proven hashes are given, one behind the other. Go never asks for them, but who audits a log does. Full tiles
 * are kept.
 */
export async function findDataTile(
  tile: Tile,
  hashes: Uint8Array,
  { files, events, context }: { readonly files: LogFiles; readonly events: Events; readonly context: FetchContext },
): Promise<ProvenTile> {
  const path = tilePath(tile);
  const full = tilePath({ ...tile, width: fullWidth });
  const leaves = Array.from({ length: tile.width }, (_, entry) =>
    hashes.subarray(entry * hashBytes, (entry + 1) * hashBytes),
  );
  const stored = await files.stored(full);
  if (stored !== undefined) {
    const bytes = tryBeginning(stored, tile.width);
    if (tryCheck(bytes, leaves) === undefined) return { tile, bytes, isStored: true };
    await files.setAside(full, "it does not belong to the tree that was signed");
  }
  const { bytes, via } = await files.fetchTile(tile, context);
  const wrong = tryCheck(bytes, leaves);
  if (wrong !== undefined) {
    throw invalid(events, { database: files.name, via, reason: `${path} is wrong: ${wrong.message}`, cause: wrong });
  }
  if (tile.width === fullWidth) files.keep(path, bytes);
  return { tile, bytes, isStored: false };
}

function tryCheck(bytes: Uint8Array, leaves: readonly Uint8Array[]): ProtocolError | undefined {
  try {
    checkDataTile(bytes, leaves);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

/** The first records of a data tile; all of it when it is none. */
function tryBeginning(bytes: Uint8Array, width: number): Uint8Array {
  if (width === fullWidth) return bytes;
  try {
    return formatDataTile(parseDataTile(bytes).slice(0, width));
  } catch (error) {
    if (error instanceof ProtocolError) return bytes;
    throw error;
  }
}
