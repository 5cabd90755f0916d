import type { Answer } from "./answer.ts";
import type { FetchContext } from "./ports.ts";
import type { ModulePath, Version } from "../protocol/brand.ts";
import type { Tile } from "../protocol/sumdb/index.ts";

/**
 * A checksum database as a go command sees it (SPEC §6.4): somebody else's that is relayed, or our own. Answers have their
 * `bytes`. Lookups and tiles of a full width are the same for ever; what else a tree shows grows with it.
 *
 * Fails with `not_found` for what the log does not have, `private_name` for what may not be asked there, `integrity` when the
 * log lies, and with an `upstream_*` code when it cannot be reached and nothing stored can answer.
 */
export interface ServedLog {
  /** Of the database, as in `/sumdb/<name>/…`. */
  readonly name: string;
  /** The signed tree of now. */
  latest(context: FetchContext): Promise<Answer>;
  /** The record of both lines of a version, with its id and a signed tree that has it. */
  lookup(modulePath: ModulePath, version: Version, context: FetchContext): Promise<Answer>;
  /** The hashes of a tile, or the records of a data tile. */
  tile(tile: Tile, context: FetchContext): Promise<Answer>;
}
